"""Triggers: the cheap check, on the message alone."""

import functools
import re
from dataclasses import dataclass, field

from fedbadges.errors import Place
from fedbadges.messages import Message
from fedbadges.rules.expressions import Expression, parse_message_expression
from fedbadges.rules.grammar import LAMBDA, Schema, combined, mapping_of, operators_over, ref
from fedbadges.rules.operators import AllOf, AnyOf, Check, LeafParser, parse_combined
from fedbadges.rules.parsing import Problems, as_text
from fedbadges.rules.templates import RECIPIENT
from fedbadges.rules.yaml_document import MappingNode, Node, SequenceNode

Trigger = Check[Message]

#: What no message's topic or category has: regular expressions.
IMPOSSIBLE = {"topic": r"\*|%\(|\s", "category": r"\*|%\(|\s|\."}
_MEANINGS = {
    "topic": "The message's topic ends with this, in whole parts.",
    "category": "The fourth part of the message's topic is this.",
}
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
        return bool(self.expression.evaluate(message.body, message.body))


@dataclass(frozen=True)
class AnyAward:
    """Stands for the trigger of a rule that has none: awards trigger it, and messages do not."""

    place: Place = field(compare=False)

    def holds(self, message: Message) -> bool:
        """Return False."""
        return False


def required_names(trigger: Trigger) -> tuple[Topic | Category, ...] | None:
    """Return topics and categories of which ``trigger`` requires one, or None if it does not."""
    if isinstance(trigger, (Topic, Category)):
        return (trigger,)
    if isinstance(trigger, AnyAward):
        return ()
    if isinstance(trigger, AllOf):
        known = [names for part in trigger.parts if (names := required_names(part)) is not None]
        # A category has many topics.
        return min(
            known,
            key=lambda names: (sum(isinstance(each, Category) for each in names), len(names)),
            default=None,
        )
    if isinstance(trigger, AnyOf):
        found: tuple[Topic | Category, ...] = ()
        for part in trigger.parts:
            names = required_names(part)
            if names is None:
                return None
            found += names
        return found
    return None


def parse_trigger(node: Node, problems: Problems) -> Trigger | None:
    """Parse the mapping below ``trigger:``, or below one of its operators."""
    return parse_combined(node, "a trigger", _PARSERS, parse_trigger, problems)


def _parse_lambda(node: Node, problems: Problems, place: Place) -> Trigger | None:
    expression = parse_message_expression(node, problems)
    if expression is None:
        return None
    for path in expression.paths:
        if path.dotted == RECIPIENT:
            text = f"'%({RECIPIENT})s' stands in filters; a trigger comes before all candidates"
            problems.add(path.place or place, text)
    return LambdaTrigger(expression, place)


def _parse_name(
    kind: str, node: Node, problems: Problems, place: Place | None = None
) -> Trigger | None:
    """Parse a topic or a category: its name, or operators over some."""
    if isinstance(node, MappingNode):
        parse = functools.partial(_parse_name, kind)
        return parse_combined(node, f"a '{kind}'", {}, parse, problems, place)
    if isinstance(node, SequenceNode):
        several = f"to name several, write '{kind}: {{any: […]}}'"
        problems.add(node.place, f"a {kind} is text, and this is a list; {several}")
        return None
    name = as_text(node, f"a {kind}", problems)
    if name is None:
        return None
    text = name.text.strip()
    found = re.search(IMPOSSIBLE[kind], text)
    if found:
        mistake = name.place_at(name.text.index(text) + found.start())
        problems.add(mistake, f"a {kind} {_WHY[found.group().strip()]}")
    if kind == "topic":
        # A dot in front stands for the parts that are left out.
        return Topic(text.removeprefix(".") or text, place or node.place, name.place)
    return Category(text, place or node.place, name.place)


_PARSERS: dict[str, LeafParser[Message]] = {
    "topic": functools.partial(_parse_name, "topic"),
    "category": functools.partial(_parse_name, "category"),
    "lambda": _parse_lambda,
}


def _name(kind: str) -> Schema:
    """Describe a topic or a category, without what none has, but for blanks around it."""
    return {"type": "string", "pattern": rf"^\s*((?!{IMPOSSIBLE[kind]})[\s\S])+\s*$"}


#: The definitions of a JSON Schema for triggers.
DEFINITIONS: dict[str, Schema] = {
    "trigger": mapping_of(
        {
            **{kind: {"description": text, **ref(kind)} for kind, text in _MEANINGS.items()},
            "lambda": LAMBDA,
            **operators_over("trigger"),
        }
    ),
    **{kind: combined(_name(kind), kind) for kind in IMPOSSIBLE},
}
