"""How many messages a topic has, since and until when; quick where there are very many."""

import datetime
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from datanommer.models import Message as Row
from sqlalchemy import URL, Connection, String, exc, func, select, text, type_coerce

from fedbadges.databases.connections import reader
from fedbadges.databases.outages import CANCELED, translate_errors
from fedbadges.history.rows import FIRST_TIME, LAST_TIME, TIMESTAMP, parse_time

#: Up to how many messages of a topic are counted one by one, unless all are to be.
COUNTED = 10_000

#: Seconds for one question, so that a topic that takes long leaves time for the others.
_MOST_SECONDS = 5.0

#: Among how many of a topic's first or last messages one with a time is looked for.
_ROWS_WITH_TIME = 20

_COLUMNS = Row.__table__.c

#: What PostgreSQL expects of a question, from its statistics, without answering it.
_EXPLAIN = text("EXPLAIN (FORMAT JSON) SELECT 1 FROM messages WHERE topic = :topic")


@dataclass(frozen=True)
class TopicCount:
    """How many messages a topic has, and when the first and the last were sent, naive UTC.

    If it is not ``exact``, ``count`` is what PostgreSQL estimates. What took too long to find is
    None.
    """

    topic: str
    count: int | None = None
    exact: bool = False
    first: datetime.datetime | None = None
    last: datetime.datetime | None = None


class TopicCounter:
    """Counts the messages of topics within some seconds in all; each method raises Unavailable.

    Up to so many messages of a topic are counted, and of more the database estimates the number;
    with ``exact`` all are counted. A limit of None is none. SQLite has no limits, and always counts
    all.
    """

    def __init__(self, url: URL, seconds: float | None, *, exact: bool = False) -> None:
        self._engine = reader(url)
        self._estimates = self._engine.dialect.name == "postgresql"
        self._end = None if seconds is None else time.monotonic() + seconds
        self._exact = exact

    def count(self, topic: str) -> TopicCount:
        """Return how many messages of a topic there are; what is not found in time is None."""
        found = self._few(topic)
        if found is not None:
            return found
        first = self._edge(topic, _COLUMNS.timestamp.asc())
        last = self._edge(topic, _COLUMNS.timestamp.desc())
        number = self._all(topic) if self._exact or not self._estimates else None
        if number is not None:
            return TopicCount(topic, number, True, first, last)
        return TopicCount(topic, self._estimate(topic), False, first, last)

    def latest(self, topic: str, limit: int) -> list[int] | None:
        """Return the row numbers of a topic's latest messages; None if that takes too long."""
        rows = self._rows(
            select(_COLUMNS.id)
            .where(_COLUMNS.topic == topic, _COLUMNS.timestamp <= LAST_TIME)
            .order_by(_COLUMNS.timestamp.desc(), _COLUMNS.id.desc())
            .limit(limit)
        )
        return None if rows is None else [number for (number,) in rows]

    def _few(self, topic: str) -> TopicCount | None:
        """Return the exact answer if a topic has few messages; None if it has many."""
        some = select(_COLUMNS.timestamp).where(_COLUMNS.topic == topic).limit(COUNTED + 1)
        rows = some.subquery()
        sent = rows.c.timestamp
        usable = sent.between(FIRST_TIME, LAST_TIME)
        edges = (func.min(sent).filter(usable), func.max(sent).filter(usable))
        # As text, the drivers leave a time as it is, which may be none.
        found = self._rows(
            select(func.count(), *(type_coerce(each, String()) for each in edges)).select_from(rows)
        )
        if not found or found[0][0] > COUNTED:
            return None
        number, first, last = found[0]
        return TopicCount(topic, number, True, parse_time(first), parse_time(last))

    def _edge(self, topic: str, order: Any) -> datetime.datetime | None:
        """Return when the first message in an order was sent that has a time."""
        rows = self._rows(
            select(TIMESTAMP)
            .where(_COLUMNS.topic == topic, _COLUMNS.timestamp.between(FIRST_TIME, LAST_TIME))
            .order_by(order)
            .limit(_ROWS_WITH_TIME)
        )
        return next((sent for (sent,) in rows or () if sent is not None), None)

    def _all(self, topic: str) -> int | None:
        rows = self._rows(
            select(func.count()).select_from(Row.__table__).where(_COLUMNS.topic == topic)
        )
        return rows[0][0] if rows else None

    def _estimate(self, topic: str) -> int | None:
        """Return how many messages a topic probably has, which is more than are counted."""
        rows = self._rows(_EXPLAIN.bindparams(topic=topic)) if self._estimates else None
        return max(COUNTED, int(rows[0][0][0]["Plan"]["Plan Rows"])) if rows else None

    def _rows(self, statement: Any) -> Sequence[Any] | None:
        """Return the answer of the database; None if that takes too long."""
        seconds = self._end and self._end - time.monotonic()
        if seconds is not None and seconds <= 0:
            return None
        try:
            with translate_errors("datanommer"), self._limited(seconds) as connection:
                return connection.execute(statement).all()
        except exc.DBAPIError as error:
            if getattr(error.orig, "pgcode", None) != CANCELED:
                raise
            return None

    @contextmanager
    def _limited(self, seconds: float | None) -> Iterator[Connection]:
        """Connect for one statement, which the server cancels after some seconds."""
        if seconds is None or not self._estimates:
            with self._engine.connect() as connection:
                yield connection
            return
        milliseconds = max(1, int(min(seconds, _MOST_SECONDS) * 1000))
        made = self._engine.execution_options(isolation_level="READ COMMITTED")
        with made.begin() as connection:
            connection.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))
            yield connection
