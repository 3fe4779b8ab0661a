"""Badges for those who earned them before there was a rule, or while nobody handed them out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from fedbadges.config.settings import Settings
from fedbadges.engine.engine import Earned
from fedbadges.engine.links import link_to
from fedbadges.tahrir.awarding import Award
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.notices import Notice
from fedbadges.util.text import describe_error

T = TypeVar("T")

#: How many are given, or asked about, at once.
_TOGETHER = 500

#: Seconds after which those are given that there are, so that little is lost if it is stopped.
_LONGEST = 5.0


@dataclass(frozen=True)
class Due:
    """An award that somebody is to get, and the message that did it."""

    award: Award
    topic: str
    msg_id: str | None


@dataclass
class BackfillResult:
    """What a backfill found, and with ``awarding`` gave.

    ``refused`` has what could not be given, with why. It is not ``complete`` where somebody stopped
    it, and ``trouble`` is what else ended it. ``unsaid`` is how much the bus could not be told.
    """

    awarding: bool
    dues: list[Due] = field(default_factory=list)
    refused: list[tuple[Due, str]] = field(default_factory=list)
    complete: bool = True
    trouble: str | None = None
    unsaid: int = 0


class Giving:
    """Gives badges portion by portion; ``publish`` is handed what to tell the bus."""

    def __init__(
        self, tahrir: Tahrir, publish: Callable[[Notice], object], outcome: BackfillResult
    ) -> None:
        self._tahrir = tahrir
        self._publish = publish
        self._outcome = outcome
        self._people: set[int] = set()

    def give(self, dues: Iterable[Due]) -> None:
        """Give these, and note what became of each.

        Raises Unavailable; then none of them is given.
        """
        by_award = {due.award: due for due in not_held(dues, self._tahrir)}
        if not by_award:
            return
        result = self._tahrir.award(by_award)
        for given in result.given:
            self._outcome.dues.append(by_award[given.award])
            self._people.add(given.person_id)
            self._say([given.notice])
        for award, error in result.refused:
            self._outcome.refused.append((by_award[award], describe_error(error)))

    def adjust_ranks(self) -> None:
        """Adjust everybody's rank once; raises Unavailable.

        Also where nothing was given: an earlier run may have been stopped before it came to this.
        """
        self._say(self._tahrir.adjust_ranks(self._people))

    def _say(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            self._publish(notice)


def due_of(earned: Earned, settings: Settings) -> Due:
    """Make the award of what somebody earned: as of when its message was sent, linked to that."""
    message = earned.message
    award = Award(earned.rule.badge.id, earned.username, link_to(message, settings), message.sent)
    return Due(award, message.topic, message.msg_id)


def not_held(dues: Iterable[Due], tahrir: Tahrir) -> list[Due]:
    """Leave out those whom tahrir has the badge for, and who have opted out; raises Unavailable."""
    left: list[Due] = []
    for portion in portions(dues):
        awards = [due.award for due in portion]
        holdings = tahrir.holdings(
            (award.username for award in awards), (award.badge_id for award in awards)
        )
        left += [due for due in portion if holdings.allows(due.award.username, due.award.badge_id)]
    return left


def portions(items: Iterable[T]) -> Iterator[list[T]]:
    """Give the items in lists of those that are worked on together, as they come.

    With Ctrl-C, those that have come are given first, and then it is raised.
    """
    portion: list[T] = []
    begun = time.monotonic()
    rest = iter(items)
    while True:
        try:
            item = next(rest)
        except StopIteration:
            break
        except KeyboardInterrupt:
            if portion:
                yield portion
            raise
        portion.append(item)
        if len(portion) == _TOGETHER or time.monotonic() - begun > _LONGEST:
            yield portion
            portion, begun = [], time.monotonic()
    if portion:
        yield portion
