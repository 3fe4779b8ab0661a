"""``fedbadges backfill``: badges for all who have earned them by now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

import click

from fedbadges.cli.bus import publishing
from fedbadges.cli.deployment import Deployment, with_deployment
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun, reporting_errors
from fedbadges.cli.options import format_option
from fedbadges.cli.terminal.interrupts import deferring_interrupts
from fedbadges.cli.terminal.progress_bar import following

if TYPE_CHECKING:
    from fedbadges.buses.fedmsg.publisher import Publisher
    from fedbadges.replay.backfill import BackfillResult, DueAward
    from fedbadges.replay.replay import Replay
    from fedbadges.rules.rule import Rule
    from fedbadges.tahrir.database import Tahrir

_EPILOG = """\b
Examples:
  fedbadges backfill rules/wiki/scribe-i.yml rules/wiki/scribe-ii.yml
  fedbadges backfill --award scribe-i scribe-ii
  fedbadges backfill --award --no-publish --format json scribe-i

\b
Exit codes: 0 if all went well, even without awards; 1 if tahrir refused some
awards, or it was stopped; 2 if the command cannot run, or was stopped before
anything was found.
"""

#: Seconds to wait until all notices are published.
_PUBLISH_TIMEOUT = 600.0


@click.command(epilog=_EPILOG)
@click.argument("names", nargs=-1, required=True, metavar="RULE…")
@click.option("--award", is_flag=True, help="Award the badges, rather than list the awards.")
@click.option("--no-publish", is_flag=True, help="Publish nothing on the bus.")
@format_option()
@with_deployment()
def backfill(
    deployment: Deployment, names: tuple[str, ...], award: bool, no_publish: bool, form: str
) -> None:
    """Award badges to all who have earned them by now; without --award, only list them.

    RULE is a rule file, or the id of a badge. The whole history is read once. The result is as if
    the rules had always existed: awards have the date when they were earned, and link to the
    message that earned them. Users who hold the badge are skipped, so the command can be stopped at
    any time and run again; the daemon may run meanwhile.
    """
    from fedbadges.cli.backfill.output import print_json, print_text, summary

    with reporting_errors():
        result = _backfill(deployment, names, award, no_publish)
    (print_json if form == "json" else print_text)(result)
    click.echo(summary(result), err=True)
    if result.error is not None:
        raise CannotRun(*result.error.split("\n"))
    if not result.complete and not result.dues:
        raise SystemExit(CANNOT_RUN)
    good = result.complete and not result.refused and not result.unpublished
    raise SystemExit(GOOD if good else FOUND)


def _backfill(
    deployment: Deployment, names: tuple[str, ...], award: bool, silent: bool
) -> BackfillResult:
    from fedbadges.replay.backfill import BackfillResult, due_award, not_held
    from fedbadges.replay.replay import Replay
    from fedbadges.tahrir.database import Tahrir

    settings = deployment.settings
    tahrir = Tahrir(settings)
    replay = Replay(settings, tahrir)
    rules = deployment.chosen(names, replay.backends)
    result = BackfillResult(award)
    dues = (due_award(earned, settings) for earned in replay.run(rules, measure=False))
    if award:
        with nullcontext() if silent else publishing(settings) as publisher:
            _publish_badges(tahrir, rules)
            _award(tahrir, publisher, result, dues, replay)
        return result
    found: list[DueAward] = []
    with _stoppable(result, replay):
        found.extend(dues)
    result.dues += not_held(found, tahrir)
    return result


def _publish_badges(tahrir: Tahrir, rules: Iterable[Rule]) -> None:
    """Publish the badges in tahrir; raise CannotRun if one of them cannot be awarded."""
    published = tahrir.publish_badges(rule.badge for rule in rules)
    wrong = [f"{badge_id}: {why}" for badge_id, why in published.refused.items()]
    wrong += [
        f"{badge_id}: this is a legacy badge in tahrir, which cannot be awarded"
        for badge_id in sorted(published.legacy)
    ]
    if wrong:
        raise CannotRun(*wrong)


def _award(
    tahrir: Tahrir,
    publisher: Publisher | None,
    result: BackfillResult,
    dues: Iterable[DueAward],
    replay: Replay,
) -> None:
    """Award badges as they are found; the result has them, whatever happens afterwards."""
    from fedbadges.replay.backfill import award_batch, batches

    publish = (lambda notice: None) if publisher is None else publisher.publish
    with _storing_errors(result), _stoppable(result, replay):
        for batch in batches(dues):
            with deferring_interrupts():
                award_batch(batch, tahrir, publish, result)
    # After a first Ctrl-C this still has to be done; a second one changes nothing.
    with suppress(KeyboardInterrupt), deferring_interrupts():
        with _storing_errors(result):
            # Even if nothing was awarded: an earlier run may have been stopped before its ranks.
            for notice in tahrir.adjust_ranks(result.person_ids):
                publish(notice)
        if publisher is not None and not publisher.finish(_PUBLISH_TIMEOUT):
            result.unpublished = publisher.unsent


@contextmanager
def _stoppable(result: BackfillResult, replay: Replay) -> Iterator[None]:
    """Show the progress of the block; end it on Ctrl-C."""
    try:
        with following("Reading the history", lambda: (replay.done, replay.total)):
            yield
    except KeyboardInterrupt:
        result.complete = False


@contextmanager
def _storing_errors(result: BackfillResult) -> Iterator[None]:
    """Store an error of a database in the result, so that the awards can be shown."""
    try:
        with reporting_errors():
            yield
    except CannotRun as error:
        result.error = result.error or error.message
