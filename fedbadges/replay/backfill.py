"""Backfill: badges for those who earned them before there was a rule, or while no daemon ran."""

import datetime
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from fedbadges.config.settings import GroupBadge, Settings
from fedbadges.engine.engine import Earned
from fedbadges.messages import Notice
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import Award, link_to
from fedbadges.tahrir.current_values import CurrentValue, find_outdated, write_values
from fedbadges.tahrir.database import Tahrir
from fedbadges.util.text import describe_error

T = TypeVar("T")

#: How many badges are awarded, or looked up, at once.
_BATCH = 500

#: Seconds after which a smaller batch is awarded, so that little is lost if a backfill is killed.
_BATCH_SECONDS = 5.0


@dataclass(frozen=True)
class DueAward:
    """An award that is due: for a message, or because somebody is in a group."""

    award: Award
    topic: str = ""
    msg_id: str | None = None
    group: GroupBadge | None = None


@dataclass
class BackfillResult:
    """What a backfill found and, if it is ``awarding``, awarded.

    ``refused`` are awards that tahrir refused, with the reasons. It is not ``complete`` if somebody
    stopped it; ``error`` is what else stopped it. ``unpublished`` notices did not reach the bus;
    those ``left`` in the outbox will. ``person_ids`` are tahrir's numbers of those who got a badge.
    ``missing`` has a line for each group that does not exist. ``following`` are rules by which
    more follows from the awards, where these are not from a replay.
    """

    awarding: bool
    dues: list[DueAward] = field(default_factory=list)
    refused: list[tuple[DueAward, str]] = field(default_factory=list)
    complete: bool = True
    error: str | None = None
    unpublished: int = 0
    left: int = 0
    person_ids: set[int] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    following: Sequence[Rule] = ()


def award_batch(
    dues: Iterable[DueAward],
    tahrir: Tahrir,
    publish: Callable[[Notice], object],
    result: BackfillResult,
) -> None:
    """Award a batch, publish the notices, and add what became of each award to the result.

    Raises Unavailable; then none of them is awarded.
    """
    by_award = {due.award: due for due in not_held(dues, tahrir)}
    if not by_award:
        return
    awarded = tahrir.award(by_award, result.following)
    for given in awarded.given:
        cause = by_award[given.award.cause or given.award]
        result.dues.append(replace(cause, award=given.award))
        result.person_ids.add(given.person_id)
        publish(given.notice)
    for award, error in awarded.refused:
        result.refused.append((by_award[award], describe_error(error)))


def due_award(earned: Earned, settings: Settings) -> DueAward:
    """Return the award for what somebody earned, dated by its message and linked to it."""
    message, badge = earned.message, earned.rule.badge
    link = link_to(message, settings)
    award = Award(
        badge.id,
        earned.username,
        link,
        message.sent,
        badge=badge,
        position=earned.position,
        limit=earned.rule.first,
    )
    return DueAward(award, message.topic, message.msg_id)


def not_held(dues: Iterable[DueAward], tahrir: Tahrir) -> list[DueAward]:
    """Return the awards of people who may get the badge by their message; raise Unavailable."""
    left: list[DueAward] = []
    for batch in batches(dues):
        awards = [due.award for due in batch]
        holdings = tahrir.holdings(
            (award.username for award in awards), (award.badge_id for award in awards)
        )
        left += [
            due
            for due in batch
            if holdings.allows(due.award.username, due.award.badge_id, due.award.position)
        ]
    return left


def write_progress(
    settings: Settings, values: Mapping[tuple[str, str], tuple[int, datetime.datetime]]
) -> int:
    """Tell tahrir how far people are, by badge id and name, and as of when; raise Unavailable.

    Returns how many rows were changed.
    """
    written = 0
    for batch in batches(values.items()):
        wanted = {pair: as_of for pair, (_, as_of) in batch}
        numbers = find_outdated(settings, wanted)
        written += write_values(
            settings,
            [
                CurrentValue(pair[0], numbers[pair], value, as_of)
                for pair, (value, as_of) in batch
                if pair in numbers
            ],
        )
    return written


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield the items in batches, as they come.

    After Ctrl-C, the items that have come are yielded before KeyboardInterrupt is raised.
    """
    batch: list[T] = []
    started = time.monotonic()
    try:
        for item in items:
            batch.append(item)
            if len(batch) == _BATCH or time.monotonic() - started > _BATCH_SECONDS:
                yield batch
                batch, started = [], time.monotonic()
    except KeyboardInterrupt:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
