"""Triggers that no message can match.

A lambda may be true or false. It is enough to try the topics that the trigger names: of these, a
message has the longest that matches, and those that are ends of it.
"""

import ast
import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

from fedbadges.lint.findings import Finding
from fedbadges.messages import category_of
from fedbadges.rules.operators import AllOf, AnyOf, Check, Not, leaves
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Category, LambdaTrigger, Topic

_CODE = "never-matches"

#: The third part of a topic of fedmsg; a topic that has one of these is complete.
_ENVIRONMENTS = ("prod", "stg", "dev")


def never_matches(rule: Rule) -> Iterator[Finding]:
    """Find a trigger, or what stands below its ``any``, that no message can match."""
    return _find(rule.trigger)


def _find(trigger: Check[Any]) -> Iterator[Finding]:
    if not _can_hold(trigger):
        yield _explain(trigger)
    elif isinstance(trigger, AnyOf):
        for part in trigger.parts:
            yield from _find(part)


def _explain(trigger: Check[Any]) -> Finding:
    if not isinstance(trigger, AllOf):
        return Finding(trigger.place, _CODE, "no message can match this")
    for first, second in itertools.combinations(trigger.parts, 2):
        both = AllOf((first, second), trigger.place)
        if not _can_hold(both) and _can_hold(first) and _can_hold(second):
            text = f"no message can match both this and what stands in line {first.place.line}"
            return Finding(second.place, _CODE, f"{text}; did you mean 'any'?")
    return Finding(trigger.place, _CODE, "no message can match all of these; did you mean 'any'?")


def _can_hold(trigger: Check[Any]) -> bool:
    parts = list(leaves(trigger))
    topics = {part.suffix for part in parts if isinstance(part, Topic)}
    categories = {part.name for part in parts if isinstance(part, Category)}
    categories |= {category_of(topic) for topic in topics if _is_complete(topic)}
    return any(
        _holds(trigger, topic, category) is not False
        for topic, category in itertools.product((*topics, None), (*categories, None))
        # A complete topic has one category.
        if topic is None or not _is_complete(topic) or category == category_of(topic)
    )


def _holds(trigger: Check[Any], topic: str | None, category: str | None) -> bool | None:
    """Return whether a trigger holds of such messages; None if that depends.

    ``topic`` is the longest of its topics that matches them.
    """
    if isinstance(trigger, Not):
        found = _holds(trigger.part, topic, category)
        return None if found is None else not found
    if isinstance(trigger, (AllOf, AnyOf)):
        decisive = isinstance(trigger, AnyOf)
        all_found = {_holds(part, topic, category) for part in trigger.parts}
        if decisive in all_found:
            return decisive
        return None if None in all_found else not decisive
    if isinstance(trigger, Topic):
        return topic is not None and f".{topic}".endswith(f".{trigger.suffix}")
    if isinstance(trigger, Category):
        return category == trigger.name
    if isinstance(trigger, LambdaTrigger) and not trigger.expression.paths:
        with contextlib.suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return bool(ast.literal_eval(trigger.expression.text))  # it is a constant
    return None


def _is_complete(topic: str) -> bool:
    parts = topic.split(".")
    return len(parts) > 3 and parts[2] in _ENVIRONMENTS
