"""Triggers that no message can match.

What a lambda says is not known, so it may be true or false. Of topics it is enough to try those
that the trigger names: a message has of these just the ones that are ends of the longest it has.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fedbadges.lint.findings import Finding
from fedbadges.lint.rule_nodes import below, trigger_node
from fedbadges.messages import category_of
from fedbadges.rules.operators import AllOf, AnyOf, Check, Not, leaves
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Category, LambdaTrigger, Topic
from fedbadges.rules.yaml_document import Node

_CODE = "never-matches"

#: More work than this is not worth it.
_MOST = 200_000

#: What fedmsg has for the third part of a topic, which shows that one is spelled in full.
_ENVIRONMENTS = ("prod", "stg", "dev")


@dataclass(frozen=True)
class _Kind:
    """Messages that a trigger cannot tell apart: the longest of its topics, and its category."""

    topic: str | None
    category: str | None

    @property
    def exists(self) -> bool:
        """Whether there can be such messages: a whole topic says its category."""
        if self.topic is None or not _is_whole(self.topic):
            return True
        return self.category == category_of(self.topic)


def never_matches(rule: Rule) -> Iterator[Finding]:
    """Find a trigger, or what stands below its ``any``, that no message can match."""
    yield from _find(rule.trigger, trigger_node(rule))


def _find(trigger: Check[Any], node: Node) -> Iterator[Finding]:
    if not _can_hold(trigger):
        yield _explain(trigger, node)
    elif isinstance(trigger, AnyOf):
        for part, its_node in below(trigger, node):
            yield from _find(part, its_node)


def _explain(trigger: Check[Any], node: Node) -> Finding:
    if not isinstance(trigger, AllOf):
        return Finding(node.place, _CODE, "no message can match this")
    pairs = itertools.combinations(below(trigger, node), 2)
    for (first, its_node), (second, other) in pairs:
        if not _can_hold(AllOf((first, second))) and _can_hold(first) and _can_hold(second):
            text = f"no message can match both this and what stands in line {its_node.place.line}"
            return Finding(other.place, _CODE, f"{text}; did you mean 'any'?")
    return Finding(node.place, _CODE, "no message can match all of these; did you mean 'any'?")


def _can_hold(trigger: Check[Any]) -> bool:
    parts = list(leaves(trigger))
    topics = {part.suffix for part in parts if isinstance(part, Topic)}
    categories = {part.name for part in parts if isinstance(part, Category)}
    categories |= {category_of(topic) for topic in topics if _is_whole(topic)}
    kinds = [_Kind(*each) for each in itertools.product((*topics, None), (*categories, None))]
    if len(kinds) * len(parts) > _MOST:
        return True
    return any(kind.exists and _holds(trigger, kind) is not False for kind in kinds)


def _holds(trigger: Check[Any], kind: _Kind) -> bool | None:
    """Tell whether a trigger holds of messages of a kind; None where that depends."""
    if isinstance(trigger, Not):
        found = _holds(trigger.part, kind)
        return None if found is None else not found
    if isinstance(trigger, (AllOf, AnyOf)):
        decisive = isinstance(trigger, AnyOf)
        all_found = {_holds(part, kind) for part in trigger.parts}
        if decisive in all_found:
            return decisive
        return None if None in all_found else not decisive
    if isinstance(trigger, Topic):
        return kind.topic is not None and f".{kind.topic}".endswith(f".{trigger.suffix}")
    if isinstance(trigger, Category):
        return kind.category == trigger.name
    return _constant(trigger) if isinstance(trigger, LambdaTrigger) else None


def _constant(trigger: LambdaTrigger) -> bool | None:
    """Tell what an expression gives that is a constant."""
    try:
        return bool(ast.literal_eval(trigger.expression.text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _is_whole(topic: str) -> bool:
    parts = topic.split(".")
    return len(parts) > 3 and parts[2] in _ENVIRONMENTS
