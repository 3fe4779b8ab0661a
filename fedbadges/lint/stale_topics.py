"""Rules that wait for topics of which nothing was heard for long."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from datanommer.models import Message as Row
from sqlalchemy import URL, func, select

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.errors import Place
from fedbadges.lint.findings import Finding
from fedbadges.lint.rule_nodes import (
    below,
    criteria_node,
    placed_leaves,
    question_part,
    trigger_node,
)
from fedbadges.messages import category_of
from fedbadges.rules.operators import AllOf, AnyOf, Check, Not
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import Template
from fedbadges.rules.triggers import Category, Topic
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode
from fedbadges.util.text import quoted

#: After this time without a message, a topic is taken for one that is no longer sent.
LONG = datetime.timedelta(days=365)

#: Whether a topic is among those that are meant.
Meant = Callable[[str], bool]


@dataclass(frozen=True)
class Wait:
    """What a rule waits for: a topic, the end of one or a category, and where it says so."""

    place: Place
    what: str
    meant: Meant


class Topics:
    """The topics in datanommer's database, and when each was last seen; raises Unavailable."""

    def __init__(self, url: URL) -> None:
        self._engine = reader(url)
        self._seen: dict[str, datetime.datetime] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every topic; found one after the other, since that needs an index and no more."""
        topic = Row.__table__.c.topic
        found: list[str] = []
        with translate_errors("datanommer"), self._engine.connect() as connection:
            following = connection.scalar(select(func.min(topic)))
            while following is not None:
                found.append(following)
                following = connection.scalar(select(func.min(topic)).where(topic > found[-1]))
        return tuple(found)

    def last_seen(self, meant: Meant) -> datetime.datetime | None:
        """Tell when the last message of these topics was sent, naive UTC; None for never."""
        return max((self._last(name) for name in self.names if meant(name)), default=None)

    def _last(self, name: str) -> datetime.datetime:
        if name not in self._seen:
            columns = Row.__table__.c
            last = select(func.max(columns.timestamp)).where(columns.topic == name)
            with translate_errors("datanommer"), self._engine.connect() as connection:
                self._seen[name] = connection.scalar(last) or datetime.datetime.min
        return self._seen[name]


def stale_topic(
    rule: Rule, topics: Topics, now: datetime.datetime | None = None
) -> Iterator[Finding]:
    """Find what a rule waits for though nothing of the kind came for a year."""
    now = now or datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for wait in waits(rule):
        last = topics.last_seen(wait.meant)
        if last is None:
            yield Finding(wait.place, "stale-topic", f"no message of {wait.what} was ever seen")
        elif last < now - LONG:
            text = f"no message of {wait.what} was seen since {last:%Y-%m-%d}"
            yield Finding(wait.place, "stale-topic", text)


def waits(rule: Rule) -> Iterator[Wait]:
    """Give every topic and category that must come for a rule to be of use."""
    yield from _in_trigger(rule.trigger, trigger_node(rule))
    for leaf, node in placed_leaves(rule.criteria, criteria_node(rule)):
        if isinstance(leaf, PastMessages):
            yield from _in_filter(question_part(node, "filter"), leaf)


def _in_trigger(trigger: Check[Any], node: Node) -> Iterator[Wait]:
    if isinstance(trigger, Not):
        return
    if isinstance(trigger, (AllOf, AnyOf)):
        for part, its_node in below(trigger, node):
            yield from _in_trigger(part, its_node)
    elif isinstance(trigger, Topic):
        end = f".{trigger.suffix}"
        yield Wait(
            _value(node).place,
            f"the topic {quoted(trigger.suffix)}",
            lambda topic: f".{topic}".endswith(end),
        )
    elif isinstance(trigger, Category):
        name = trigger.name
        yield Wait(
            _value(node).place,
            f"the category {quoted(name)}",
            lambda topic: category_of(topic) == name,
        )


def _in_filter(node: Node, question: PastMessages) -> Iterator[Wait]:
    assert isinstance(node, MappingNode)
    found = node.get("topics")
    entry = dict(question.filter.entries).get("topics")
    if not isinstance(found, SequenceNode) or not isinstance(entry, tuple):
        return
    for template, item in zip(entry, found.items, strict=True):
        if isinstance(template, Template) and not template.paths:
            yield Wait(item.place, f"the topic {quoted(template.text)}", _same(template.text))


def _same(text: str) -> Meant:
    return lambda topic: topic == text


def _value(node: Node) -> Node:
    """Give the name itself, which stands alone or below ``topic`` or ``category``."""
    while isinstance(node, MappingNode):
        ((_, node),) = node.entries
    assert isinstance(node, ScalarNode)
    return node
