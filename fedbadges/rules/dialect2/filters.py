"""Filters of fedbadges 2.x: each value is an expression, or a list of expressions."""

import ast
import contextlib
import datetime
from dataclasses import replace
from typing import Any

from fedbadges.rules.dialect2.expressions import read_value
from fedbadges.rules.filters import (
    FILTER_SPECS,
    NOT_EMPTY,
    PAGE_KEYS,
    TIME_KEYS,
    Filter,
    FilterEntry,
    make_filter,
)
from fedbadges.rules.grammar import TEXT, FieldSpec, Kind, Schema, record_of
from fedbadges.rules.parsing import Problems, each_item
from fedbadges.rules.templates import Template
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode
from fedbadges.util.moments import to_age, to_moment


def _read_values(node: Node, what: str, problems: Problems) -> FilterEntry | None:
    if isinstance(node, MappingNode):
        text = f"{what} is an expression such as message.topic, or a list of them, not a mapping"
        problems.add(node.place, text)
        return None
    if not isinstance(node, SequenceNode):
        found = read_value(node, what, problems)
        # One that is no list may be computed as one.
        return found[0] if found and len(found) == 1 and found[0].paths else found
    item = f"an item of {what}"
    read = each_item(node, what.strip("'"), lambda each: read_value(each, item, problems), problems)
    return None if read is None else tuple(template for each in read for template in each)


def _read_one(node: Node, what: str, problems: Problems) -> Template | None:
    found = read_value(node, what, problems)
    if found is not None and len(found) != 1:
        problems.add(node.place, f"{what} is one value, and this is a list")
        return None
    return None if found is None else found[0]


def _read_moment(node: Node, what: str, problems: Problems) -> FilterEntry | None:
    value = node.value if isinstance(node, ScalarNode) else None
    moment = to_moment(value, datetime.datetime(2000, 1, 1))
    if moment is not None:
        age = to_age(value)
        return moment if age is None else age
    if isinstance(node, ScalarNode) and (constant := constant_time(node.text)) is not None:
        return constant
    found = _read_one(node, what, problems)
    if found is not None and not found.paths:
        expected = "a date, seconds since 1970, an age such as '30 days ago' or an expression"
        problems.add(node.place, f"{what} is {expected}")
    return found


def constant_time(text: str) -> datetime.datetime | None:
    """Return the time of ``datetime.datetime(2024, 1, 31)`` and the like, or None."""
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        match ast.parse(text.strip(), mode="eval").body:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="datetime"), attr="datetime" | "date"),
                args=arguments,
                keywords=[],
            ):
                with contextlib.suppress(TypeError, OverflowError):
                    return datetime.datetime(*map(ast.literal_eval, arguments))
    return None


def _or_constant(kind: Kind[Any]) -> Kind[Any]:
    """Return the kind of a value that may also be text, as every other value of a filter is."""

    def read(node: Node, what: str, problems: Problems) -> Any:
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                node = replace(node, value=ast.literal_eval(node.value.strip()))
        return kind.read(node, what, problems)

    return Kind(read, {"anyOf": [kind.schema, TEXT]})


def _read_filter(node: Node, _: str, problems: Problems) -> Filter | None:
    before = len(problems)
    fields = _FILTER.read(node, "a filter", problems)
    if fields is None:
        return None
    found = make_filter(node, fields, problems)
    return found if len(problems) == before else None


_VALUE: Schema = {"anyOf": [TEXT, {"type": ["integer", "number", "boolean"]}]}
_VALUES = Kind(_read_values, {"anyOf": [_VALUE, {"type": "array", "items": _VALUE, "minItems": 1}]})


def _kind_of(key: str) -> Kind[Any]:
    if key in PAGE_KEYS:
        return _or_constant(FILTER_SPECS[key].kind)
    if key in TIME_KEYS:
        return Kind(_read_moment, _VALUE)
    return Kind(_read_one, _VALUE) if key == "msg_id" else _VALUES


_FILTER = record_of(
    "a filter",
    {
        key: FieldSpec(_kind_of(key), spec.meaning)
        for key, spec in FILTER_SPECS.items()
        if key != "fields"  # which the other dialect has
    },
    full=True,
)

#: What stands below ``filter:``.
FILTER_KIND = Kind(_read_filter, {**_FILTER.schema, **NOT_EMPTY})
