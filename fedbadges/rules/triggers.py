"""Triggers: the cheap check, on the message alone."""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fedbadges.errors import MissingValue, Place
from fedbadges.messages import Message
from fedbadges.rules.comparisons import MISSING, Values
from fedbadges.rules.expressions import Expression, parse_message_expression
from fedbadges.rules.field_code import UNDECIDED, QuickTest, quick_test
from fedbadges.rules.fields import DEFINITIONS as FIELD_DEFINITIONS
from fedbadges.rules.fields import FIELDS_KIND, Decision, Field, body_reader, index_of, resolved
from fedbadges.rules.grammar import LAMBDA, OPERATORS, Schema, combined, operators_over, ref
from fedbadges.rules.operators import AllOf, AnyOf, Check, LeafParser, parse_combined
from fedbadges.rules.parsing import Problems, as_text, check_keys, is_split_lambda
from fedbadges.rules.templates import RECIPIENT, TemplatePath
from fedbadges.rules.yaml_document import MappingNode, Node, SequenceNode
from fedbadges.util.text import join_quoted

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
    "%(": "is no template; 'fields' compares parts of the message",
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

    @property
    def paths(self) -> tuple[TemplatePath, ...]:
        """Return the paths of the templates in it."""
        return self.expression.paths

    def holds(self, message: Message) -> bool:
        """Evaluate the expression; raise whatever it raises."""
        return bool(self.expression.evaluate(message))


@dataclass(frozen=True)
class AnyAward:
    """Stands for the trigger of a rule that has none: awards trigger it, and messages do not."""

    place: Place = field(compare=False)

    def holds(self, message: Message) -> bool:
        """Return False."""
        return False


@dataclass(frozen=True)
class FieldTrigger:
    """Holds of a message that has what is wanted at a path."""

    wanted: Field
    place: Place = field(compare=False)
    decide: Decision = field(compare=False, repr=False)

    @classmethod
    def of(cls, wanted: Field, place: Place) -> "FieldTrigger":
        """Return the trigger for a field."""
        decide = wanted.decision(body_reader(wanted.path), index_of(wanted.check.paths))
        return cls(wanted, place, decide)

    @property
    def paths(self) -> tuple[TemplatePath, ...]:
        """Return the paths of the templates in it."""
        return self.wanted.check.paths

    def holds(self, message: Message) -> bool:
        """Compare what the message has; raise MissingValue if it has nothing to compare."""
        source = message.values
        found = self.answer(source)
        if found is None:
            raise self.error(source)
        return found

    def answer(self, source: Mapping[str, Any]) -> bool | None:
        """Return the same of the values of a message, or None if it has nothing to compare."""
        values: Values = tuple([resolved(path, source) for path in self.paths])
        return self.decide(source, values)

    def error(self, source: Mapping[str, Any]) -> MissingValue:
        """Return why a message with these values has nothing to compare."""
        for path in (self.wanted.path, *self.paths):
            if resolved(path, source) is MISSING:
                return path.missing()
        return MissingValue("the message has no text for a template")


@dataclass(frozen=True)
class AllFields(AllOf[Message]):
    """Holds of a message that has what is wanted at each of several paths.

    ``quick`` decides for most messages at once, the ``fields`` for those for which it raises an
    error; the parts are the same.
    """

    fields: tuple[FieldTrigger, ...] = field(compare=False, repr=False)
    quick: QuickTest = field(compare=False, repr=False)

    @classmethod
    def of(cls, wanted: Sequence[Field], place: Place) -> "AllFields":
        """Return the trigger for fields."""
        fields = tuple(FieldTrigger.of(each, each.place) for each in wanted)
        quick = quick_test((each.path, each.check) for each in wanted)
        return cls(fields, place, fields, quick)

    def holds(self, subject: Message) -> bool:
        """Return True if every part holds; raise an error if none is false, and one raised it."""
        try:
            return self.quick(subject.body, ())
        except UNDECIDED:
            pass
        # As AllOf does, but an error that another part overrules is not even made.
        source, unknown = subject.values, None
        for part in self.fields:
            found = part.answer(source)
            if found is False:
                return False
            if found is None and unknown is None:
                unknown = part
        if unknown is not None:
            raise unknown.error(source)
        return True


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
    """Parse the mapping below ``trigger:``, or below an operator; all of its keys must hold."""
    if isinstance(node, MappingNode) and not node.entries:
        expected = f"expected at least one of {join_quoted(_KEYS)}"
        problems.add(node.place, f"a trigger is empty; {expected}")
        return None
    if not isinstance(node, MappingNode) or len(node.entries) == 1 or is_split_lambda(node):
        return parse_combined(node, "a trigger", _PARSERS, parse_trigger, problems)
    complete = check_keys(node, _KEYS, "a trigger", problems)
    parts: list[Trigger] = []
    for entry in node.entries:
        if entry[0].value in _KEYS:
            single = replace(node, entries=(entry,))
            place = entry[0].place
            part = parse_combined(single, "a trigger", _PARSERS, parse_trigger, problems, place)
            if part is None:
                complete = False
            else:
                parts.append(part)
    return AllOf(tuple(parts), node.place) if complete else None


def _parse_lambda(node: Node, problems: Problems, place: Place) -> Trigger | None:
    expression = parse_message_expression(node, problems)
    if expression is None:
        return None
    _report_recipient(expression.paths, problems, place)
    return LambdaTrigger(expression, place)


def _report_recipient(paths: Iterable[TemplatePath], problems: Problems, place: Place) -> None:
    for path in paths:
        if path.dotted == RECIPIENT:
            text = f"'%({RECIPIENT})s' stands in filters; a trigger comes before all candidates"
            problems.add(path.place or place, text)


def _parse_fields(node: Node, problems: Problems, place: Place) -> Trigger | None:
    found = FIELDS_KIND.read(node, "'fields'", problems)
    if found is None:
        return None
    for each in found:
        _report_recipient(each.check.paths, problems, each.place)
    return AllFields.of(found, place)


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
    "fields": _parse_fields,
    "lambda": _parse_lambda,
}
_KEYS = (*_PARSERS, *OPERATORS)


def _name(kind: str) -> Schema:
    """Describe a topic or a category, without what none has, but for blanks around it."""
    return {"type": "string", "pattern": rf"^\s*((?!{IMPOSSIBLE[kind]})[\s\S])+\s*$"}


#: The definitions of a JSON Schema for triggers.
DEFINITIONS: dict[str, Schema] = {
    "trigger": {
        "type": "object",
        "properties": {
            **{kind: {"description": text, **ref(kind)} for kind, text in _MEANINGS.items()},
            "fields": {"description": "What the message has at some paths.", **FIELDS_KIND.schema},
            "lambda": LAMBDA,
            **operators_over("trigger"),
        },
        "additionalProperties": False,
        "minProperties": 1,
    },
    **{kind: combined(_name(kind), kind) for kind in IMPOSSIBLE},
    **FIELD_DEFINITIONS,
}
