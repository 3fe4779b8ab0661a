"""Rules that wait for topics of which no message was sent for a year."""

import datetime
import operator
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any

from datanommer.models import Message as Row
from sqlalchemy import URL, Select, func, select

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.errors import Place
from fedbadges.history.rows import TEXT, TIMESTAMP
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

#: What a rule waits for: where it says so, a topic, the end of one or a category, and what matches.
_Wait = tuple[Place, str, Callable[[str], bool]]


class TopicHistory:
    """When topics were last seen in datanommer's database; each question raises Unavailable."""

    def __init__(self, url: URL) -> None:
        self._engine = reader(url)
        self._seen: dict[str, datetime.datetime] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return every topic; one is found after the other, for which the index is enough."""
        topic = Row.__table__.c.topic
        found = [self._scalar(select(func.min(topic)))]
        while found[-1] is not None:
            found.append(self._scalar(select(func.min(topic)).where(topic > found[-1])))
        return tuple(found[:-1])

    def last_seen(self, matches: Callable[[str], bool]) -> datetime.datetime | None:
        """Return when the last message of these topics was sent, naive UTC; None for never."""
        columns, chosen = Row.__table__.c, [name for name in self.names if matches(name)]
        for name in chosen:
            if name not in self._seen:
                last = (
                    select(TIMESTAMP)
                    .where(columns.topic == name, columns.timestamp <= datetime.datetime.max)
                    .order_by(columns.timestamp.desc())
                    .limit(1)
                )
                self._seen[name] = self._scalar(last) or datetime.datetime.min
        return max((self._seen[name] for name in chosen), default=None)

    def latest(self, topic: str, limit: int) -> list[tuple[datetime.datetime, str]]:
        """Return the latest messages of a topic: when each was sent, and its content as text."""
        columns = Row.__table__.c
        statement = (
            select(TIMESTAMP, TEXT)
            .where(columns.topic == topic)
            .order_by(columns.timestamp.desc())
            .limit(limit)
        )
        with translate_errors("datanommer"), self._engine.connect() as connection:
            rows = connection.execute(statement).all()
        return [(sent, text) for sent, text in rows if sent is not None]

    def _scalar(self, statement: Select[Any]) -> Any:
        with translate_errors("datanommer"), self._engine.connect() as connection:
            return connection.scalar(statement)


def stale_topic(topics: TopicHistory, rule: Rule) -> Iterator[Finding]:
    """Find the topics that a rule waits for though no message came for a year."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for place, what, matches in _waits(rule):
        last = topics.last_seen(matches)
        if last is None:
            yield Finding(place, "stale-topic", f"no message of {what} was ever seen")
        elif last < now - LONG:
            text = f"no message of {what} was seen since {last:%Y-%m-%d}"
            yield Finding(place, "stale-topic", text)


def _waits(rule: Rule) -> Iterator[_Wait]:
    yield from _in_trigger(rule.trigger)
    for criterion in backend_criteria(rule.criteria):
        if isinstance(criterion, PastMessages):
            for template in templates_in(dict(criterion.filter.entries).get("topics", ())):
                if not template.paths:
                    what = f"the topic {quoted(template.text)}"
                    yield template.place, what, partial(operator.eq, template.text)


def _in_trigger(trigger: Check[Any]) -> Iterator[_Wait]:
    if isinstance(trigger, Topic):
        end = f".{trigger.suffix}"
        what = f"the topic {quoted(trigger.suffix)}"
        yield trigger.name_place, what, lambda topic: f".{topic}".endswith(end)
    elif isinstance(trigger, Category):
        name, what = trigger.name, f"the category {quoted(trigger.name)}"
        yield trigger.name_place, what, lambda topic: category_of(topic) == name
    elif not isinstance(trigger, Not):
        for part in operands(trigger):
            yield from _in_trigger(part)
