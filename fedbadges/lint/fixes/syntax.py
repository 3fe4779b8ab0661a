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
