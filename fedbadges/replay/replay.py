"""The replay itself: the whole history gone through once, and who earned what on the way.

The engine decides on each message as if it had just been stored: behind the criteria, past messages
are those up to it, and in place of tahrir stands a roll of who has earned what so far.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from fedbadges.accounts.service import make_accounts
from fedbadges.accounts.usernames import Usernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import Datanommer, past_messages
from fedbadges.engine.engine import BadgeEngine, Earned, Shared, Triggered
from fedbadges.errors import Unavailable
from fedbadges.history.message_reader import body_of
from fedbadges.messages import Message, parse_message
from fedbadges.replay.chronicle import Chronicle, Head, HistoryEntry
from fedbadges.replay.history_as_of import HistoryAsOf
from fedbadges.replay.prefetch import prefetched
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.criteria import DEFAULT_BACKEND, Backends, Question
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awards import Award, BulkAwardResult, Holdings
from fedbadges.util.caching import BoundedDict
from fedbadges.util.text import short_repr

log = logging.getLogger(__name__)

#: Of how many topics it is remembered who is interested in them.
_MOST_TOPICS = 10_000


class Standings(Protocol):
    """Knows who opted out: tahrir."""

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Tell of these people and badges who holds what, and who opted out."""


class Replay:
    """Goes over the history. Making one asks nobody anything.

    ``backends`` are those to load the rules with. ``people`` tells who opted out; without it,
    nobody has.

    While and after it runs, ``peaks`` has, by the badge's id and the candidate, the highest value
    that the rule's criterion had for them at a message that triggered the rule, also after they
    earned the badge; for rules with one criterion over past messages that compares with a number.
    ``done`` of ``total`` messages have been read.
    """

    def __init__(self, settings: Settings, people: Standings | None = None) -> None:
        self._settings = settings
        self._people = people
        self._chronicle = Chronicle(settings)
        self._past = HistoryAsOf(settings, self._chronicle)
        self._usernames = Usernames(settings.fedmsg)
        self._accounts = make_accounts(settings)
        self._peaks: dict[str, dict[str, int]] = {}
        self.backends: Backends = {
            **load_backends(settings),
            DEFAULT_BACKEND: Datanommer(settings, self._past),
        }
        self.done = 0
        self.total = 0

    @property
    def peaks(self) -> Mapping[str, Mapping[str, int]]:
        """The highest values, by badge and candidate."""
        return self._peaks

    def run(self, rules: Iterable[Rule], *, measure: bool = True) -> Iterator[Earned]:
        """Tell who earned what, the oldest first; raises Unavailable.

        Without ``measure`` there are no peaks, which saves what finding them costs. What is stored
        meanwhile is not looked at.
        """
        chosen = RuleSet(rules)
        self._past.begin(chosen)
        roll = _Roll(self._people)
        self._peaks = {rule.badge.id: {} for rule in chosen if measure and _has_peaks(rule)}
        engine = BadgeEngine(
            self._settings, roll, self._usernames, chosen, lambda given: None, self._accounts
        )
        self.done, self.total = 0, self._chronicle.begin()
        interested = _Interested(chosen, self._past)
        for count, entries in prefetched(self._portions(interested)):
            yield from self._go_over(entries, engine, roll, interested)
            self.done += count

    def _portions(self, interested: _Interested) -> Iterator[tuple[int, list[HistoryEntry]]]:
        """Read the history: how many messages, and those of them that somebody wants to see."""
        for heads in self._chronicle.heads():
            wanted = [head for head in heads if interested.anybody(head)]
            yield len(heads), self._chronicle.entries(wanted)

    def _go_over(
        self,
        entries: Sequence[HistoryEntry],
        engine: BadgeEngine,
        roll: _Roll,
        interested: _Interested,
    ) -> Iterator[Earned]:
        named = [_named(entry, engine) if interested.rules(entry) else None for entry in entries]
        roll.meet(name for each in named if each for _, names in each.people for name in names)
        self._past.look_ahead(entries)
        for entry, each in zip(entries, named, strict=True):
            self._past.see(entry)
            if each is not None:
                yield from self._decide(each, engine, roll)

    def _decide(self, named: Triggered, engine: BadgeEngine, roll: _Roll) -> Iterator[Earned]:
        shared: Shared = {}
        for rule, names in named.people:
            peaks = self._peaks.get(rule.badge.id)
            if peaks is not None:
                _measure(peaks, rule, roll.without_opted_out(names), named.message, shared)
        (case,) = engine.find_candidates([named])
        if case is None:
            return
        engine.decide(case, shared)
        rules = {rule.badge.id: rule for rule, _ in case.candidates}
        for badge_id, name in roll.take():
            yield Earned(rules[badge_id], name, named.message)


class _Roll:
    """Who has earned what so far; it stands in for tahrir."""

    def __init__(self, people: Standings | None) -> None:
        self._people = people
        self._met: set[str] = set()
        self._held: set[tuple[str, str]] = set()
        self._opted_out: set[str] = set()
        self._new: list[tuple[str, str]] = []
        self._standing = Holdings(self._held, self._opted_out)

    def meet(self, names: Iterable[str]) -> None:
        """Ask who of those that were not met before has opted out."""
        if self._people is None:
            return
        new = set(names) - self._met
        if new:
            self._met |= new
            self._opted_out |= self._people.holdings(new, ()).opted_out

    def without_opted_out(self, names: Iterable[str]) -> list[str]:
        """Give those who have not opted out, of people who were met."""
        return [name for name in names if name not in self._opted_out]

    def take(self) -> list[tuple[str, str]]:
        """Give what was earned since the last time: badge ids and names."""
        new, self._new = self._new, []
        return new

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Tell who holds what by now, and who opted out: of everybody."""
        return self._standing

    def award_all(self, awards: Iterable[Award]) -> BulkAwardResult:
        """Take note; there is nothing to tell anybody."""
        for award in awards:
            self._held.add((award.username, award.badge_id))
            self._new.append((award.badge_id, award.username))
        return BulkAwardResult()


class _Interested:
    """Who wants to see a message, by its topic: the rules, or only the past."""

    def __init__(self, rules: RuleSet, past: HistoryAsOf) -> None:
        self._rules = rules
        self._past = past
        self._known: BoundedDict[tuple[str, str], tuple[bool, bool]] = BoundedDict(_MOST_TOPICS)

    def anybody(self, message: Head | HistoryEntry) -> bool:
        """Tell whether anybody is interested."""
        return any(self._find(message))

    def rules(self, message: Head | HistoryEntry) -> bool:
        """Tell whether it can trigger a rule."""
        return self._find(message)[0]

    def _find(self, message: Head | HistoryEntry) -> tuple[bool, bool]:
        key = message.topic, message.category
        known = self._known.get(key)
        if known is None:
            concerned = self._rules.concerned(Message(message.topic, {}, 0.0))
            known = bool(concerned), self._past.is_interested(*key)
            self._known[key] = known
        return known


def _has_peaks(rule: Rule) -> bool:
    criterion = past_messages(rule.criteria)
    return criterion is not None and isinstance(criterion.condition, Comparison)


def _measure(
    peaks: dict[str, int], rule: Rule, names: Iterable[str], message: Message, shared: Shared
) -> None:
    criterion = past_messages(rule.criteria)
    assert criterion is not None
    for name in names:
        question = Question(message, name if rule.names_recipient else None, batch_cache=shared)
        try:
            value = criterion.value(question)
        except Unavailable:
            raise
        except (Exception, SystemExit):  # the engine says what goes wrong with it
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            peaks[name] = max(peaks.get(name, value), value)


def _named(entry: HistoryEntry, engine: BadgeEngine) -> Triggered | None:
    try:
        content = entry.msg
    except (ValueError, RecursionError) as error:
        log.warning(
            "Passed over %r, whose content cannot be read: %s", entry.msg_id, short_repr(error)
        )
        return None
    message = parse_message(body_of(entry.row, content), entry.known_users)
    return None if message is None else engine.match(message)
