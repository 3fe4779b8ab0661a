"""Compiling fields to one function, which takes no longer than a lambda that says the same.

The function is made of syntax trees: of comparisons, and of the rule's values as constants. It has
no names of its own, and none of the rule's text becomes program text.
"""

import ast
import functools
from collections.abc import Callable, Iterable
from typing import Any

from fedbadges.rules.comparisons import EQUAL, Check, Comparison, Exists, Index, Length, Not, Value
from fedbadges.rules.comparisons import Several as SeveralChecks
from fedbadges.rules.templates import TemplatePath

#: What a function raises where it does not know the answer: something is missing, or an item of a
#: list, or below a key with dots in it, or cannot be compared.
UNDECIDED = (KeyError, TypeError, AttributeError, ValueError, RecursionError)

#: Returns True or False for a source and the values of templates, or raises one of UNDECIDED.
QuickTest = Callable[[Any, tuple[Any, ...]], bool]

#: The variables of a test: the source, the values of templates, and what is at a path.
_SOURCE, _VALUES, _FOUND = "source", "values", "found"
#: The function to call where a test does not know the answer.
_UNDECIDED = "undecided"

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
    function = ast.parse(f"def test({_SOURCE}, {_VALUES}): return True")
    (definition,) = function.body
    assert isinstance(definition, ast.FunctionDef)
    steps = [each for path, check in fields for each in _steps(path, check, index)]
    definition.body[:0] = steps
    builtins = {"len": len, "type": type, "dict": dict, _UNDECIDED: _undecided}
    names: dict[str, Any] = {"__builtins__": builtins}
    exec(compile(ast.fix_missing_locations(function), "<fields>", "exec"), names)  # noqa: S102
    found: QuickTest = names["test"]
    return found


def _steps(path: TemplatePath, check: Check, index: Index | None) -> list[ast.stmt]:
    """Return statements that return False if a source does not have what is wanted."""
    read = _path(path, past=index is not None)
    if isinstance(check, Exists) and isinstance(read, ast.Subscript):
        return [_unless(_has_key(read, check.wanted))]
    found = ast.Assign([ast.Name(_FOUND, ast.Store())], read)
    return [found, _unless(_test(check, _name(_FOUND), functools.partial(_value, index)))]


def _unless(test: ast.expr) -> ast.stmt:
    return ast.If(ast.UnaryOp(ast.Not(), test), [ast.Return(ast.Constant(False))], [])


def _has_key(read: ast.Subscript, wanted: bool) -> ast.expr:
    """Return whether an object has a key, without an error where it has not."""
    is_dict = ast.Compare(ast.Call(_name("type"), [read.value], []), [ast.Is()], [_name("dict")])
    operator = ast.In() if wanted else ast.NotIn()
    has = ast.Compare(read.slice, [operator], [read.value])
    # Of what is no object, an item may be meant.
    return ast.IfExp(is_dict, has, ast.Call(_name(_UNDECIDED), [], []))


def _undecided() -> None:
    raise TypeError


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
        case SeveralChecks(parts=parts, decisive=decisive):
            tests = [_test(part, subject, value) for part in parts]
            operator = ast.Or() if decisive else ast.And()
            return tests[0] if len(tests) == 1 else ast.BoolOp(operator, tests)
        case Exists(wanted=wanted):
            return ast.Constant(wanted)


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())
