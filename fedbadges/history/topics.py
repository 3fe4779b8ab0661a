"""The topics of datanommer's database: which there are, and their latest messages."""

import datetime
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from datanommer.models import Message as Row
from sqlalchemy import URL, ColumnElement, Select, func, select

from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.history.rows import LAST_TIME, TEXT, TIMESTAMP
from fedbadges.messages import fits_databases

#: Among how many of a topic's last messages one with a time is looked for.
_LAST_ROWS = 20


def _make_topics() -> Select[Any]:
    """Return the statement for all topics; it goes from one to the next, by the index.

    The database itself does that: what is not in its encoding is read as another topic.
    """
    topic = Row.__table__.c.topic
    found = select(func.min(topic).label("topic")).cte("topics", recursive=True)
    following = select(func.min(topic)).where(topic > found.c.topic).scalar_subquery()
    found = found.union_all(select(following).where(found.c.topic.is_not(None)))
    return select(found.c.topic).where(found.c.topic.is_not(None))


_TOPICS = _make_topics()


def _latest(topic: str, limit: int, *columns: ColumnElement[Any]) -> Select[Any]:
    """Return the statement for these columns of the latest messages of a topic."""
    rows = Row.__table__.c
    return (
        select(*columns)
        .where(rows.topic == topic, rows.timestamp <= LAST_TIME)
        .order_by(rows.timestamp.desc())
        .limit(limit)
    )


class TopicHistory:
    """When topics were last seen in datanommer's database; each question raises Unavailable."""

    def __init__(self, url: URL) -> None:
        self._engine = reader(url)
        self._seen: dict[str, datetime.datetime | None] = {}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Return every topic."""
        found = (name for (name,) in self._rows(_TOPICS))
        return tuple(name for name in found if isinstance(name, str) and fits_databases(name))

    def last_seen(self, matches: Callable[[str], bool]) -> datetime.datetime | None:
        """Return when the last message of these topics was sent, naive UTC; None for never."""
        chosen = [name for name in self.names if matches(name)]
        for name in chosen:
            if name not in self._seen:
                # SQLite has times as text: what is none may be among the last.
                rows = self._rows(_latest(name, _LAST_ROWS, TIMESTAMP))
                self._seen[name] = next((sent for (sent,) in rows if sent is not None), None)
        return max((last for name in chosen if (last := self._seen[name])), default=None)

    def latest(self, topic: str, limit: int) -> list[tuple[datetime.datetime, str]]:
        """Return the latest messages of a topic: when each was sent, and its content as text."""
        rows = self._rows(_latest(topic, limit, TIMESTAMP, TEXT))
        return [(sent, text) for sent, text in rows if sent is not None]

    def _rows(self, statement: Select[Any]) -> Sequence[Any]:
        with translate_errors("datanommer"), self._engine.connect() as connection:
            return connection.execute(statement).all()
