"""Triggers and criteria side by side with the nodes that they were parsed from.

What a rule does is known of its parts, and where they stand of its nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fedbadges.rules.criteria import DEFAULT_BACKEND
from fedbadges.rules.operators import OPERATORS, AllOf, AnyOf, Check, Not
from fedbadges.rules.rule import Rule
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode


def trigger_node(rule: Rule) -> Node:
    """Give the node of a rule's trigger."""
    return _required(rule.source, "trigger")


def criteria_node(rule: Rule) -> Node:
    """Give the node of a rule's criteria."""
    return _required(rule.source, "criteria")


def below(check: Check[Any], node: Node) -> Iterator[tuple[Check[Any], Node]]:
    """Give the parts that an operator combines, each with its node; nothing of other checks."""
    if isinstance(check, Not):
        yield check.part, _operand(node)
    elif isinstance(check, (AllOf, AnyOf)):
        operand = _operand(node)
        assert isinstance(operand, SequenceNode)
        yield from zip(check.parts, operand.items, strict=True)


def placed_leaves(check: Check[Any], node: Node) -> Iterator[tuple[Any, Node]]:
    """Give what stands below all operators, each with its node."""
    if not isinstance(check, (AllOf, AnyOf, Not)):
        yield check, node
    for part, its_node in below(check, node):
        yield from placed_leaves(part, its_node)


def question_part(node: Node, key: str) -> Node:
    """Give a part of a question to datanommer, such as its ``filter``, wherever it stands."""
    assert isinstance(node, MappingNode)
    inner = node.get(DEFAULT_BACKEND)
    return _required(inner if isinstance(inner, MappingNode) else node, key)


def lambdas(node: Node) -> Iterator[ScalarNode]:
    """Give the text of every lambda that stands anywhere below."""
    if isinstance(node, SequenceNode):
        for item in node.items:
            yield from lambdas(item)
    elif isinstance(node, MappingNode):
        for key, value in node.entries:
            if key.text == "lambda" and isinstance(value, ScalarNode):
                yield value
            else:
                yield from lambdas(value)


def _operand(node: Node) -> Node:
    """Give what stands below an operator, also where a key such as ``topic`` stands before it."""
    assert isinstance(node, MappingNode)
    ((key, value),) = node.entries
    return value if key.text in OPERATORS else _operand(value)


def _required(mapping: MappingNode, key: str) -> Node:
    node = mapping.get(key)
    assert node is not None, f"a rule that was loaded has '{key}'"
    return node
