"""Rules that wait for topics of which no message was sent for a year."""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from datanommer.models import Message as Row
from sqlalchemy import URL, func, select

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.errors import Place
from fedbadges.lint.findings import Finding
from fedbadges.messages import category_of
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.filters import templates_in
from fedbadges.rules.operators import Check, Not, operands
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Category, Topic
from fedbadges.util.text import quoted

#: After this time without a message, a topic counts as stale.
LONG = datetime.timedelta(days=365)


@dataclass(frozen=True)
class _Wait:
    """What a rule waits for: a topic, the end of one or a category, and where it says so."""

    place: Place
    what: str
    matches: Callable[[str], bool]


class TopicHistory:
    """When topics were last seen in datanommer's database; each question raises Unavailable."""

    def __init__(self, url: URL) -> None:
        self._engine = reader(url)
        self._seen: dict[str, datetime.datetime] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return every topic; one is found after the other, for which the index is enough."""
        topic = Row.__table__.c.topic
        found: list[str] = []
        with translate_errors("datanommer"), self._engine.connect() as connection:
            following = connection.scalar(select(func.min(topic)))
            while following is not None:
                found.append(following)
                following = connection.scalar(select(func.min(topic)).where(topic > found[-1]))
        return tuple(found)

    def last_seen(self, matches: Callable[[str], bool]) -> datetime.datetime | None:
        """Return when the last message of these topics was sent, naive UTC; None for never."""
        return max((self._last(name) for name in self.names if matches(name)), default=None)

    def _last(self, name: str) -> datetime.datetime:
        if name not in self._seen:
            columns = Row.__table__.c
            last = select(func.max(columns.timestamp)).where(columns.topic == name)
            with translate_errors("datanommer"), self._engine.connect() as connection:
                self._seen[name] = connection.scalar(last) or datetime.datetime.min
        return self._seen[name]


def stale_topic(topics: TopicHistory, rule: Rule) -> Iterator[Finding]:
    """Find the topics that a rule waits for though no message came for a year."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for wait in _waits(rule):
        last = topics.last_seen(wait.matches)
        if last is None:
            yield Finding(wait.place, "stale-topic", f"no message of {wait.what} was ever seen")
        elif last < now - LONG:
            text = f"no message of {wait.what} was seen since {last:%Y-%m-%d}"
            yield Finding(wait.place, "stale-topic", text)


def _waits(rule: Rule) -> Iterator[_Wait]:
    yield from _in_trigger(rule.trigger)
    for criterion in backend_criteria(rule.criteria):
        if isinstance(criterion, PastMessages):
            topics = dict(criterion.filter.entries).get("topics", ())
            for template in templates_in(topics):
                if not template.paths:
                    what = f"the topic {quoted(template.text)}"
                    yield _Wait(template.place, what, partial(operator.eq, template.text))


def _in_trigger(trigger: Check[Any]) -> Iterator[_Wait]:
    if isinstance(trigger, Topic):
        yield _Wait(
            trigger.name_place,
            f"the topic {quoted(trigger.suffix)}",
            lambda topic: f".{topic}".endswith(f".{trigger.suffix}"),
        )
    elif isinstance(trigger, Category):
        yield _Wait(
            trigger.name_place,
            f"the category {quoted(trigger.name)}",
            lambda topic: category_of(topic) == trigger.name,
        )
    elif not isinstance(trigger, Not):
        for part in operands(trigger):
            yield from _in_trigger(part)
