"""Recognizing lambda operations that count messages one by one.

``len([m for m in query.all() if …])`` decides for each message alone whether it counts. So each
past message has to be read only once, and none has to stay in memory.
"""

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
    """Return the variable and the test of an expression that counts messages, or else None."""
    match body:
        case ast.Call(func=ast.Name(id="len"), args=[ast.ListComp() as loop], keywords=[]):
            pass
        case ast.Call(
            func=ast.Name(id="sum"),
            args=[(ast.ListComp() | ast.GeneratorExp()) as loop],
            keywords=[],
        ) if isinstance(loop.elt, ast.Constant) and loop.elt.value == 1:
            pass
        case _:
            return None
    match loop.generators:
        case [
            ast.comprehension(
                target=ast.Name(id=name),
                iter=ast.Name(id=source)
                | ast.Call(
                    func=ast.Attribute(value=ast.Name(id=source), attr="all"), args=[], keywords=[]
                ),
                ifs=conditions,
                is_async=0,
            )
        ] if source == query:
            pass
        case _:
            return None
    # The items must not be computed: that might fail, or have side effects.
    is_message = isinstance(loop.elt, ast.Name) and loop.elt.id == name
    if not is_message and not isinstance(loop.elt, ast.Constant):
        return None
    test: ast.expr = ast.Constant(True)
    if conditions:
        test = ast.BoolOp(op=ast.And(), values=[test, *conditions])
    return (name, test) if _is_steady(test, {name, values}, query) else None


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
