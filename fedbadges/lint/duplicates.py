"""Badges that are given for just what another one is given for."""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.lint.findings import Finding
from fedbadges.lint.rule_nodes import criteria_node
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.operators import AllOf, AnyOf, Not
from fedbadges.rules.rule import Rule

#: Comparisons with a whole number that say the same as another one with the next.
_STRICT = {operator.gt: (operator.ge, 1), operator.lt: (operator.le, -1)}


def same_again(rules: Iterable[Rule]) -> Iterator[Finding]:
    """Find rules with the trigger, the criteria and the recipient of one that comes before."""
    groups: dict[Any, list[Rule]] = defaultdict(list)
    for rule in rules:
        groups[rule.trigger].append(rule)
    for group in groups.values():
        seen: list[tuple[Any, Rule]] = []
        for rule in group:
            meaning = (_meaning(rule.criteria), rule.recipient)
            first = next((other for known, other in seen if known == meaning), None)
            seen.append((meaning, rule))
            if first is not None:
                yield Finding(
                    criteria_node(rule).place,
                    "same-again",
                    f"this is given for just what '{first.badge.id}' is given for, at "
                    f"{criteria_node(first).place}",
                )


def _meaning(criteria: Any) -> Any:
    """Give something that is equal for criteria that say the same in other words."""
    if isinstance(criteria, Not):
        return "not", _meaning(criteria.part)
    if isinstance(criteria, (AllOf, AnyOf)):
        return type(criteria), [_meaning(part) for part in criteria.parts]
    if not isinstance(criteria, PastMessages):
        return criteria
    entries = dict(criteria.filter.entries)
    return entries, criteria.filter.pages, criteria.operation, _condition(criteria.condition)


def _condition(condition: Any) -> Any:
    if not isinstance(condition, Comparison):
        return condition
    compare, threshold = condition.compare, condition.threshold
    if compare in _STRICT and isinstance(threshold, int):
        compare, step = _STRICT[compare]
        threshold += step
    return compare, threshold
