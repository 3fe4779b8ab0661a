"""Which answers the parts of tested rules gave in tests, and which they never gave.

A part is a check below all operators: a topic, a lambda, a condition. A test reaches one of its
answers if the daemon, judging the test's messages, would get it. It asks no more parts than decide.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fedbadges.criteria.datanommer import PastMessages, past_messages
from fedbadges.engine.tracing import Traced, Tracer, trace
from fedbadges.errors import MissingValue, Place
from fedbadges.messages import Message
from fedbadges.rules import comparisons
from fedbadges.rules.filters import templates_in
from fedbadges.rules.operators import RULE_ERRORS, AllOf, AnyOf, Check, Not, leaves
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Category, FieldTrigger, Topic

#: The keys of filters that select the message itself, by its topic and the people it concerns.
_OF_ITSELF = frozenset(["topics", "users", "agents"])


@dataclass(frozen=True)
class Part:
    """A part of a rule, with the answers that it has to give and those that it gave in tests.

    ``place`` is where it can be changed. It was ``asked`` if a test got as far as that.
    """

    place: Place
    check: Check[Any]
    wanted: frozenset[bool]
    given: frozenset[bool]
    asked: bool

    @property
    def missing(self) -> frozenset[bool]:
        """Return the answers that it never gave."""
        return self.wanted - self.given


@dataclass(frozen=True)
class RuleCoverage:
    """What tests reach of one rule; ``tested`` says whether it has a test."""

    rule: Rule
    tested: bool
    triggered: bool
    parts: tuple[Part, ...]


@dataclass
class _Seen:
    given: set[bool] = field(default_factory=set)
    asked: bool = False


#: The place of a part, and of the comparisons of a field which one it is.
_Key = tuple[Place, str]


class Coverage:
    """Collects what tests reach."""

    def __init__(self) -> None:
        self._rules: dict[Place, Rule] = {}
        self._tested: set[Place] = set()
        self._triggered: set[Place] = set()
        self._seen: dict[_Key, _Seen] = {}
        self._paths: dict[str, str] = {}

    def add(self, rules: Iterable[Rule], *, tested: bool = False) -> None:
        """Add rules to those that should have tests, or that have one."""
        for rule in rules:
            place = self._actual(rule.place)
            self._rules.setdefault(place, rule)
            if tested:
                self._tested.add(place)

    def note(self, rules: Iterable[Rule], tracer: Tracer, message: Message) -> None:
        """Note how rules judged a message, and forget it in the tracer."""
        for rule in rules:
            trigger = tracer.triggers.get(rule.badge.id)
            if trigger is not None:
                self._note(trigger, message)
                if trigger.answer:
                    self._triggered.add(self._actual(rule.place))
        for criteria in tracer.judged.values():
            self._note(criteria, message)
        tracer.triggers.clear()
        tracer.judged.clear()

    @property
    def rules(self) -> list[RuleCoverage]:
        """Return the rules, in the order of their places."""
        return [
            RuleCoverage(
                rule,
                place in self._tested,
                # No message does where there is no trigger, and no tracer sees its criteria.
                place in self._triggered or not rule.has_trigger,
                tuple(map(self._part, _parts(rule))) if rule.has_trigger else (),
            )
            for place, rule in sorted(self._rules.items())
        ]

    def _key(self, check: Check[Any]) -> _Key:
        """Return what distinguishes a part: its place, and of a field the comparison."""
        text = str(check.wanted) if isinstance(check, FieldTrigger) else ""
        return self._actual(_place(check)), text

    def _actual(self, place: Place) -> Place:
        """Return the place in the file itself, which tests may reach by several paths."""
        if place.path not in self._paths:
            self._paths[place.path] = os.path.realpath(place.path)
        return replace(place, path=self._paths[place.path])

    def _note(self, traced: Traced, message: Message) -> None:
        for leaf in _traced_leaves(traced):
            seen = self._seen.setdefault(self._key(leaf.check), _Seen())
            seen.asked |= leaf.asked
            if leaf.answer is not None:
                seen.given.add(leaf.answer)
            elif isinstance(leaf.check, FieldTrigger) and isinstance(leaf.raised, MissingValue):
                seen.given.add(False)
            if leaf.asked and isinstance(leaf.check, FieldTrigger):
                alternatives = trace(_expand(leaf.check, leaf.check.wanted.check))
                if alternatives.parts:
                    with contextlib.suppress(*RULE_ERRORS):
                        alternatives.holds(message)
                    self._note(alternatives, message)

    def _part(self, check: Check[Any]) -> Part:
        seen = self._seen.get(self._key(check), _Seen())
        # Of what has another topic the daemon knows without asking.
        one_sided = isinstance(check, (Topic, Category)) or _is_formality(past_messages(check))
        wanted = frozenset([True]) if one_sided else frozenset([True, False])
        return Part(_place(check), check, wanted, frozenset(seen.given), seen.asked)


def _parts(rule: Rule) -> Iterator[Check[Any]]:
    """Yield the parts of a rule; of a field, each of its comparisons."""
    for leaf in leaves(rule.trigger):
        if isinstance(leaf, FieldTrigger):
            yield from leaves(_expand(leaf, leaf.wanted.check))
        else:
            yield leaf
    yield from leaves(rule.criteria)


def _expand(field: FieldTrigger, check: comparisons.Check) -> Check[Any]:
    """Return a check of a field as triggers for its single comparisons, below operators."""
    if isinstance(check, comparisons.Several):
        operator = AnyOf if check.decisive else AllOf
        return operator(tuple(_expand(field, part) for part in check.parts), field.place)
    if isinstance(check, comparisons.Not):
        return Not(_expand(field, check.part), field.place)
    return FieldTrigger.of(replace(field.wanted, check=check), field.place)


def _traced_leaves(traced: Traced) -> Iterator[Traced]:
    if not traced.parts:
        yield traced
    for part in traced.parts:
        yield from _traced_leaves(part)


def _is_formality(question: PastMessages | None) -> bool:
    """Return True for a count for which the message itself is enough: a first time."""
    if question is None or question.operation.expression is not None:
        return False
    entries = dict(question.filter.entries)
    if "msg_id" in entries:
        return True
    topics = templates_in(entries.get("topics", ()))
    same_topic = "topics" not in entries or any(each.names("topic") for each in topics)
    return question.condition.needed == 1 and same_topic and entries.keys() <= _OF_ITSELF


def _place(check: Check[Any]) -> Place:
    """Return the place of a part; of a question that of its condition, which is one threshold."""
    question = past_messages(check)
    return check.place if question is None else question.condition.place
