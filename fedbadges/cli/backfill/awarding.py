"""Awarding what was found, whatever stops that half-way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from fedbadges.cli.errors import CannotRun, reporting_errors
from fedbadges.cli.terminal import deferring_interrupts, following

if TYPE_CHECKING:
    from fedbadges.outbox.outbox import Outbox
    from fedbadges.replay.backfill import BackfillResult, DueAward
    from fedbadges.rules.rule import Badge
    from fedbadges.tahrir.database import Tahrir

#: Seconds to wait until all notices are published.
_PUBLISH_TIMEOUT = 600.0

#: What is shown while rules are backfilled.
READING = "Reading the history"

#: Returns how much of the awards is found, and the total.
Reached = Callable[[], tuple[int, int]]


def publish_badges(tahrir: Tahrir, badges: Iterable[Badge]) -> None:
    """Publish badges in tahrir; raise CannotRun if one of them cannot be awarded."""
    published = tahrir.publish_badges(badges)
    legacy = "this is a legacy badge in tahrir, which cannot be awarded"
    wrong = {**published.refused, **dict.fromkeys(sorted(published.legacy), legacy)}
    if wrong:
        raise CannotRun(*(f"{badge_id}: {why}" for badge_id, why in wrong.items()))


def award_all(
    tahrir: Tahrir,
    outbox: Outbox | None,
    result: BackfillResult,
    dues: Iterable[DueAward],
    reached: Reached,
    what: str = READING,
) -> None:
    """Award badges as they are found; the result has them, whatever happens afterwards.

    ``what`` is shown, with how much of it was ``reached``.
    """
    from fedbadges.replay.backfill import award_batch, batches

    publish = (lambda notice: None) if outbox is None else outbox.publish
    with storing_errors(result), stoppable(result, reached, what):
        for batch in batches(dues):
            with deferring_interrupts():
                award_batch(batch, tahrir, publish, result)
    # After a first Ctrl-C this still has to be done; a second one changes nothing.
    with suppress(KeyboardInterrupt), deferring_interrupts():
        with storing_errors(result):
            # Even if nothing was awarded: an earlier run may have been stopped before its ranks.
            for notice in tahrir.adjust_ranks(result.person_ids):
                publish(notice)
        if outbox is not None and not outbox.finish(_PUBLISH_TIMEOUT):
            result.unpublished, result.left = outbox.lost, outbox.left


@contextmanager
def stoppable(result: BackfillResult, reached: Reached, what: str = READING) -> Iterator[None]:
    """Show the progress of the block; end it on Ctrl-C."""
    try:
        with following(what, reached):
            yield
    except KeyboardInterrupt:
        result.complete = False


@contextmanager
def storing_errors(result: BackfillResult) -> Iterator[None]:
    """Store an error of a database in the result, so that the awards can be shown."""
    try:
        with reporting_errors():
            yield
    except CannotRun as error:
        result.error = result.error or error.message
