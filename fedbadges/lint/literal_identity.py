"""Lambdas that ask by ``is`` what ``==`` is for: whether it works is an accident of Python's."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fedbadges.lint.findings import Finding
from fedbadges.lint.rule_nodes import criteria_node, lambdas, trigger_node
from fedbadges.rules.expressions import syntax_of
from fedbadges.rules.rule import Rule
from fedbadges.rules.yaml_document import ScalarNode

_SIGNS = {ast.Is: ("is", "=="), ast.IsNot: ("is not", "!=")}


def is_literal(rule: Rule) -> Iterator[Finding]:
    """Find ``is 1`` and the like."""
    for part in (trigger_node(rule), criteria_node(rule)):
        for node in lambdas(part):
            yield from _find(node)


def _find(node: ScalarNode) -> Iterator[Finding]:
    syntax = syntax_of(node)
    if syntax is None:
        return
    for part in ast.walk(syntax.body):
        if not isinstance(part, ast.Compare):
            continue
        operands = [part.left, *part.comparators]
        for sign, left, right in zip(part.ops, operands, operands[1:], strict=False):
            literal = next((each for each in (right, left) if _is_value(each)), None)
            if type(sign) in _SIGNS and literal is not None:
                used, meant = _SIGNS[type(sign)]
                yield Finding(
                    syntax.place_of(part.left),
                    "is-literal",
                    f"'{used} {ast.unparse(literal)}' asks for the same object, not for an equal "
                    f"value; write '{meant} {ast.unparse(literal)}'",
                )


def _is_value(node: ast.expr) -> bool:
    """Tell a number or text from what is there only once, such as None and True."""
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return (
        isinstance(node, ast.Constant)
        and isinstance(node.value, (int, float, str, bytes))
        and (not isinstance(node.value, bool))
    )
