"""Lambdas that work by accident, or read more than they need."""

import ast
from collections.abc import Iterator
from datetime import datetime

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.lint.findings import Finding
from fedbadges.rules.conditions import Condition
from fedbadges.rules.counting import MOST_DISTINCT
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.expressions import RESULTS, Expression
from fedbadges.rules.filters import Filter, FilterEntry
from fedbadges.rules.operators import leaves
from fedbadges.rules.rule import Rule

#: Keys of filters that select most of a topic.
_BROAD = frozenset(
    f"{prefix}{key}" for prefix in ("", "not_") for key in ("topics", "categories")
) | {"not_users", "not_packages", "not_agents", "end"}

#: What an operation calls the past messages.
_ARGUMENTS = ("query", RESULTS)

#: Methods of a query that leave the reading to the database, or read one message.
_FRUGAL = ("count", "first", "one")

#: A page of at most so many messages is not worth a warning.
_FEW = 1000

_EVER = datetime.max

_SIGNS = {ast.Is: ("is", "=="), ast.IsNot: ("is not", "!=")}


def is_literal(rule: Rule) -> Iterator[Finding]:
    """Find ``is 1`` and the like: whether that works is an accident."""
    parts: list[object] = list(leaves(rule.trigger))
    for question in _questions(rule):
        parts += [question.operation, question.condition]
        parts += dict(question.filter.entries).values()
    for part in parts:
        expression = getattr(part, "expression", part)
        if isinstance(expression, Expression):
            yield from _literals(expression)


def _literals(expression: Expression) -> Iterator[Finding]:
    source = expression.source
    if source is None:
        return
    for part in ast.walk(source.parse()):
        if not isinstance(part, ast.Compare):
            continue
        operands = [part.left, *part.comparators]
        for sign, left, right in zip(part.ops, operands, operands[1:], strict=False):
            literal = next((each for each in (right, left) if _is_value(each)), None)
            if type(sign) in _SIGNS and literal is not None:
                used, meant = _SIGNS[type(sign)]
                yield Finding(
                    source.place_of(part.left),
                    "is-literal",
                    f"'{used} {ast.unparse(literal)}' asks for the same object, not for an equal "
                    f"value; write '{meant} {ast.unparse(literal)}'",
                )


def _is_value(node: ast.expr) -> bool:
    """Return True for a number or text; not for what exists only once, such as None and True."""
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in (int, float, str, bytes)


def whole_topic(rule: Rule) -> Iterator[Finding]:
    """Find operations that read all messages of a topic again for each question."""
    for question in _questions(rule):
        expression = question.operation.expression
        if expression is None:
            continue
        kept = _is_kept(expression, question.filter)
        if kept and _outgrows(expression, question.condition):
            yield Finding(
                question.operation.place,
                "whole-topic",
                f"of more than {MOST_DISTINCT} different values, every message that the filter "
                "selects is read, each time",
            )
        if kept or not _is_broad(question.filter) or not _reads_all(expression):
            continue
        yield Finding(
            question.operation.place,
            "whole-topic",
            "this reads every message that the topic ever had, each time; say in the filter whose "
            'messages, as in usernames: ["%(recipient)s"], or look at each message alone, as '
            "'count' with 'fields' in the filter and 'count distinct' do, and some lambdas",
        )


def _is_kept(expression: Expression, chosen: Filter) -> bool:
    """Return True if each message is read once, and the count or the result is kept."""
    if expression.fold is None:
        return expression.test is not None and chosen.pages.everything
    end = dict(chosen.entries).get("end", _EVER)
    return chosen.pages.in_order and isinstance(end, datetime)


def _outgrows(expression: Expression, condition: Condition) -> bool:
    """Return True if the condition needs more different values than are kept."""
    is_distinct = expression.fold is not None and expression.fold.kind == "distinct"
    return is_distinct and (condition.enough or 0) > MOST_DISTINCT


def _is_broad(chosen: Filter) -> bool:
    is_short = 0 < chosen.pages.rows_per_page <= _FEW
    keys = {key for key, entry in chosen.entries if not _is_old(key, entry)}
    return not is_short and _BROAD.issuperset(keys)


def _is_old(key: str, entry: FilterEntry) -> bool:
    """Return True for a window that began at a date, and grows since."""
    return key == "start" and isinstance(entry, datetime)


def _reads_all(expression: Expression) -> bool:
    """Return True if an expression does more with ``query`` than to count, or to read one."""
    if expression.source is None:
        return True
    body = expression.source.parse()
    parents = {child: parent for parent in ast.walk(body) for child in ast.iter_child_nodes(parent)}
    uses = [part for part in ast.walk(body) if isinstance(part, ast.Name) and part.id in _ARGUMENTS]
    return any(not _is_frugal(use, parents) for use in uses)


def _is_frugal(use: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Follow ``query.filter_by(…).count()`` from its beginning to the method that decides."""
    above = parents.get(use)
    while isinstance(above, ast.Attribute) or (isinstance(above, ast.Call) and above.func is use):
        if isinstance(above, ast.Attribute) and above.attr in _FRUGAL:
            return True
        use, above = above, parents.get(above)
    # For len(query) and len(query.all()) it is the database that counts, too.
    return isinstance(above, ast.Call) and getattr(above.func, "id", "") == "len"


def _questions(rule: Rule) -> Iterator[PastMessages]:
    return (each for each in backend_criteria(rule.criteria) if isinstance(each, PastMessages))
