"""Lambdas that compare by ``is`` with a literal: whether that works is an accident."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.lint.findings import Finding
from fedbadges.rules.conditions import LambdaCondition
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.expressions import Expression
from fedbadges.rules.operations import LambdaOperation
from fedbadges.rules.operators import leaves
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import LambdaTrigger

_SIGNS = {ast.Is: ("is", "=="), ast.IsNot: ("is not", "!=")}


def is_literal(rule: Rule) -> Iterator[Finding]:
    """Find ``is 1`` and the like."""
    for expression in _expressions(rule):
        yield from _find(expression)


def _expressions(rule: Rule) -> Iterator[Expression]:
    """Yield every lambda of a rule."""
    for trigger in leaves(rule.trigger):
        if isinstance(trigger, LambdaTrigger):
            yield trigger.expression
    for criterion in backend_criteria(rule.criteria):
        if isinstance(criterion, PastMessages):
            for _, entry in criterion.filter.entries:
                if isinstance(entry, Expression):
                    yield entry
            for part in (criterion.operation, criterion.condition):
                if isinstance(part, (LambdaOperation, LambdaCondition)):
                    yield part.expression


def _find(expression: Expression) -> Iterator[Finding]:
    for part in ast.walk(expression.source.parse()):
        if not isinstance(part, ast.Compare):
            continue
        operands = [part.left, *part.comparators]
        for sign, left, right in zip(part.ops, operands, operands[1:], strict=False):
            literal = next((each for each in (right, left) if _is_value(each)), None)
            if type(sign) in _SIGNS and literal is not None:
                used, meant = _SIGNS[type(sign)]
                yield Finding(
                    expression.source.place_of(part.left),
                    "is-literal",
                    f"'{used} {ast.unparse(literal)}' asks for the same object, not for an equal "
                    f"value; write '{meant} {ast.unparse(literal)}'",
                )


def _is_value(node: ast.expr) -> bool:
    """Return True for a number or text; not for what exists only once, such as None and True."""
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float, str, bytes))
        and (not isinstance(node.value, bool))
    )
