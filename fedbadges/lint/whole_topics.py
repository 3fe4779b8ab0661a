"""Operations that read every past message of a topic, however many there are."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.lint.findings import Finding
from fedbadges.lint.rule_nodes import criteria_node, lambdas, placed_leaves, question_part
from fedbadges.rules.expressions import syntax_of
from fedbadges.rules.filters import Pages
from fedbadges.rules.operations import LambdaOperation
from fedbadges.rules.rule import Rule
from fedbadges.rules.yaml_document import ScalarNode

#: Keys of filters that leave most of what there is of a topic.
_BROAD = frozenset(
    f"{prefix}{key}" for prefix in ("", "not_") for key in ("topics", "categories")
) | {"not_users", "not_packages", "not_agents"}

#: Methods of a query that leave the reading to the database, or read one message.
_FRUGAL = ("count", "first", "one")

#: A page of at most so many messages is not worth a word.
_FEW = 1000


def whole_topic(rule: Rule) -> Iterator[Finding]:
    """Find operations that read all messages of a topic again for each question."""
    for leaf, node in placed_leaves(rule.criteria, criteria_node(rule)):
        if not isinstance(leaf, PastMessages) or not isinstance(leaf.operation, LambdaOperation):
            continue
        operation = question_part(node, "operation")
        counts = leaf.operation.expression.test is not None and leaf.filter.pages.everything
        if counts or not _is_broad(leaf) or not any(map(_reads_all, lambdas(operation))):
            continue
        yield Finding(
            operation.place,
            "whole-topic",
            "this reads every message that the topic ever had, each time; say in the filter whose "
            'messages, as in usernames: ["%(recipient)s"], or count them by '
            "'len([m for m in query.all() if …])', which reads only what is new",
        )


def _is_broad(leaf: PastMessages) -> bool:
    return _BROAD.issuperset(key for key, _ in leaf.filter.entries) and not _is_short(
        leaf.filter.pages
    )


def _is_short(pages: Pages) -> bool:
    return 0 < pages.rows_per_page <= _FEW


def _reads_all(node: ScalarNode) -> bool:
    """Tell whether an expression does more with ``query`` than to count, or to take one."""
    syntax = syntax_of(node)
    if syntax is None:
        return False
    body = syntax.body
    parents = {child: parent for parent in ast.walk(body) for child in ast.iter_child_nodes(parent)}
    uses = [part for part in ast.walk(body) if isinstance(part, ast.Name) and part.id == "query"]
    return any(not _is_frugal(use, parents) for use in uses)


def _is_frugal(use: ast.AST, parents: dict[ast.AST, ast.AST]) -> bool:
    """Follow ``query.filter_by(…).count()`` from its beginning to what decides."""
    above = parents.get(use)
    while isinstance(above, ast.Attribute) or (isinstance(above, ast.Call) and above.func is use):
        if isinstance(above, ast.Attribute) and above.attr in _FRUGAL:
            return True
        use, above = above, parents.get(above)
    # The database counts for len(query) and len(query.all()), too.
    return isinstance(above, ast.Call) and getattr(above.func, "id", "") == "len"
