"""The replay: who would have earned which badge, had the rules existed from the beginning.

The history is gone through once, in the order of time. The engine decides on each message as if it
had just been stored: behind the criteria, past messages are those up to it, and in place of tahrir
stands a roll of who has earned what so far.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fedbadges.accounts import make_accounts
from fedbadges.archive import body_of
from fedbadges.chronicle import Chronicle, Entry, Head
from fedbadges.daemon import load_backends
from fedbadges.engine import Engine, Named, Shared
from fedbadges.hindsight import Hindsight
from fedbadges.history import Datanommer, PastMessages
from fedbadges.messages import Message, parse_message
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.criteria import DEFAULT_BACKEND, Backends, Question, Unavailable
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.settings import Settings
from fedbadges.tahrir import Given, Standing
from fedbadges.usernames import Usernames


@dataclass(frozen=True)
class Earned:
    """Somebody earned a badge, and the message that did it."""

    rule: Rule
    username: str
    message: Message


class Standings(Protocol):
    """Knows who opted out: tahrir."""

    def standing(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Standing:
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
        self._chronicle = Chronicle(settings)
        self._past = Hindsight(settings)
        self._usernames = Usernames(settings.fedmsg)
        self._accounts = make_accounts(settings)
        self._roll = _Roll(people)
        self._peaks: dict[str, dict[str, int]] = defaultdict(dict)
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

        Without ``measure`` there are no peaks, which saves what finding them costs.
        """
        chosen = RuleSet(rules)
        engine = Engine(
            self._settings,
            self._roll,
            self._usernames,
            chosen,
            lambda given: None,
            self._accounts,
        )
        measured = [rule for rule in chosen if measure and _has_peaks(rule)]
        self.total = self._chronicle.count()
        for heads in self._chronicle.heads():
            yield from self._go_over(heads, engine, {rule.badge.id for rule in measured})
            self.done += len(heads)
        self.total = self.done

    def _go_over(
        self, heads: Sequence[Head], engine: Engine, measured: set[str]
    ) -> Iterator[Earned]:
        entries = self._chronicle.entries(heads)
        named = [_named(entry, engine) for entry in entries]
        self._roll.meet(
            name for each in named if each for _, names in each.people for name in names
        )
        for entry, each in zip(entries, named, strict=True):
            self._past.see(entry)
            if each is not None:
                yield from self._decide(each, engine, measured)

    def _decide(self, named: Named, engine: Engine, measured: set[str]) -> Iterator[Earned]:
        shared: Shared = {}
        for rule, names in named.people:
            if rule.badge.id in measured:
                self._measure(rule, names, named.message, shared)
        (case,) = engine.cases([named])
        if case is None:
            return
        engine.decide(case, shared)
        rules = {rule.badge.id: rule for rule, _ in case.candidates}
        for badge_id, name in self._roll.take():
            yield Earned(rules[badge_id], name, named.message)

    def _measure(self, rule: Rule, names: Iterable[str], message: Message, shared: Shared) -> None:
        assert isinstance(rule.criteria, PastMessages)
        peaks = self._peaks[rule.badge.id]
        for name in names:
            if self._roll.has_opted_out(name):
                continue
            question = Question(message, name if rule.names_recipient else None, shared=shared)
            try:
                value = rule.criteria.value(question)
            except Unavailable:
                raise
            except (Exception, SystemExit):  # the engine says what goes wrong with it
                continue
            if isinstance(value, int):
                peaks[name] = max(peaks.get(name, value), value)


class _Roll:
    """Who has earned what so far; it stands in for tahrir."""

    def __init__(self, people: Standings | None) -> None:
        self._people = people
        self._met: set[str] = set()
        self._held: set[tuple[str, str]] = set()
        self._opted_out: set[str] = set()
        self._new: list[tuple[str, str]] = []
        self._standing = Standing(self._held, self._opted_out)

    def meet(self, names: Iterable[str]) -> None:
        """Ask who of those that were not met before has opted out."""
        new = set(names) - self._met
        self._met |= new
        if new and self._people is not None:
            self._opted_out |= self._people.standing(new, ()).opted_out

    def has_opted_out(self, name: str) -> bool:
        """Tell whether somebody who was met has opted out."""
        return name in self._opted_out

    def take(self) -> list[tuple[str, str]]:
        """Give what was earned since the last time: badge ids and names."""
        new, self._new = self._new, []
        return new

    def standing(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Standing:
        """Tell who holds what by now, and who opted out, of everybody."""
        return self._standing

    def award(self, badge_id: str, username: str, link: str | None) -> Given | None:
        """Take note; there is nothing to tell anybody."""
        if (username, badge_id) not in self._held:
            self._held.add((username, badge_id))
            self._new.append((badge_id, username))
        return None


def _has_peaks(rule: Rule) -> bool:
    criteria = rule.criteria
    return isinstance(criteria, PastMessages) and isinstance(criteria.condition, Comparison)


def _named(entry: Entry, engine: Engine) -> Named | None:
    message = parse_message(body_of(entry.row, entry.msg), entry.known_users)
    return None if message is None else engine.name(message)
