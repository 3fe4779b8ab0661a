"""Who held which badges when a message of the past was handled, and what that earned them."""

import datetime
import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from fedbadges.engine.engine import Earned
from fedbadges.messages import Message, Position
from fedbadges.replay.replayed_holdings import ReplayedHoldings
from fedbadges.rules.badge_rules import asks_for_numbers, earned_by_holding, named_badges
from fedbadges.rules.held_badges import Held
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.held_badges import HeldSince

#: How many people tahrir is asked about at once.
_BATCH = 1000

#: After all messages.
_END = datetime.datetime.max


@dataclass
class _Person:
    """What somebody holds so far, and what tahrir says that they held later, the oldest first."""

    coming: deque[HeldSince]
    held: dict[str, Set[str]] = field(default_factory=dict)
    #: Whether the replay awards them anything.
    awarded: bool = False


class HeldAsOf:
    """What people held: by tahrir until a moment, and by what the replay has found so far.

    ``rules`` are judged for whoever holds badges, ``following`` as well for whom the replay awards
    one; none of them has a trigger. Of ``fresh`` badges, tahrir's awards do not count. Without a
    ``source``, nobody held any badge before.
    """

    def __init__(
        self,
        source: Tahrir | None,
        holdings: ReplayedHoldings,
        rules: Iterable[Rule],
        following: Iterable[Rule] = (),
        fresh: Collection[str] = (),
    ) -> None:
        self._source = source
        self._holdings = holdings
        self._rules = tuple(rules)
        others = {rule.badge.id: rule for rule in (*following, *self._rules)}
        self._following = tuple(others.values())
        self._fresh = frozenset(fresh)
        self._people: dict[str, _Person] = {}
        self._tags: Mapping[str, Set[str]] = {} if source is None else source.tags()

    def load(self, names: Iterable[str]) -> None:
        """Ask tahrir about people; raise Unavailable."""
        new = sorted(set(names).difference(self._people))
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            found = {} if self._source is None else self._source.held_since(batch)
            for name in batch:
                coming = (each for each in found.get(name, ()) if each.badge_id not in self._fresh)
                self._people[name] = _Person(deque(coming))

    def held_by(self, name: str) -> Held:
        """Return what somebody holds by now."""
        person = self._people.get(name)
        return {} if person is None else person.held

    def advance(self, name: str, until: datetime.datetime) -> Iterator[Earned]:
        """Go on to what somebody held before a moment; yield what that earned them."""
        person = self._people[name]
        while person.coming and person.coming[0].since < until:
            since, badge_id = person.coming.popleft()
            person.held[badge_id] = self._tags.get(badge_id, frozenset())
            yield from self._earned(name, _award_message(badge_id, since), (since, math.inf))

    def add(self, earned: Earned) -> Iterator[Earned]:
        """Add an award of the replay; yield what follows from it."""
        self._hold(earned)
        yield from self._earned(earned.username, earned.message, earned.position)

    def finish(self) -> Iterator[Earned]:
        """Yield what all others have earned by what they hold; raise Unavailable."""
        self.load(self._holders())
        self._holdings.load(self._people)
        for name in self._people:
            yield from self.advance(name, _END)

    def _holders(self) -> list[str]:
        """Return who may have earned a badge by those that tahrir knows of."""
        if self._source is None or not self._rules:
            return []
        ids = {name.badge_id for rule in self._rules for name in named_badges(rule)}
        if any(map(asks_for_numbers, self._rules)):
            ids.update(self._tags)
        return self._source.holders_of(ids)

    def _earned(self, name: str, message: Message, position: Position) -> Iterator[Earned]:
        """Yield what somebody earns by what they hold by now, and what follows from that."""
        if self._holdings.is_excluded(name):
            return
        person = self._people[name]
        while found := earned_by_holding(
            self._following if person.awarded else self._rules,
            name,
            person.held,
            lambda rule: self._holdings.allows(name, rule.badge.id, position),
        ):
            for rule in found:
                earned = Earned(rule, name, message, position)
                self._hold(earned)
                self._holdings.hold(earned)
                yield earned

    def _hold(self, earned: Earned) -> None:
        badge = earned.rule.badge
        tags = self._tags.get(badge.id, frozenset()) if badge.tags is None else badge.tags
        person = self._people[earned.username]
        person.held[badge.id] = frozenset(tags)
        person.awarded = True


def _award_message(badge_id: str, since: datetime.datetime) -> Message:
    """Return what stands for the message that led to an award, which tahrir does not know."""
    sent = since.replace(tzinfo=datetime.timezone.utc).timestamp()
    return Message(f"award of {badge_id}", {"timestamp": sent}, 0.0)
