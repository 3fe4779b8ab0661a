"""Lambdas: Python expressions in a rule, compiled once when the rule is loaded.

Rules are trusted code: an expression may do whatever the daemon may. What is kept apart is what
would be an accident: each expression has globals of its own, and a template's value enters as a
value, never as program text.
"""

import ast
import builtins
import datetime
import json
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

import fedmsg
import fedmsg.meta

from fedbadges.errors import Place
from fedbadges.messages import Message, MessageValues
from fedbadges.rules.counting import ITEMS, MESSAGE, parse_count, parse_fold, parse_join
from fedbadges.rules.message_view import view_of
from fedbadges.rules.names import any_spelling
from fedbadges.rules.parsing import Problems, as_text
from fedbadges.rules.templates import (
    TemplatePath,
    find_template,
    name_paths,
    parse_template,
)
from fedbadges.rules.yaml_document import Node, ScalarNode

_VALUES = "_template_values"

#: The argument of an operation that is a list of past messages, and not a query for them.
RESULTS = "results"

#: The modules that expressions see.
MODULES = {"json": json, "re": re, "datetime": datetime, "math": math, "fedmsg": fedmsg}

#: How many compiled texts are kept, for rules that are loaded later.
_MOST_CODES = 2000

#: What to write without lambdas, by their argument.
_INSTEAD = {
    "msg": "'fields' compares what a message has, and templates are values of it",
    "query": "use 'count' with 'fields' in the filter, or another operation",
    "results": "use 'count', or write the rule in the language of docs/rules.rst",
    "message": "write a plain value of the message, such as message.body['user']",
    "value": "compare with a number, and combine several criteria by 'any' or 'all'",
}

#: What is compiled: called with the argument and with the values of the templates.
Function = Callable[[Any, tuple[Any, ...]], Any]


@dataclass(frozen=True)
class Source:
    """The text that an expression was compiled from.

    ``text`` is that of ``node``, with a name of the same length in place of each template; the
    names match the regular expression ``names``, which is empty where there can be no templates.
    """

    node: ScalarNode
    text: str
    names: str

    def parse(self) -> ast.expr:
        """Return the syntax tree; raise SyntaxError and whatever else ``ast.parse`` raises."""
        return _parse(self.text)

    def place_of(self, part: ast.expr) -> Place:
        """Return the place in the file of a part of the syntax tree."""
        return self._place_at(len(self.text.strip().encode()[: part.col_offset].decode()))

    def place_of_error(self, error: SyntaxError) -> Place:
        """Return the place in the file of an error; the end if Python expected more."""
        end = len(self.text.strip())
        return self._place_at(min(error.offset - 1, end) if error.offset else end)

    def _place_at(self, offset: int) -> Place:
        """Return the place in the file of a character of the text without blanks around it."""
        offset += len(self.text) - len(self.text.lstrip())
        # Of ``%%`` there is only one ``%``.
        doubled = self.node.text.count("%%", 0, offset) if self.names else 0
        return self.node.place_at(offset + doubled)


@dataclass(frozen=True)
class Fold:
    """An expression that takes something from each message, and makes one result of all that.

    ``kind`` is what it makes, such as ``sum``; the others are the parts of a ``FoldSyntax``. Like
    the expression, ``each`` and ``finish`` are called with the values of the templates, too.
    """

    kind: str
    eager: bool
    each: Function
    finish: Function


@dataclass(frozen=True)
class Join:
    """How a count by the values of templates becomes one count for all values.

    A message counts for those values for which ``wanted`` equals what ``key`` makes of the message;
    for nobody, if that is empty. Both are called as expressions are.
    """

    key: Function
    wanted: Function


@dataclass(frozen=True)
class Expression:
    """A compiled expression over one argument.

    ``text`` is what the rule says, ``paths`` what its templates read, ``user_paths`` those of them
    that name users. Two expressions are equal if all these and their arguments are. Where the
    expression counts messages one by one, ``test`` is what it asks of each, called with the message
    and the values of the templates; where that compares the message with templates, ``join`` may
    replace it. Where it computes something else of each message, that is its ``fold``. It has no
    ``source`` where the rule says it without a lambda; then its templates may name the candidate,
    which is the ``recipient``.
    """

    text: str
    argument: str
    paths: tuple[TemplatePath, ...]
    source: Source | None = field(compare=False, repr=False)
    function: Function = field(compare=False, repr=False)
    test: Function | None = field(default=None, compare=False, repr=False)
    join: Join | None = field(default=None, compare=False, repr=False)
    fold: Fold | None = field(default=None, compare=False, repr=False)
    user_paths: frozenset[str] = frozenset()
    recipient: str | None = None

    def __call__(self, value: Any, filled: tuple[Any, ...] = ()) -> Any:
        """Evaluate with ``value`` as the argument; raise whatever the expression raises."""
        return self.function(value, filled)

    def fill(self, message: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the values of the templates in it for a message; raise MissingValue.

        Those of users are equal to both spellings that filters look for.
        """
        if self.recipient is not None and isinstance(message, MessageValues):
            message = MessageValues(message.message, self.recipient)
        if not self.user_paths:
            return tuple(path.resolve(message) for path in self.paths)
        values = ((path.dotted in self.user_paths, path.resolve(message)) for path in self.paths)
        return tuple(any_spelling(value) if is_user else value for is_user, value in values)

    def evaluate(self, message: Message, source: Mapping[str, Any] | None = None) -> Any:
        """Evaluate over a message, with the templates filled from ``source`` or the message."""
        subject: Any = message.body if self.argument == "msg" else view_of(message)
        if not self.paths:
            return self.function(subject, ())
        return self.function(subject, self.fill(message.values if source is None else source))

    def over(self, query: Any, filled: tuple[Any, ...]) -> Any:
        """Evaluate over the past messages of a query."""
        return self.function(query.all() if self.argument == RESULTS else query, filled)


def _parse(text: str) -> ast.expr:
    text = text.strip()
    # Many rules say `x is 1`; `fedbadges check` reports it, so the log need not.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Only within parentheses may an expression go over several lines.
        return ast.parse(f"({text}\n)" if "\n" in text else text, "<lambda>", "eval").body


def parse_message_expression(node: Node, problems: Problems) -> Expression | None:
    """Compile an expression over ``msg``, with templates if there is any in it.

    Without, ``%%`` and ``%`` are Python's own, as in ``'%(user)s' % msg['msg']``.
    """
    templates = (
        isinstance(node, ScalarNode)
        and find_template(node.text) is not None
        and not _formats(Source(node, node.text, ""))
    )
    return parse_expression(node, "msg", problems, templates=templates)


def _formats(source: Source) -> bool:
    """Return True if Python fills what looks like a template, by its operator ``%``."""
    try:
        body = source.parse()
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # reported later
        return False
    return any(
        isinstance(text, str) and find_template(text) is not None
        for node in ast.walk(body)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod)
        for text in [getattr(node.left, "value", None)]
    )


def parse_expression(
    node: Node, argument: str, problems: Problems, *, templates: bool = False
) -> Expression | None:
    """Compile what ``node`` holds: an expression over ``argument``, maybe with ``templates``."""
    if not are_allowed(node, argument, problems):
        # Not even its syntax matters.
        return None
    if not isinstance(node, ScalarNode):
        problems.add(node.place, f"a lambda is text, and this is {node.kind} (quotes make it text)")
        return None
    found = as_text(node, "a lambda", problems)
    if found is None:
        return None
    text, names = found.text, ""
    paths: tuple[TemplatePath, ...] = ()
    if templates:
        template = parse_template(found, problems)
        if template is None:
            return None
        (text, names), paths = name_paths(text), template.paths
    return compile_source(Source(found, text, names), argument, paths, problems)


def are_allowed(node: Node, argument: str, problems: Problems) -> bool:
    """Return True if a rule may have Python; else report that it has it, with what to write."""
    if not problems.lambdas:
        instead = _INSTEAD.get(argument, "docs/rules.rst says what there is without Python")
        problems.add(node.place, f"lambdas are not allowed here; {instead}")
    return problems.lambdas


def compile_source(
    source: Source, argument: str, paths: tuple[TemplatePath, ...], problems: Problems
) -> Expression | None:
    """Compile an expression over ``argument``; report why that fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found_functions = _compile(source, argument)
    except SyntaxError as error:
        what = error.msg if error.offset else "it ends too early"
        problems.add(source.place_of_error(error), f"the lambda does not compile: {what}")
        return None
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        problems.add(source.node.place, f"the lambda does not compile: {error}")
        return None
    return Expression(source.node.text.strip(), argument, paths, source, *found_functions)


class _Codes(NamedTuple):
    """What a text is compiled to; of a fold, its kind, if it is eager, and its two parts."""

    function: CodeType
    test: CodeType | None = None
    join: tuple[CodeType, CodeType] | None = None
    fold: tuple[str, bool, CodeType, CodeType] | None = None


def _compile(
    source: Source, argument: str
) -> tuple[Function, Function | None, Join | None, Fold | None]:
    codes = _codes(source.text, source.names, argument)
    test = None if codes.test is None else _function(codes.test)
    join = None if codes.join is None else Join(*map(_function, codes.join))
    fold = None
    if codes.fold is not None:
        kind, eager, each, finish = codes.fold
        fold = Fold(kind, eager, _function(each), _function(finish))
    return _function(codes.function), test, join, fold


@lru_cache(_MOST_CODES)
def _codes(text: str, names: str, argument: str) -> _Codes:
    """Compile a text once for all rules that have it, as those of a series do."""
    body = _parse(text)
    if isinstance(body, ast.Lambda):
        # A function is true, whatever it would return.
        raise _error_at(body, f"write the expression alone, without 'lambda {argument}:'")
    for node in ast.walk(body):
        if isinstance(node, (ast.Yield, ast.YieldFrom, ast.Await)):
            raise _error_at(node, "a lambda cannot yield or await")
    if names:
        body = _fill(body, re.compile(names))
    function = _code(argument, body)
    if argument not in ("query", RESULTS):
        return _Codes(function)
    count = parse_count(body, argument, _VALUES)
    if count is not None:
        join = parse_join(body, argument, _VALUES)
        sides = None if join is None else (_code(MESSAGE, join[0]), _code(MESSAGE, join[1]))
        return _Codes(function, _code(*count), sides)
    fold = parse_fold(body, argument, _VALUES)
    if fold is None:
        return _Codes(function)
    each, finish = _code(MESSAGE, fold.each), _code(ITEMS, fold.finish)
    return _Codes(function, None, None, (fold.kind, fold.eager, each, finish))


def _code(argument: str, body: ast.expr) -> CodeType:
    function = ast.parse(f"lambda {argument}, {_VALUES}: 0", mode="eval")
    assert isinstance(function.body, ast.Lambda)
    function.body.body = body
    return compile(ast.fix_missing_locations(function), "<lambda>", "eval")


def _function(code: CodeType) -> Function:
    names = {"__builtins__": dict(vars(builtins)), **MODULES}
    return eval(code, names)  # type: ignore[no-any-return]  # noqa: S307


def _fill(body: ast.expr, names: re.Pattern[str]) -> ast.expr:
    filled: ast.expr = _TemplateValues(names).visit(body)
    for node in ast.walk(filled):
        for _, value in ast.iter_fields(node):
            text = value.decode("latin-1") if isinstance(value, bytes) else value
            if isinstance(text, str) and names.search(text):
                raise _error_at(node, "a template stands where no value can")
    return filled


def _error_at(node: ast.AST, what: str) -> SyntaxError:
    place = (None, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1, None)
    return SyntaxError(what, place)


class _TemplateValues(ast.NodeTransformer):
    """Puts the value of a template in the place of its name, which may be within a text."""

    def __init__(self, names: re.Pattern[str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a template that stood without quotes by its typed value."""
        found = self._names.fullmatch(node.id)
        return self._value(found[1]) if found and isinstance(node.ctx, ast.Load) else node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        """Replace templates within quotes by their text."""
        if not isinstance(node.value, str):
            return node
        pieces = self._names.split(node.value)
        if len(pieces) == 1:
            return node
        if len(pieces) == 3 and not pieces[0] and not pieces[2]:
            # An f-string would lose what a name is equal to.
            method = ast.Attribute(self._value(pieces[1]), "__str__", ast.Load())
            return ast.Call(method, [], [])
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
            if isinstance(new, ast.Call):
                new = ast.FormattedValue(value=new, conversion=-1)
            values.extend(new.values if isinstance(new, ast.JoinedStr) else [new])
        return ast.JoinedStr(values=values)

    def _value(self, number: str) -> ast.expr:
        return ast.parse(f"{_VALUES}[{int(number)}]", mode="eval").body
