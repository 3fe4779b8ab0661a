"""Compiling fields to one function, which takes no longer than a lambda that says the same.

The function is made of syntax trees: of comparisons, and of the rule's values as constants. It has
no names of its own, and none of the rule's text becomes program text.
"""

import ast
import functools
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from fedbadges.rules.comparisons import (
    EQUAL,
    MISSING,
    Check,
    Comparison,
    Exists,
    Index,
    Length,
    Not,
    Several,
    Value,
)
from fedbadges.rules.templates import TemplatePath

#: What a function raises where it does not know the answer: something is missing, or an item of a
#: list, or below a key with dots in it, or cannot be compared.
UNDECIDED = (KeyError, TypeError, AttributeError, ValueError, RecursionError)

#: Returns True or False for a source and the values of templates, or raises one of UNDECIDED.
QuickTest = Callable[[Any, tuple[Any, ...]], bool]

_MOST_DOTS = 50

#: The variables of a test: the source, the values of templates, what has the last part of a path,
#: and what is there.
_SOURCE, _VALUES, _PARENT, _FOUND = "source", "values", "parent", "found"

#: What stands for nothing.
_MISSING = "missing"

_SIGNS: dict[str, type[ast.cmpop]] = {
    EQUAL: ast.Eq,
    "is not": ast.NotEq,
    "greater than": ast.Gt,
    "greater than or equal to": ast.GtE,
    "less than": ast.Lt,
    "less than or equal to": ast.LtE,
}
_METHODS = {"starts with": "startswith", "ends with": "endswith"}


def quick_test(
    fields: Iterable[tuple[TemplatePath, Check]], index: Index | None = None
) -> QuickTest:
    """Compile a function that decides whether a source has what is wanted at each path.

    It is about past messages, with the values of templates at these places of all values, if there
    is an ``index``; otherwise about whole messages, which have the values of templates, too.
    """
    fields = list(fields)
    if any(map(_is_deep, (each for path, check in fields for each in (path, *check.paths)))):
        return lambda source, values: _undecided()
    function = ast.parse(f"def test({_SOURCE}, {_VALUES}): return True")
    (definition,) = function.body
    assert isinstance(definition, ast.FunctionDef)
    steps = [each for path, check in fields for each in _steps(path, check, index)]
    definition.body[:0] = steps
    names: dict[str, Any] = {"__builtins__": {}, **_NAMES}
    exec(compile(ast.fix_missing_locations(function), "<fields>", "exec"), names)  # noqa: S102
    found: QuickTest = names["test"]
    return found


def _steps(path: TemplatePath, check: Check, index: Index | None) -> list[ast.stmt]:
    """Return statements that return False if a source does not have what is wanted."""
    read = _path(path, past=index is not None)
    test = _test(check, _name(_FOUND), functools.partial(_value, index))
    if isinstance(read, ast.Subscript) and index is not None:
        return _steps_of_past(read, check.when_missing, test)
    if isinstance(read, ast.Subscript) and isinstance(check, Exists):
        return [_unless(_has_key(read, check.wanted))]
    return [_assign(_FOUND, read), _unless(test)]


def _steps_of_past(
    read: ast.Subscript, when_missing: bool | None, test: ast.expr
) -> list[ast.stmt]:
    """Return statements that take no longer where nothing is found, as in many past messages."""
    get = ast.Attribute(_name(_PARENT), "get", ast.Load())
    found = ast.Call(get, [read.slice, _name(_MISSING)], [])
    is_missing = ast.Compare(_name(_FOUND), [ast.Is()], [_name(_MISSING)])
    if when_missing:
        answer: ast.expr = ast.BoolOp(ast.Or(), [is_missing, test])
    else:  # unknown does not count either
        answer = ast.BoolOp(ast.And(), [ast.UnaryOp(ast.Not(), is_missing), test])
    return [
        _assign(_PARENT, read.value),
        _assign(_FOUND, ast.IfExp(_is_dict(_name(_PARENT)), found, _UNKNOWN)),
        _unless(answer),
    ]


def _assign(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value)


def _unless(test: ast.expr) -> ast.stmt:
    return ast.If(ast.UnaryOp(ast.Not(), test), [ast.Return(ast.Constant(False))], [])


def _has_key(read: ast.Subscript, wanted: bool) -> ast.expr:
    """Return whether an object has a key, without an error where it has not."""
    operator = ast.In() if wanted else ast.NotIn()
    has = ast.Compare(read.slice, [operator], [read.value])
    return ast.IfExp(_is_dict(read.value), has, _UNKNOWN)


def _is_dict(value: ast.expr) -> ast.expr:
    """Return whether there are keys; of anything else, an item may be meant."""
    return ast.Compare(ast.Call(_name("type"), [value], []), [ast.Is()], [_name("dict")])


def _undecided() -> NoReturn:
    raise TypeError


def _is_deep(path: TemplatePath) -> bool:
    """Return True if Python may not be able to compile so many subscripts."""
    return path.dotted.count(".") > _MOST_DOTS


def _path(path: TemplatePath, *, past: bool) -> ast.expr:
    """Return what reads a path of the source."""
    parts = path.dotted.split(".")
    read: ast.expr = _name(_SOURCE)
    if past:
        read = ast.Attribute(read, parts.pop(0), ast.Load())
    for part in parts:
        read = ast.Subscript(read, ast.Constant(part), ast.Load())
    return read


def _value(index: Index | None, value: Value) -> ast.expr:
    """Return what gives a constant, or what a template makes of a message."""
    if value.template is None:
        return ast.Constant(value.constant)
    parts: list[ast.expr] = [
        ast.Constant(part)
        if isinstance(part, str)
        else _path(part, past=False)
        if index is None
        else ast.Subscript(_name(_VALUES), ast.Constant(index[part.dotted]), ast.Load())
        for part in value.template.parts
    ]
    if value.is_path:
        return parts[0]
    return ast.JoinedStr([
        part if isinstance(part, ast.Constant) else ast.FormattedValue(part, ord("s"))
        for part in parts
    ])  # fmt: skip


def _test(check: Check, subject: ast.expr, value: Callable[[Value], ast.expr]) -> ast.expr:
    """Return what is true of a subject if the check holds of it."""
    match check:
        case Comparison(name="contains"):
            return ast.Compare(value(check.value), [ast.In()], [subject])
        case Comparison(name=name) if name in _METHODS:
            method = ast.Attribute(subject, _METHODS[name], ast.Load())
            return ast.Call(method, [value(check.value)], [])
        case Comparison(name=name):
            return ast.Compare(subject, [_SIGNS[name]()], [value(check.value)])
        case Length(part=part):
            return _test(part, ast.Call(_name("len"), [subject], []), value)
        case Not(part=part):
            return ast.UnaryOp(ast.Not(), _test(part, subject, value))
        case Several(parts=parts, decisive=decisive):
            tests = [_test(part, subject, value) for part in parts]
            operator = ast.Or() if decisive else ast.And()
            return tests[0] if len(tests) == 1 else ast.BoolOp(operator, tests)
        case Exists(wanted=wanted):
            return ast.Constant(wanted)


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


_NAMES = {"len": len, "type": type, "dict": dict, "undecided": _undecided, _MISSING: MISSING}
_UNKNOWN = ast.Call(_name("undecided"), [], [])
