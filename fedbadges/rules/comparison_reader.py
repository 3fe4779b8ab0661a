"""Reading comparisons: what a rule may have below a path, or below ``length``."""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace

from fedbadges.rules.comparisons import (
    EQUAL,
    NAMES,
    ORDERED,
    Check,
    Comparison,
    Exists,
    Length,
    Not,
    Several,
    Value,
)
from fedbadges.rules.grammar import OPERATORS, YES_NO, Schema, ref
from fedbadges.rules.hints import SIGNS, comparison
from fedbadges.rules.parsing import Problems, each_item
from fedbadges.rules.templates import PATH_ALONE, TEXT_TEMPLATE, parse_template
from fedbadges.rules.yaml_document import Node, ScalarNode, SequenceNode
from fedbadges.util.text import join_quoted, quoted, suggestion

_TEXTUAL = ("starts with", "ends with")
_OF_NUMBERS = tuple(name for name in NAMES if name not in (*_TEXTUAL, "contains"))
_KEYS = (*NAMES, "length", "exists", *OPERATORS)
_LENGTH_KEYS = (*_OF_NUMBERS, *OPERATORS)

#: The comparisons that a message lists where nothing similar is known.
_USUAL = ("equal to", "is not", "greater than", "contains", "exists", "any")


def read_check(node: Node, path: str, problems: Problems) -> Check | None:
    """Read what stands below a path: a value, or a mapping of comparisons."""
    return _CheckReader(path, _KEYS, problems).read(node)


@dataclass(frozen=True)
class _CheckReader:
    """Reads what is asked of a field, or with ``of_length`` of its length."""

    path: str
    keys: Collection[str]
    problems: Problems
    of_length: bool = False

    def read(self, node: Node) -> Check | None:
        """Read a value, or a mapping of comparisons."""
        if isinstance(node, SequenceNode):
            several = f"to name several, write '{self.path}: {{any: […]}}'"
            text = f"'{self.path}' is compared with one value, and this is a list; {several}"
            self.problems.add(node.place, text)
            return None
        if isinstance(node, ScalarNode):
            return self._equal(node)
        if not node.entries:
            text = f"nothing is asked of '{self.path}'; comparisons are {_listed(self.keys)}"
            self.problems.add(node.place, text)
            return None
        found = [self._entry(key, value) for key, value in node.entries]
        parts = tuple(part for part in found if part is not None)
        if len(parts) < len(found):
            return None
        return parts[0] if len(parts) == 1 else Several(False, parts)

    def _equal(self, node: ScalarNode) -> Check | None:
        words = comparison(node.text) if isinstance(node.value, str) else None
        if words is not None:
            text = f"{quoted(node.text)} is no comparison; write '{self.path}: {{{words}: …}}'"
            self.problems.add(node.place, text)
            return None
        value = self._value(node, EQUAL, f"'{self.path}'")
        return None if value is None else Comparison(EQUAL, value)

    def _entry(self, key: ScalarNode, node: Node) -> Check | None:
        name = key.text
        if key.value not in self.keys:
            self.problems.add(key.place, self._unknown(name))
        elif name == "exists":
            wanted = YES_NO.read(node, "'exists'", self.problems)
            return None if wanted is None else Exists(wanted)
        elif name == "length":
            length = replace(self, path="length", keys=_LENGTH_KEYS, of_length=True).read(node)
            return None if length is None else Length(length)
        elif name == "not":
            part = self.read(node)
            return None if part is None else Not(part)
        elif name in OPERATORS:
            parts: tuple[Check, ...] | None = each_item(node, name, self.read, self.problems)
            return None if parts is None else Several(name == "any", parts, name)
        else:
            value = self._value(node, name, f"'{name}'")
            return None if value is None else Comparison(_canonical(name), value)
        return None

    def _unknown(self, name: str) -> str:
        if name in SIGNS:
            return f"unknown comparison {quoted(name)}; did you mean '{SIGNS[name]}'?"
        hint = suggestion(name, self.keys)
        if hint.startswith("; expected"):
            # What is below a field is often written so.
            deeper = "" if self.of_length else f"a field is written '{self.path}.{name}: …'; "
            hint = f"; {deeper}comparisons are {_listed(self.keys)}"
        return f"unknown comparison {quoted(name)}{hint}"

    def _value(self, node: Node, name: str, what: str) -> Value | None:
        """Read the value that the comparison of this name takes."""
        if not isinstance(node, ScalarNode):
            several = f"; to name several, write 'any: [{{{name}: …}}, {{{name}: …}}]'"
            hint = several if isinstance(node, SequenceNode) else ""
            text = f"{what} compares with one value, and this is {node.kind}{hint}"
            self.problems.add(node.place, text)
            return None
        value = _read_value(node, what, self.problems)
        if value is None or value.is_path:
            return value
        kind = _missed_kind(name, value, of_length=self.of_length)
        if kind:
            self.problems.add(node.place, f"{what} compares with {kind}, and this is {value.text}")
            return None
        return value


def _missed_kind(name: str, value: Value, *, of_length: bool) -> str:
    """Return what kind of value a comparison takes, if this is none."""
    constant = value.constant
    if of_length:
        return "" if type(constant) is int else "a whole number"
    if value.template is not None:
        return ""
    if name in _TEXTUAL:
        return "" if isinstance(constant, str) else "a text"
    if name in ORDERED and (constant is None or isinstance(constant, bool)):
        return "a number or a text"
    return ""


def _read_value(node: ScalarNode, what: str, problems: Problems) -> Value | None:
    """Read a template, or a value that JSON can have."""
    value = node.value
    if isinstance(value, str):
        template = parse_template(node, problems)
        if template is None:
            return None
        text = json.dumps(node.text, ensure_ascii=False)
        if template.paths:
            return Value(text, template=template)
        return Value(text, "".join(map(str, template.parts)))
    if value is None and not node.text:
        problems.add(node.place, f"{what} is empty; write 'null' or \"\" if you mean that")
    elif value is not None and not isinstance(value, (bool, int, float)):
        text = f"{what} compares with a {type(value).__name__}, which no message has"
        problems.add(node.place, f"{text}; quotes make it text")
    elif value != value:
        problems.add(node.place, f"{what} compares with {quoted(node.text)}, which equals nothing")
    else:
        return Value(json.dumps(value), value)
    return None


def _canonical(name: str) -> str:
    """Return the shortest name of a comparison."""
    if name.startswith("is not"):
        return "is not"
    return name.removeprefix("is ")


def _listed(keys: Collection[str]) -> str:
    return f"{join_quoted(filter(keys.__contains__, _USUAL), 'and')}, among others"


_SCALAR: Schema = {"anyOf": [TEXT_TEMPLATE, {"type": ["number", "boolean", "null"]}]}
_NUMBER: Schema = {"anyOf": [PATH_ALONE, {"type": "integer"}]}
_NUMBER_OR_TEXT: Schema = {"anyOf": [TEXT_TEMPLATE, {"type": "number"}]}


def _values(name: str) -> Schema:
    if name in _TEXTUAL:
        return TEXT_TEMPLATE
    return _NUMBER_OR_TEXT if name in ORDERED else _SCALAR


def _checks(name: str, values: dict[str, Schema]) -> Schema:
    """Describe a value, or a mapping of comparisons; to be the definition of this name."""
    several = {"type": "array", "items": ref(name), "minItems": 1}
    operators = {key: ref(name) if key == "not" else several for key in OPERATORS}
    mapping = {
        "type": "object",
        "properties": {**values, **operators},
        "additionalProperties": False,
        "minProperties": 1,
    }
    return {"anyOf": [values[EQUAL], mapping]}


#: The definitions of a JSON Schema for what stands below a path, ``field``.
DEFINITIONS: dict[str, Schema] = {
    "field": _checks(
        "field",
        {
            **{name: _values(name) for name in NAMES},
            "exists": {"description": "Whether the message has it.", **YES_NO.schema},
            "length": ref("length"),
        },
    ),
    "length": _checks("length", dict.fromkeys(_OF_NUMBERS, _NUMBER)),
}
