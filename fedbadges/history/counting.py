"""Counts of the messages that a filter selects: from the window over recent ones, or by SQL."""

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from fedbadges.databases.connections import streaming
from fedbadges.databases.outages import translate_errors
from fedbadges.history.count_cache import CountResult
from fedbadges.history.past_messages import PastMessage
from fedbadges.history.recent_window import RecentWindow
from fedbadges.history.sql import MESSAGES_BY_ID, NameIds, prepare
from fedbadges.history.window_reader import RecentMessage
from fedbadges.messages import Message, Position
from fedbadges.rules.filters import FilledFilter
from fedbadges.util.caching import BoundedDict

_NAME = "datanommer"

#: The least difference between two timestamps.
_TICK = datetime.timedelta(microseconds=1)

#: How many new messages are read at once to be tested; more are streamed.
_FEW = 2000


@dataclass(frozen=True)
class FilterCounter:
    """Counts the messages that a filter selects, up to a position.

    ``message`` is the one that is decided on, and ``until`` usually its position.
    """

    reader: Engine
    name_ids: NameIds
    window: RecentWindow
    filled: FilledFilter
    message: Message | None
    until: Position | None = None

    def __call__(
        self, after: datetime.datetime | None, cutoff: datetime.datetime, limit: int | None
    ) -> CountResult:
        """Count in the window where it reaches back to ``after``, otherwise by SQL."""
        base_end = self.base_end(cutoff)
        with translate_errors(_NAME), self.reader.connect() as connection:
            recent = None if after is None else self.recent(connection, after, cutoff)
            if recent is not None:
                return _count(recent, base_end)
            query = prepare(connection, self.name_ids, self.filled, after, limit, self.until)
            before_cutoff, total = query.count(connection, base_end)
        complete = limit is None or total < limit
        return CountResult(before_cutoff, total, complete, base_end)

    def base_end(self, cutoff: datetime.datetime) -> datetime.datetime:
        """Return up to when a count may be cached: all of it is before the position."""
        return cutoff if self.until is None else min(cutoff, self.until[0] - _TICK)

    def recent(
        self, connection: Connection, after: datetime.datetime, cutoff: datetime.datetime
    ) -> list[RecentMessage] | None:
        """Return the messages sent later than ``after``, if the window has them all."""
        recent = self.window.since(connection, self.filled, after, cutoff, self.message)
        if recent is None or self.until is None:
            return recent
        return [row for row in recent if (row.timestamp, row.id) <= self.until]

    def read(
        self, connection: Connection, after: datetime.datetime | None, limit: int | None = None
    ) -> Iterable[Any]:
        """Read the rows of the messages sent later than ``after``."""
        query = prepare(connection, self.name_ids, self.filled, after, limit, self.until)
        return query.messages(connection)


@dataclass(frozen=True)
class TestedCounter:
    """Counts those messages of a filter that pass a test, streaming them if there may be many.

    ``results`` has the results of tests by ``test_id`` and row number, ``contents`` the rows that
    tests of the same messages have read.
    """

    counter: FilterCounter
    engine: Engine
    test: Callable[[Any], bool]
    test_id: bytes
    results: BoundedDict[tuple[bytes, int], bool]
    contents: dict[int, Any]

    def __call__(
        self, after: datetime.datetime | None, cutoff: datetime.datetime, limit: int | None
    ) -> CountResult:
        """Count, testing each recent message only once."""
        base_end = self.counter.base_end(cutoff)
        if after is not None:
            with translate_errors(_NAME), self.counter.reader.connect() as connection:
                passed = self._test_recent(connection, after, cutoff)
            if passed is not None:
                return _count(passed, base_end)
        with translate_errors(_NAME), streaming(self.engine) as connection:
            rows = self.counter.read(connection, after)
            messages = (PastMessage(row, connection) for row in rows)
            return _count(filter(self.test, messages), base_end, limit)

    def _test_recent(
        self, connection: Connection, after: datetime.datetime, cutoff: datetime.datetime
    ) -> list[Any] | None:
        """Return the messages sent later than ``after`` that pass; None if there are too many."""
        recent: list[Any] | None = self.counter.recent(connection, after, cutoff)
        if recent is None:
            recent = list(self.counter.read(connection, after, _FEW))
            self.contents.update((row.id, row) for row in recent)
        passed = {row.id: self.results.get((self.test_id, row.id)) for row in recent}
        new = [number for number, known in passed.items() if known is None]
        if len(new) >= _FEW:
            return None
        unread = [number for number in new if number not in self.contents]
        if unread:
            rows = MESSAGES_BY_ID.execute(connection, {"numbers": unread, "after": after})
            self.contents.update((row.id, row) for row in rows)
        for number in filter(self.contents.__contains__, new):
            passed[number] = self.test(PastMessage(self.contents[number], connection))
            self.results[self.test_id, number] = bool(passed[number])
        return [row for row in recent if passed[row.id]]


def _count(
    messages: Iterable[Any], base_end: datetime.datetime, limit: int | None = None
) -> CountResult:
    before_cutoff = total = 0
    for message in messages:
        total += 1
        before_cutoff += message.timestamp <= base_end
        if limit is not None and total >= limit:
            return CountResult(before_cutoff, total, False, base_end)
    return CountResult(before_cutoff, total, True, base_end)
