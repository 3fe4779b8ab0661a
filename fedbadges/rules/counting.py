"""Recognizing lambda operations that look at messages one by one.

``len([m for m in query.all() if …])`` decides for each message alone whether it counts, and
``len({m.msg['repo'] for m in query.all()})`` takes something from each. So each past message has to
be read only once, and none has to stay in memory.
"""

import ast
import builtins
from collections.abc import Iterator
from typing import NamedTuple

#: Builtins that may answer the same question differently, or that have side effects.
_UNSTEADY = {"compile", "delattr", "eval", "exec", "exit", "help", "input", "open", "print", "quit"}
_UNSTEADY |= {"__import__", "breakpoint", "dir", "globals", "hash", "id", "locals", "object"}
_UNSTEADY |= {"setattr", "vars"}

#: The names beside its own variables that an expression may use if its answer for a message must
#: never change: not the time, files and the like.
_STEADY = frozenset(dir(builtins)) - _UNSTEADY | {"json", "re", "math"}

#: Methods that change what they belong to, such as the content of a message.
_MUTATORS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove"}
_MUTATORS |= {"reverse", "setdefault", "sort", "update"}

#: What a past message has, wherever it is read from.
_ATTRIBUTES = {"number", "topic", "category", "timestamp", "msg_id", "msg", "users", "packages"}

#: How many different values of one fold are kept; of more than these, all messages are read again.
MOST_DISTINCT = 10_000


class FoldSyntax(NamedTuple):
    """The syntax of a fold, such as ``sum(m.msg['lines'] for m in query)``.

    ``kind`` is its function, or ``distinct``. ``each`` is an iterable of what it takes from
    ``MESSAGE``, ``finish`` the result of what ``ITEMS`` has in the place of all that. It is
    ``eager`` if it takes something from every message before it looks at any of that.
    """

    kind: str
    eager: bool
    each: ast.expr
    finish: ast.expr


#: The arguments of the parts of a fold.
MESSAGE, ITEMS = "_message", "_items"

#: The functions that fold, and the keywords that each may have.
_FOLDS: dict[str, set[str | None]] = {"len": set(), "sum": set(), "any": set(), "all": set()}
_FOLDS |= {"max": {"default"}, "min": {"default"}}


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
    name = _variable(loop.generators, query)
    if name is None or len(loop.generators) > 1:
        return None
    conditions = loop.generators[0].ifs
    # The items must not be computed: that might fail, or have side effects.
    is_message = isinstance(loop.elt, ast.Name) and loop.elt.id == name
    if not is_message and not isinstance(loop.elt, ast.Constant):
        return None
    test: ast.expr = ast.Constant(True)
    if conditions:
        test = ast.BoolOp(op=ast.And(), values=[test, *conditions])
    return (name, test) if _is_steady(test, {name, values}, query) else None


def parse_join(body: ast.expr, query: str, values: str) -> tuple[ast.expr, ast.expr] | None:
    """Return two tuples that are equal for each message that an expression counts, or None.

    The first is what ``MESSAGE`` has, and empty if that does not count for anybody; the second is
    made of the templates alone. There is nothing else in the conditions that depends on templates.
    """
    counted = parse_count(body, query, values)
    if counted is None:
        return None
    name, test = counted
    theirs: list[ast.expr] = []
    wanted: list[ast.expr] = []
    rest: list[ast.expr] = [ast.Constant(True), ast.Constant(True)]
    for part in _conjuncts(test):
        sides = _sides(part, name, values)
        if sides is not None:
            theirs.append(sides[0])
            wanted.append(sides[1])
        elif _uses(part, values):
            return None
        else:
            rest.append(part)
    if not theirs:
        return None
    nobody = ast.Tuple([], ast.Load())
    has = ast.IfExp(ast.BoolOp(ast.And(), rest), ast.Tuple(theirs, ast.Load()), nobody)
    # The variable has the name that the rule gives it.
    function = ast.parse(f"lambda {name}: 0", mode="eval").body
    assert isinstance(function, ast.Lambda)
    function.body = has
    message = ast.Call(function, [ast.Name(MESSAGE, ast.Load())], [])
    return message, ast.Tuple(wanted, ast.Load())


def _conjuncts(test: ast.expr) -> Iterator[ast.expr]:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            yield from _conjuncts(part)
    else:
        yield test


def _sides(part: ast.expr, name: str, values: str) -> tuple[ast.expr, ast.expr] | None:
    """Return the sides of a comparison of the message with templates, the message's first."""
    match part:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            for one, other in ((left, right), (right, left)):
                if not _uses(one, values) and not _uses(other, name) and _uses(other, values):
                    return one, other
    return None


def _uses(part: ast.expr, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(part))


def parse_fold(body: ast.expr, query: str, values: str) -> FoldSyntax | None:
    """Return the parts of an expression that folds over something about each message, or None."""
    match body:
        case ast.Call(func=ast.Name(id=kind), args=[items], keywords=keywords):
            pass
        case _:
            return None
    if kind not in _FOLDS or not {each.arg for each in keywords} <= _FOLDS[kind]:
        return None
    # Anything else might raise, and that before or after what is raised for a message.
    if not all(isinstance(each.value, ast.Constant) for each in keywords):
        return None
    loop: ast.expr | None = items
    if kind == "len" and not isinstance(items, ast.ListComp):
        kind, loop = "distinct", _loop_of_set(items)
    elif not isinstance(items, (ast.ListComp, ast.GeneratorExp)):
        return None
    if not isinstance(loop, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
        return None
    name = _variable(loop.generators, query)
    if name is None or not _only_reads(loop, name):
        return None
    first, *others = loop.generators
    one = ast.Tuple([ast.Name(MESSAGE, ast.Load())], ast.Load())
    generators = [ast.comprehension(first.target, one, first.ifs, 0), *others]
    eager = isinstance(loop, ast.ListComp)
    each = (ast.ListComp if eager else ast.GeneratorExp)(loop.elt, generators)
    if not _is_steady(each, {name, values, MESSAGE}, query):
        return None
    finish = ast.Call(body.func, [ast.Name(ITEMS, ast.Load())], keywords)
    return FoldSyntax(kind, eager, each, finish)


def _loop_of_set(items: ast.expr) -> ast.expr | None:
    """Return the loop that makes a set, or None."""
    match items:
        case ast.SetComp():
            return items
        case ast.Call(
            func=ast.Name(id="set" | "frozenset"),
            args=[(ast.ListComp() | ast.GeneratorExp()) as loop],
            keywords=[],
        ):
            return loop
    return None


def _variable(generators: list[ast.comprehension], query: str) -> str | None:
    """Return the variable of a loop over all messages of the query, or None."""
    match generators[0]:
        case ast.comprehension(
            target=ast.Name(id=name),
            iter=ast.Name(id=source)
            | ast.Call(
                func=ast.Attribute(value=ast.Name(id=source), attr="all"), args=[], keywords=[]
            ),
            is_async=0,
        ) if source == query:
            return name
    return None


def _only_reads(loop: ast.ListComp | ast.GeneratorExp | ast.SetComp, name: str) -> bool:
    """Return True if a loop uses its variable for nothing but what every message has."""
    inner = (loop.elt, *loop.generators[0].ifs, *loop.generators[1:])
    nodes = [node for part in inner for node in ast.walk(part)]
    reads = [
        node.value for node in nodes if isinstance(node, ast.Attribute) and node.attr in _ATTRIBUTES
    ]
    uses = [node for node in nodes if isinstance(node, ast.Name) and node.id == name]
    arguments = (node.arg for node in nodes if isinstance(node, ast.arg))
    return name not in arguments and all(any(use is read for read in reads) for use in uses)


def _is_steady(test: ast.expr, own: set[str], query: str) -> bool:
    nodes = list(ast.walk(test))
    if any(
        isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)) for node in nodes
    ):
        return False
    if any(isinstance(node, ast.Attribute) and node.attr in _MUTATORS for node in nodes):
        return False
    names = [node for node in nodes if isinstance(node, ast.Name)]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    stored |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    known = own | (stored - {query}) | _STEADY
    return all(node.id in known for node in names)
