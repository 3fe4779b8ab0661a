"""Recognizing lambda operations that count messages one by one.

``len([m for m in query.all() if …])`` decides for each message alone whether it counts. So each
past message has to be read only once, and none has to stay in memory.
"""

from __future__ import annotations

import ast
import builtins

#: Builtins that may answer the same question differently, or that have side effects.
_UNSTEADY = {"compile", "delattr", "eval", "exec", "exit", "help", "input", "open", "print", "quit"}
_UNSTEADY |= {"__import__", "breakpoint", "dir", "globals", "hash", "id", "locals", "object"}
_UNSTEADY |= {"setattr", "vars"}

#: The names beside its own variables that an expression may use if its answer for a message must
#: never change: not the time, files and the like.
_STEADY = frozenset(dir(builtins)) - _UNSTEADY | {"json", "re", "math"}


def parse_count(body: ast.expr, query: str, values: str) -> tuple[str, ast.expr] | None:
    """Return the name of a message in a counting expression, and its test of the message.

    ``query`` and ``values`` are the names of the expression's arguments. Return None if the
    expression does not count messages one by one.
    """
    loop = _loop(body)
    if loop is None or len(loop.generators) != 1:
        return None
    (generator,) = loop.generators
    if generator.is_async or not isinstance(generator.target, ast.Name):
        return None
    if not _is_query(generator.iter, query):
        return None
    name = generator.target.id
    if not _is_harmless(loop.elt, name):
        return None
    test: ast.expr = ast.Constant(True)
    if generator.ifs:
        test = ast.BoolOp(op=ast.And(), values=[test, *generator.ifs])
    return (name, test) if _is_steady(test, {name, values}, query) else None


def _loop(body: ast.expr) -> ast.ListComp | ast.GeneratorExp | None:
    """Return the comprehension in ``len([…])`` or ``sum(1 for …)``."""
    if not isinstance(body, ast.Call) or len(body.args) != 1 or body.keywords:
        return None
    function, argument = body.func, body.args[0]
    if not isinstance(function, ast.Name):
        return None
    if function.id == "len" and isinstance(argument, ast.ListComp):
        return argument
    if function.id != "sum" or not isinstance(argument, (ast.ListComp, ast.GeneratorExp)):
        return None
    one = argument.elt
    return argument if isinstance(one, ast.Constant) and one.value == 1 else None


def _is_query(node: ast.expr, query: str) -> bool:
    """Return True if the loop is over ``query`` or ``query.all()``."""
    if isinstance(node, ast.Call) and not node.args and not node.keywords:
        method = node.func
        if isinstance(method, ast.Attribute) and method.attr == "all":
            node = method.value
    return isinstance(node, ast.Name) and node.id == query


def _is_harmless(node: ast.expr, name: str) -> bool:
    """Return True if the items of the list are the messages or a constant."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id == name)


def _is_steady(test: ast.expr, own: set[str], query: str) -> bool:
    nodes = list(ast.walk(test))
    if any(
        isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)) for node in nodes
    ):
        return False
    names = [node for node in nodes if isinstance(node, ast.Name)]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    stored |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    known = own | (stored - {query}) | _STEADY
    return all(node.id in known for node in names)
