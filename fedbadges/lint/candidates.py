"""Rules that do not ask about those who would get the badge, or that name nobody."""

from __future__ import annotations

from collections.abc import Iterator
from operator import ge, gt
from typing import Any

# The daemon says the same of all its rules at its start.
from fedbadges.accounts.usernames import has_no_candidates
from fedbadges.criteria.datanommer import PastMessages
from fedbadges.lint.findings import Finding
from fedbadges.lint.rule_nodes import criteria_node
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilterEntry, templates_in
from fedbadges.rules.operations import LambdaOperation
from fedbadges.rules.operators import leaves
from fedbadges.rules.rule import Rule

#: Keys of filters whose values are nobody's, wherever they come from.
_IMPERSONAL = frozenset(
    ["topics", "not_topics", "categories", "not_categories", "start", "end"],
)


def same_for_all(rule: Rule) -> Iterator[Finding]:
    """Find criteria that hold of everybody whom a message names, or of nobody."""
    questions = [leaf for leaf in leaves(rule.criteria) if not _is_formality(leaf)]
    if not questions or any(_is_personal(question) for question in questions):
        return
    yield Finding(
        criteria_node(rule).place,
        "same-for-all",
        "these criteria do not depend on who would get the badge: everybody whom the message "
        'names gets it, or nobody; to ask about each, write usernames: ["%(recipient)s"]',
    )


def names_nobody(rule: Rule) -> Iterator[Finding]:
    """Find a rule without a recipient, where no plugin says whom its messages concern."""
    if has_no_candidates(rule):
        yield Finding(
            rule.place,
            "no-plugin",
            "without a 'recipient' a plugin for fedmsg.meta must say who gets the badge, and none "
            "is installed here",
        )


def _is_formality(leaf: Any) -> bool:
    """Tell whether the message itself answers it: a rule must have criteria, needed or not."""
    if not isinstance(leaf, PastMessages) or isinstance(leaf.operation, LambdaOperation):
        return False
    keys = dict(leaf.filter.entries)
    if "msg_id" in keys:
        return True
    condition = leaf.condition
    at_least_one = isinstance(condition, Comparison) and condition.compare in (ge, gt)
    return (
        at_least_one
        and condition.enough == 1
        and keys.keys() == {"topics"}
        and any(template.names("topic") for template in templates_in(keys["topics"]))
    )


def _is_personal(leaf: Any) -> bool:
    """Tell whether a question may have another answer for another person, or message."""
    if not isinstance(leaf, PastMessages):
        return True
    if isinstance(leaf.operation, LambdaOperation) and leaf.operation.expression.paths:
        return True
    return any(
        key not in _IMPERSONAL and _is_filled_in(entry) for key, entry in leaf.filter.entries
    )


def _is_filled_in(entry: FilterEntry) -> bool:
    return isinstance(entry, Expression) or any(each.paths for each in templates_in(entry))
