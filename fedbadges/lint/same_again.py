"""Badges that are given for the same as another badge."""

import operator
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from fedbadges.criteria.datanommer import past_messages
from fedbadges.lint.findings import Finding
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.operators import operands
from fedbadges.rules.rule import Rule

#: Comparisons with a whole number, and the equal one with the next number.
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
                    rule.criteria.place,
                    "same-again",
                    f"this is given for just what '{first.badge.id}' is given for, at "
                    f"{first.criteria.place}",
                )


def _meaning(criteria: Any) -> Any:
    """Return something that is equal for criteria that are equal but for how they are written."""
    parts = operands(criteria)
    if parts:
        return type(criteria), [_meaning(part) for part in parts]
    question = past_messages(criteria)
    if question is None:
        return criteria
    chosen = question.filter
    return dict(chosen.entries), chosen.pages, question.operation, _condition(question.condition)


def _condition(condition: Any) -> Any:
    if not isinstance(condition, Comparison):
        return condition
    compare, threshold = condition.compare, condition.threshold
    if compare in _STRICT and isinstance(threshold, int):
        compare, step = _STRICT[compare]
        threshold += step
    return compare, threshold
