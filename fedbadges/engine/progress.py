"""How far somebody is with every badge: the engine's account of their latest messages."""

from __future__ import annotations

import datetime
import itertools
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import past_messages
from fedbadges.engine.engine import Candidates
from fedbadges.engine.explanation import Counted, Explainer, ExplanationTracer, count_of
from fedbadges.engine.tracing import Traced
from fedbadges.errors import Unavailable
from fedbadges.history.message_reader import MessageHeader, MessageReader, StoredMessage
from fedbadges.messages import Message, parse_message
from fedbadges.rules.index import RuleSet
from fedbadges.rules.operations import Count
from fedbadges.rules.operators import AllOf, AnyOf
from fedbadges.rules.rule import Rule

#: So many of somebody's latest messages are looked through, and so many of each topic.
MOST = 20_000
_EACH = 20

#: How many are read at once.
_PORTION = 50

_BY_PERSON = frozenset(["users", "agents"])


class ProgressState(Enum):
    """Where somebody stands on a badge; the values stand for it in JSON, and sort in this order."""

    EARNED = "earned"
    COUNTED = "counted"
    UNCOUNTABLE = "not-countable"
    NOTHING = "nothing-yet"
    OPTED_OUT = "opted-out"
    UNKNOWN = "unknown"
    HELD = "held"


@dataclass(frozen=True)
class Progress:
    """How far somebody is with one badge.

    ``since`` is when they got it. ``message`` is the latest that could have given it to them,
    and ``criteria`` are as they were judged for it. ``counted`` is how many of what they need they
    have, as far as that can be told.
    """

    rule: Rule
    state: ProgressState
    since: datetime.datetime | None = None
    message: Message | None = None
    criteria: Traced | None = None
    counted: Counted | None = None

    @property
    def order(self) -> tuple[object, ...]:
        """Sorts what is closest to completion first, and last what is held, the latest first."""
        share, missing = 0.0, 0
        if self.counted is not None and self.counted.needed > 0:
            share = self.counted.value / self.counted.needed
            missing = self.counted.needed - self.counted.value
        since = -self.since.timestamp() if self.since is not None else 0.0
        return list(ProgressState).index(self.state), -share, missing, since, self.rule.badge.id


class Search:
    """Looks for what one user's messages say of all badges; each method raises Unavailable.

    First ``look`` at all ``portions``, or some of them, then ``judge``; ``progress`` has the rest.
    """

    def __init__(self, settings: Settings, inquiry: Explainer, user: str) -> None:
        self._archive = MessageReader(settings)
        self._notes = ExplanationTracer(inquiry.tahrir)
        self._engine = inquiry.engine(self._notes)
        self._rules = inquiry.rules
        self._user = user.lower()
        ids = [rule.badge.id for rule in self._rules]
        self._held = inquiry.tahrir.held_since([self._user], ids)
        self.opted_out = bool(inquiry.tahrir.holdings([self._user], ids).opted_out)
        self._open = {rule.badge.id: rule for rule in self._rules if not self._has(rule)}
        self._latest: dict[str, Message] = {}
        self._looked_at: set[int] = set()
        stored = self._archive.latest_of({user, self._user}, _EACH, MOST)
        self.concerns_somebody = bool(stored or self._held)
        self.portions = [] if self.opted_out else self._portions(stored)
        self.interrupted = ""

    def look(self, portion: list[MessageHeader]) -> None:
        """Find the latest message by which each badge could have been given."""
        wanted = [each.number for each in portion if self._wanted(each)]
        for archived in self._archive.messages(wanted):
            self._name(archived)
        self._looked_at |= {each.number for each in portion}

    def judge(self) -> None:
        """Judge the criteria of all rules for what was found."""
        people: dict[Message, list[tuple[Rule, tuple[str, ...]]]] = defaultdict(list)
        for badge_id, message in self._latest.items():
            people[message].append((self._open[badge_id], (self._user,)))
        cases = [Candidates(message, tuple(each)) for message, each in people.items()]
        shared = self._engine.plan(cases)
        for case in cases:
            try:
                self._engine.decide(case, shared)
            except Unavailable as unavailable:
                self.interrupted = str(unavailable)

    def progress(self) -> list[Progress]:
        """Say how far the user is with every badge, closest to completion first."""
        return sorted((self._progress(rule) for rule in self._rules), key=lambda each: each.order)

    def _has(self, rule: Rule) -> bool:
        return (self._user, rule.badge.id) in self._held

    def _portions(self, stored: list[MessageHeader]) -> list[list[MessageHeader]]:
        rules = RuleSet(self._open.values())
        concerned: dict[str, tuple[str, ...]] = {}
        for topic in dict.fromkeys(each.topic for each in stored):
            message = parse_message({"topic": topic})
            found = () if message is None else rules.concerned(message)
            concerned[topic] = tuple(rule.badge.id for rule in found)
        self._concerned = concerned
        self._touched = set(itertools.chain.from_iterable(concerned.values()))
        rest = iter([each for each in stored if concerned[each.topic]])
        return list(iter(lambda: list(itertools.islice(rest, _PORTION)), []))

    def _wanted(self, stored: MessageHeader) -> bool:
        return any(badge_id not in self._latest for badge_id in self._concerned[stored.topic])

    def _name(self, archived: StoredMessage) -> None:
        message = parse_message(archived.body, archived.users)
        named = None if message is None else self._engine.match(message)
        if named is None:
            return
        for rule, names in named.people:
            if self._user in names and rule.badge.id in self._open:
                self._latest.setdefault(rule.badge.id, named.message)

    def _progress(self, rule: Rule) -> Progress:
        if self._has(rule):
            return Progress(rule, ProgressState.HELD, since=self._held[self._user, rule.badge.id])
        if self.opted_out:
            return Progress(rule, ProgressState.OPTED_OUT)
        message = self._latest.get(rule.badge.id)
        if message is None:
            return self._without_message(rule)
        criteria = self._notes.criteria_for(rule, self._user)
        counted = None if criteria is None else _nearest(criteria)
        state = ProgressState.UNCOUNTABLE if counted is None else ProgressState.COUNTED
        if (self._user, rule.badge.id) in self._notes.awarded:
            state = ProgressState.EARNED
        elif self._notes.accounts.get((rule.badge.id, self._user)) is False:
            state = ProgressState.UNCOUNTABLE
        elif criteria is None or isinstance(criteria.raised, Unavailable) or criteria.answer:
            state = ProgressState.UNKNOWN
        return Progress(rule, state, None, message, criteria, counted)

    def _without_message(self, rule: Rule) -> Progress:
        if sum(len(portion) for portion in self.portions) > len(self._looked_at):
            return Progress(rule, ProgressState.UNKNOWN)
        # Who has sent what the rule may be about has maybe more than nothing of what it counts.
        needed = None if rule.badge.id in self._touched else _needed(rule)
        if needed is None:
            return Progress(rule, ProgressState.NOTHING)
        return Progress(rule, ProgressState.COUNTED, counted=Counted(0, needed))


def _nearest(criteria: Traced) -> Counted | None:
    """Give the count that decides: of ``any`` the nearest, of ``all`` the first that is short."""
    counts: Iterable[Counted | None] = ()
    if isinstance(criteria.check, AnyOf):
        counts = (_nearest(part) for part in criteria.parts)
    elif isinstance(criteria.check, AllOf):
        counts = (_nearest(part) for part in criteria.parts if part.answer is False)
    else:
        return count_of(criteria)
    known = [each for each in counts if each is not None and each.needed > 0]
    return max(known, key=lambda each: each.value / each.needed, default=None)


def _needed(rule: Rule) -> int | None:
    """Tell how many of their messages somebody needs who has none; None if it is not as simple."""
    question = past_messages(rule.criteria)
    if question is None:
        return None
    operation = question.operation
    counts = isinstance(operation, Count) or operation.expression.test is not None
    theirs = any(key in _BY_PERSON for key, _ in question.filter.entries)
    return question.condition.needed if counts and theirs else None
