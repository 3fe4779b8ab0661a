"""Reading lambdas of criteria: operations, conditions and values of filters."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedbadges.lint.fixes.lambdas import (
    ExpressionReader,
    message_root,
    past_root,
)
from fedbadges.lint.fixes.predicates import Check, fields_of, several
from fedbadges.lint.fixes.syntax import NotRewritable
from fedbadges.rules.expressions import Expression

_OF_FIELD = {"sum": "sum", "max": "largest", "min": "smallest"}

#: The directives of texts that tell a day, and nothing that differs within one.
_OF_DAY = ({"Y", "m", "d"}, {"Y", "j"}, {"F"})
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)

_CONDITIONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "equal to",
    ast.Is: "equal to",
    ast.NotEq: "is not",
    ast.Gt: "greater than",
    ast.GtE: "greater than or equal to",
    ast.Lt: "less than",
    ast.LtE: "less than or equal to",
}


@dataclass(frozen=True)
class NewOperation:
    """An operation without Python, and the fields that its filter needs."""

    operation: str | dict[str, str]
    fields: dict[str, Check]


def templates_of(expression: Expression) -> Callable[[str], str | None]:
    """Return what gives the text with templates for a name, or text, of an expression's source."""
    source = expression.source
    if source is None or not source.names:
        return lambda text: None
    names = re.compile(source.names)

    def fill(found: re.Match[str]) -> str:
        return f"%({expression.paths[int(found[1])].dotted})s"

    return lambda text: names.sub(fill, text) if names.search(text) else None


def read_operation(expression: Expression) -> tuple[NewOperation, ExpressionReader | None]:
    """Return the operation that an expression over ``query`` is, and what read its conditions.

    Raise NotRewritable if it is none.
    """
    body = _parsed(expression)
    if _is_query(body, counted=True):
        return NewOperation("count", {}), None
    loop, kind = _loop_of(body)
    (generator,) = loop.generators if len(loop.generators) == 1 else (None,)
    if generator is None or generator.is_async or not isinstance(generator.target, ast.Name):
        raise NotRewritable
    if not _is_query(generator.iter):
        raise NotRewritable
    name = generator.target.id
    reader = ExpressionReader(past_root(name), templates_of(expression), compares_fields=False)
    fields: dict[str, Check] | None = {}
    if generator.ifs:
        fields = fields_of(several("all", [reader.read(test) for test in generator.ifs]))
    if fields is None:
        raise NotRewritable
    return NewOperation(_operation(kind, loop.elt, name, reader), fields), reader


def _operation(
    kind: str, item: ast.expr, name: str, reader: ExpressionReader
) -> str | dict[str, str]:
    if kind == "count":
        if not (isinstance(item, ast.Name) and item.id == name) and not isinstance(
            item, ast.Constant
        ):
            raise NotRewritable
        return "count"
    if kind == "count distinct" and _is_day(item, name):
        return "count distinct days"
    access = reader.access(item)
    if not access.raises and (kind == "count distinct" or access.default != 0):
        raise NotRewritable
    if kind != "count distinct":
        reader.numbers.add(access.path)  # a condition compares the result with one
    return {kind: access.path}


def _loop_of(body: ast.expr) -> tuple[Any, str]:
    """Return a loop over messages, and the operation that is made of it."""
    match body:
        case ast.Call(func=ast.Name(id="len"), args=[ast.ListComp() as loop], keywords=[]):
            return loop, "count"
        case ast.Call(func=ast.Name(id="len"), args=[ast.SetComp() as loop], keywords=[]):
            return loop, "count distinct"
        case ast.Call(
            func=ast.Name(id="len"),
            args=[
                ast.Call(
                    func=ast.Name(id="set" | "frozenset"),
                    args=[(ast.ListComp() | ast.GeneratorExp()) as loop],
                    keywords=[],
                )
            ],
            keywords=[],
        ):
            return loop, "count distinct"
        case ast.Call(
            func=ast.Name(id="sum"),
            args=[(ast.ListComp() | ast.GeneratorExp()) as loop],
            keywords=[],
        ) if isinstance(loop.elt, ast.Constant) and loop.elt.value == 1:
            return loop, "count"
        case ast.Call(
            func=ast.Name(id=("sum" | "max" | "min") as name),
            args=[(ast.ListComp() | ast.GeneratorExp()) as loop],
            keywords=[],
        ):
            return loop, _OF_FIELD[name]
    raise NotRewritable


def _is_query(node: ast.expr, *, counted: bool = False) -> bool:
    """Return True for all messages; if they are ``counted``, for their number."""
    match node:
        case ast.Name(id="query"):
            return not counted
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="query"), attr=attr), args=[], keywords=[]
        ):
            return attr == ("count" if counted else "all")
        case ast.Call(func=ast.Name(id="len"), args=[query], keywords=[]) if counted:
            return _is_query(query)
    return False


def _is_day(node: ast.expr, name: str) -> bool:
    """Return True for the day of a message, or a text that is different for each day."""
    match node:
        case ast.Call(func=ast.Attribute(value=moment, attr="date"), args=[], keywords=[]):
            return _is_timestamp(moment, name)
        case ast.Call(
            func=ast.Attribute(value=moment, attr="strftime"),
            args=[ast.Constant(value=str(text))],
            keywords=[],
        ):
            tells_day = set(_DIRECTIVE.findall(text)) in _OF_DAY
            return tells_day and (_is_timestamp(moment, name) or _is_day(moment, name))
        case ast.Call(func=ast.Attribute(value=day, attr="isoformat"), args=[], keywords=[]):
            return _is_day(day, name)
        case ast.Call(func=ast.Name(id="str"), args=[day], keywords=[]):
            return _is_day(day, name)
    return False


def _is_timestamp(node: ast.expr, name: str) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=used), attr="timestamp"):
            return used == name
    return False


def read_condition(expression: Expression) -> dict[str, int | float]:
    """Return the condition that an expression over ``value`` is; raise NotRewritable."""
    match _parsed(expression):
        case ast.Compare(
            left=ast.Name(id="value"), ops=[op], comparators=[ast.Constant(value=number)]
        ) if type(op) in _CONDITIONS and type(number) in (int, float):
            return {_CONDITIONS[type(op)]: number}  # type: ignore[dict-item]
    raise NotRewritable


def read_filter_value(
    expression: Expression, *, listed: bool
) -> tuple[str | list[str], ExpressionReader]:
    """Return the templates that an expression over ``msg`` stands for, and what read its fields.

    ``listed`` tells if the filter takes several values. Raise NotRewritable if it does more.
    """
    reader = ExpressionReader(message_root, templates_of(expression))
    body = _parsed(expression)
    if listed and isinstance(body, (ast.List, ast.Tuple, ast.Set)) and body.elts:
        return [_template(item, reader) for item in body.elts], reader
    if isinstance(body, ast.Constant):
        raise NotRewritable
    return _template(body, reader), reader


def _template(node: ast.expr, reader: ExpressionReader) -> str:
    if isinstance(node, ast.Constant):
        if not isinstance(node.value, str):
            raise NotRewritable
        filled = reader.templates(node.value)
        return node.value.replace("%", "%%") if filled is None else filled
    access = reader.access(node)
    if access.default is not None:
        raise NotRewritable
    return access.template


def _parsed(expression: Expression) -> ast.expr:
    if expression.source is None:
        raise NotRewritable
    return expression.source.parse()
