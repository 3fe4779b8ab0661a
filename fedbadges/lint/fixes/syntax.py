"""Pieces of Python's syntax that rules use."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from typing import Any


class NotRewritable(Exception):
    """An expression does more than to compare fields with values."""


_EMPTY: dict[str, Callable[[], Any]] = {"dict": dict, "list": list, "str": str}


def is_key(key: object) -> bool:
    """Return True for what may be a part of a path."""
    return isinstance(key, str) or (type(key) is int and key >= 0)


def without_keys(node: ast.expr) -> ast.expr:
    """Return the object whose keys an expression is, or the expression."""
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr="keys"), args=[], keywords=[]):
            return inner
    return node


def without_if(node: ast.IfExp) -> ast.expr:
    """Return what is true when ``node`` is, without a condition; raise NotRewritable.

    One of the two values must be a constant.
    """
    test, opposite = node.test, ast.UnaryOp(ast.Not(), node.test)
    match node:
        case ast.IfExp(body=value, orelse=ast.Constant(value=False | None)):
            return ast.BoolOp(ast.And(), [test, value])
        case ast.IfExp(body=value, orelse=ast.Constant(value=True)):
            return ast.BoolOp(ast.Or(), [opposite, value])
        case ast.IfExp(body=ast.Constant(value=False | None), orelse=value):
            return ast.BoolOp(ast.And(), [opposite, value])
        case ast.IfExp(body=ast.Constant(value=True), orelse=value):
            return ast.BoolOp(ast.Or(), [test, value])
    raise NotRewritable


def asked_of_test(left: ast.expr, op: ast.cmpop, right: ast.expr) -> bool | None:
    """Return the answer that a comparison wants of the test on its left; None if it is no such.

    A search with a regular expression gives None where it finds nothing.
    """
    if not isinstance(right, ast.Constant):
        return None
    equal = isinstance(op, (ast.Eq, ast.Is))
    if not equal and not isinstance(op, (ast.NotEq, ast.IsNot)):
        return None
    if isinstance(right.value, bool) and _is_true_or_false(left):
        return right.value is equal
    if right.value is None and _is_search(left):
        return not equal
    return None


def _is_true_or_false(node: ast.expr) -> bool:
    """Return True for what cannot have another value than these two."""
    match node:
        case ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Call(func=ast.Name(id="any" | "all" | "bool")):
            return True
        case ast.Call(func=ast.Attribute(attr="startswith" | "endswith")):
            return True
        case ast.BoolOp(values=values):
            return all(map(_is_true_or_false, values))
    return False


def _is_search(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"))):
            return True
    return False


def literal(node: ast.expr) -> Any:
    """Return the value of an expression that has no variable; raise NotRewritable."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[], keywords=[]) if name in _EMPTY:
            return _EMPTY[name]()
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise NotRewritable from None


def unrolled(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the items of a list, or of a loop over values that stand there."""
    match node:
        case (
            ast.ListComp(elt=item, generators=[ast.comprehension(ast.Name(id=name), values, [], 0)])
            | ast.GeneratorExp(
                elt=item, generators=[ast.comprehension(ast.Name(id=name), values, [], 0)]
            )
        ):
            for value in literal_items(values):
                yield _Replaced(name, value).visit(copy.deepcopy(item))
        case _:
            yield from literal_items(node)


class _Replaced(ast.NodeTransformer):
    """Puts a value in the place of a variable."""

    def __init__(self, name: str, value: ast.expr) -> None:
        self._name = name
        self._value = value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return the value for the variable."""
        return self._value if node.id == self._name else node


def literal_items(node: ast.expr) -> Iterator[ast.expr]:
    """Return the items of a list, a tuple or a set that stand there; raise NotRewritable."""
    if not isinstance(node, (ast.List, ast.Tuple, ast.Set)) or not node.elts:
        raise NotRewritable
    return iter(node.elts)
