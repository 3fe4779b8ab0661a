"""Triggers: the cheap check, on the message alone."""

from __future__ import annotations

import functools
import operator
import re
from dataclasses import dataclass, field

from fedbadges.errors import Place
from fedbadges.messages import Message
from fedbadges.rules.expressions import Expression, parse_expression
from fedbadges.rules.grammar import (
    LAMBDA,
    OPERATORS,
    Schema,
    combined,
    mapping_of,
    operators_over,
    ref,
)
from fedbadges.rules.operators import AllOf, AnyOf, Check, parse_operator
from fedbadges.rules.parsing import Problems, as_text, only_entry
from fedbadges.rules.yaml_document import MappingNode, Node

Trigger = Check[Message]

TRIGGER_KEYS = ("topic", "category", "lambda", *OPERATORS)

#: What no message's topic or category has: regular expressions.
IMPOSSIBLE = {"topic": r"\*|%\(|\s", "category": r"\*|%\(|\s|\."}
_WHY = {
    "": "has no blanks",
    "*": "is compared in whole parts, and knows no '*'",
    "%(": "is no template; a lambda can compare parts of the message",
    ".": "is one part of a topic, such as 'git'; a 'topic' may have several",
}


@dataclass(frozen=True)
class Topic:
    """Holds of a message whose topic ends with these dotted parts."""

    suffix: str
    place: Place = field(compare=False)
    name_place: Place = field(compare=False)

    def holds(self, message: Message) -> bool:
        """Compare whole parts: ``git.receive`` is no end of ``prod.infragit.receive``."""
        return message.topic == self.suffix or message.topic.endswith("." + self.suffix)


@dataclass(frozen=True)
class Category:
    """Holds of the messages of one category, such as ``git``."""

    name: str
    place: Place = field(compare=False)
    name_place: Place = field(compare=False)

    def holds(self, message: Message) -> bool:
        """Compare the category of the message's topic."""
        return message.category == self.name


@dataclass(frozen=True)
class LambdaTrigger:
    """Holds of a message if an expression over ``msg``, the whole message, is true of it."""

    expression: Expression
    place: Place = field(compare=False)

    def holds(self, message: Message) -> bool:
        """Evaluate the expression; raise whatever it raises."""
        return bool(self.expression(message.body))


@dataclass(frozen=True)
class Concern:
    """The messages that a trigger can hold of at all: by topic, by category, or any."""

    topics: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    anything: bool = False

    def __or__(self, other: Concern) -> Concern:
        return Concern(
            self.topics | other.topics,
            self.categories | other.categories,
            self.anything or other.anything,
        )


def concern_of(trigger: Trigger) -> Concern:
    """Return which messages ``trigger`` can hold of; it does not hold of any other."""
    if isinstance(trigger, Topic):
        return Concern(topics=frozenset([trigger.suffix]))
    if isinstance(trigger, Category):
        return Concern(categories=frozenset([trigger.name]))
    if isinstance(trigger, AllOf):
        return min(map(concern_of, trigger.parts), key=_breadth)
    if isinstance(trigger, AnyOf):
        return functools.reduce(operator.or_, map(concern_of, trigger.parts))
    return Concern(anything=True)


def parse_trigger(node: Node, problems: Problems) -> Trigger | None:
    """Parse the mapping below ``trigger:``, or below one of its operators."""
    entry = only_entry(node, TRIGGER_KEYS, "a trigger", problems)
    if entry is None:
        return None
    key, value = entry
    if key.text in OPERATORS:
        return parse_operator(
            key.text, value, lambda part: parse_trigger(part, problems), problems, node.place
        )
    if key.text == "lambda":
        expression = parse_expression(value, "msg", problems)
        return None if expression is None else LambdaTrigger(expression, node.place)
    return _parse_name(key.text, value, problems, node.place)


def _breadth(concern: Concern) -> tuple[bool, int, int]:
    return concern.anything, len(concern.categories), len(concern.topics)


def _parse_name(kind: str, node: Node, problems: Problems, place: Place) -> Trigger | None:
    """Parse a topic or a category, which begins at ``place``: its name, or operators over some."""
    if isinstance(node, MappingNode):
        entry = only_entry(node, OPERATORS, f"a '{kind}'", problems)
        if entry is None:
            return None
        key, value = entry
        return parse_operator(
            key.text,
            value,
            lambda part: _parse_name(kind, part, problems, part.place),
            problems,
            place,
        )
    name = as_text(node, f"a {kind}", problems)
    if name is None:
        return None
    text = name.text.strip()
    found = re.search(IMPOSSIBLE[kind], text)
    if found:
        mistake = name.place_at(name.text.index(text) + found.start())
        problems.add(mistake, f"a {kind} {_WHY[found.group().strip()]}")
    return (Topic if kind == "topic" else Category)(text, place, name.place)


def _name(kind: str) -> Schema:
    """Describe a topic or a category, without what none has, but for blanks around it."""
    return {"type": "string", "pattern": rf"^\s*((?!{IMPOSSIBLE[kind]})[\s\S])+\s*$"}


#: The definitions of a JSON Schema for triggers.
DEFINITIONS: dict[str, Schema] = {
    "trigger": mapping_of(
        {**{kind: ref(kind) for kind in IMPOSSIBLE}, "lambda": LAMBDA, **operators_over("trigger")}
    ),
    **{kind: combined(_name(kind), kind) for kind in IMPOSSIBLE},
}
