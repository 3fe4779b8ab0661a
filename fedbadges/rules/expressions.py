"""Lambdas: Python expressions in a rule, compiled once when the rule is loaded.

Rules are trusted code: an expression may do whatever the daemon may. What is kept apart is what
would be an accident: each expression has globals of its own, and a template's value enters as a
value, never as program text.
"""

from __future__ import annotations

import ast
import builtins
import datetime
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import fedmsg
import fedmsg.meta

from fedbadges.errors import Place
from fedbadges.rules.counting import parse_count
from fedbadges.rules.parsing import as_text
from fedbadges.rules.problems import Problems
from fedbadges.rules.templates import TemplatePath, parse_template, place_within, unmarked
from fedbadges.rules.yaml_document import Node, ScalarNode

_VALUES = "_template_values"

#: What is compiled: called with the argument and with the values of the templates.
Function = Callable[[Any, tuple[Any, ...]], Any]

_NO_PATHS: tuple[TemplatePath, ...] = ()


@dataclass(frozen=True)
class Expression:
    """A compiled expression over one argument.

    ``text`` is what the rule says, ``paths`` what its templates read. Two expressions are equal if
    their texts and arguments are. Where the expression counts messages one by one, ``test`` is what
    it asks of each, called with the message and the values of the templates.
    """

    text: str
    argument: str
    paths: tuple[TemplatePath, ...]
    function: Function = field(compare=False, repr=False)
    test: Function | None = field(default=None, compare=False, repr=False)

    def __call__(self, value: Any, filled: tuple[Any, ...] = ()) -> Any:
        """Evaluate with ``value`` as the argument; raises whatever the expression raises."""
        return self.function(value, filled)

    def fill(self, message: Mapping[str, Any]) -> tuple[Any, ...]:
        """Give the values of the templates in it for a message; raises MissingValue."""
        return tuple(path.resolve(message) for path in self.paths)


def parse_expression(
    node: Node, argument: str, problems: Problems, *, templates: bool = False
) -> Expression | None:
    """Compile the expression that ``node`` holds.

    ``argument`` is the name that it sees its value by; with ``templates`` it may have templates.
    """
    found = as_text(node, "a lambda", problems)
    if found is None:
        return None
    marker = _unused_name(found.text)
    source, used = found.text, _NO_PATHS
    if templates:
        whole = parse_template(found, problems)
        if whole is None:
            return None
        source, used = whole.marked(marker), whole.paths
    try:
        function, test = _compile(source.strip(), argument, marker if used else None)
    except SyntaxError as error:
        offset = _offset(error, source)
        place = place_within(found, unmarked(found.text, marker, offset) if templates else offset)
        what = error.msg if error.offset else "it ends too early"
        problems.add(place, f"the lambda does not compile: {what}")
        return None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        problems.add(found.place, f"the lambda does not compile: {error}")
        return None
    return Expression(found.text.strip(), argument, used, function, test)


@dataclass(frozen=True)
class Syntax:
    """What a lambda says, for those who look into it: ``body``, where a template is a name."""

    body: ast.expr
    _node: ScalarNode
    _source: str
    _marker: str | None

    def place_of(self, part: ast.expr) -> Place:
        """Tell where a part of it stands."""
        line = self._source.strip().encode()
        indented = len(self._source) - len(self._source.lstrip())
        offset = indented + len(line[: part.col_offset].decode())
        if self._marker is not None:
            offset = unmarked(self._node.text, self._marker, offset)
        return place_within(self._node, offset)


def syntax_of(node: ScalarNode) -> Syntax | None:
    """Read the expression of a lambda, with templates or without; None where it is none."""
    marker = _unused_name(node.text)
    template = parse_template(node, Problems())
    marked = "" if template is None else template.marked(marker)
    for source, used in ((node.text, None), (marked, marker)):
        try:
            return Syntax(_parse(source.strip()).body, node, source, used)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _parse(source: str) -> ast.Expression:
    # Only within parentheses may an expression go over several lines.
    source = f"({source}\n)" if "\n" in source else source
    with warnings.catch_warnings():
        # `x is 1` is what many rules say; `fedbadges check` hints at it, the log need not.
        warnings.simplefilter("ignore")
        return ast.parse(source, "<lambda>", "eval")


def _compile(source: str, argument: str, marker: str | None) -> tuple[Function, Function | None]:
    tree = _parse(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _refuse_outsiders(tree, argument)
        body = tree.body if marker is None else _fill(tree, marker)
        each = parse_count(body, argument, _VALUES) if argument == "query" else None
        return _function(argument, body), None if each is None else _function(*each)


def _function(argument: str, body: ast.expr) -> Function:
    function = ast.Expression(
        ast.Lambda(
            args=ast.arguments(
                posonlyargs=[],
                args=[ast.arg(arg=argument), ast.arg(arg=_VALUES)],
                kwonlyargs=[],
                kw_defaults=[],
                defaults=[],
            ),
            body=body,
        )
    )
    code = compile(ast.fix_missing_locations(function), "<lambda>", "eval")
    return eval(code, _globals())  # type: ignore[no-any-return]  # noqa: S307


def _refuse_outsiders(tree: ast.Expression, argument: str) -> None:
    if isinstance(tree.body, ast.Lambda):
        # A function is true, whatever it would give.
        raise _error_at(tree.body, f"write the expression alone, without 'lambda {argument}:'")
    for node in ast.walk(tree):
        if isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await)):
            raise _error_at(node, "a lambda cannot yield or await")


def _fill(tree: ast.Expression, marker: str) -> ast.expr:
    marked = re.compile(re.escape(marker) + r"(\d+)_")
    filled: ast.expr = _TemplateValues(marked).visit(tree.body)
    for node in ast.walk(filled):
        for _, value in ast.iter_fields(node):
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if isinstance(text, str) and marked.search(text):
                raise _error_at(node, "a template stands where no value can")
    return filled


def _error_at(node: ast.AST, what: str) -> SyntaxError:
    place = (None, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1, None)
    return SyntaxError(what, place)


def _globals() -> dict[str, Any]:
    return {
        "__builtins__": dict(vars(builtins)),
        "json": json,
        "re": re,
        "datetime": datetime,
        "math": math,
        "fedmsg": fedmsg,
    }


def _unused_name(text: str) -> str:
    return max(re.findall("_template_+", text), key=len, default="_template") + "_"


class _TemplateValues(ast.NodeTransformer):
    """Puts the template's value where its marker stands: as a name, or within a text."""

    def __init__(self, marker: re.Pattern[str]) -> None:
        self._marker = marker

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a template that stood without quotes by its typed value."""
        found = self._marker.fullmatch(node.id)
        return self._value(found[1]) if found and isinstance(node.ctx, ast.Load) else node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Replace templates within quotes by their text."""
        if not isinstance(node.value, str):
            return node
        pieces = self._marker.split(node.value)
        if len(pieces) == 1:
            return node
        return ast.JoinedStr(
            values=[
                ast.FormattedValue(value=self._value(piece), conversion=ord("s"))
                if index % 2
                else ast.Constant(value=piece)
                for index, piece in enumerate(pieces)
            ]
        )

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        """Replace templates within an f-string, whose constant parts cannot nest."""
        values: list[ast.expr] = []
        for part in node.values:
            new = self.visit(part)
            values.extend(new.values if isinstance(new, ast.JoinedStr) else [new])
        return ast.JoinedStr(values=values)

    def _value(self, number: str) -> ast.expr:
        return ast.Subscript(
            value=ast.Name(id=_VALUES, ctx=ast.Load()),
            slice=ast.Constant(value=int(number)),
            ctx=ast.Load(),
        )


def _offset(error: SyntaxError, source: str) -> int:
    """Tell where in ``source``, if that is one line, the error is."""
    end = len(source.rstrip())
    if not error.offset:  # Python expected more
        return end
    indented = len(source) - len(source.lstrip())
    return min(indented + error.offset - 1, end)
