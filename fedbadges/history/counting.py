"""Counts of the messages that a filter selects: from the window over recent ones, or by SQL."""

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine

from fedbadges.databases.connections import streaming
from fedbadges.databases.outages import translate_errors
from fedbadges.history.count_cache import CountResult
from fedbadges.history.horizon import Base, Horizon
from fedbadges.history.past_messages import PastMessage
from fedbadges.history.sql import MESSAGES_BY_ID, FilterQuery, NameIds, prepare
from fedbadges.history.window.reader import RecentMessage
from fedbadges.history.window.recent_window import RecentWindow
from fedbadges.messages import Message, Position
from fedbadges.rules.filters import FilledFilter
from fedbadges.util.caching import BoundedDict

T = TypeVar("T")

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
        self, base: Base | None, cutoff: datetime.datetime | None, limit: int | None
    ) -> CountResult:
        """Count in the window where it reaches back to the base, otherwise by SQL."""
        if base is not None and cutoff is not None:
            known = self.window.known_outside(self.filled, base, cutoff, self.message, self.until)
            if known is not None:
                return count_rows(*self._up_to_position(known, cutoff))
        with translate_errors(_NAME), self.reader.connect() as connection:
            found = self.recent(connection, base, cutoff)
            if found is not None:
                return count_rows(*found)
            new_base = self.new_base(connection, cutoff)
            late = None if base is None else self.window.late(self.filled, base)
            counts = [
                query.count(connection, new_base)
                for query in self.queries(connection, base, limit, late=late is None)
            ]
        in_memory = count_rows(late or (), new_base)
        in_base = sum(each for each, _ in counts) + in_memory.in_base
        total = sum(each for _, each in counts) + in_memory.total
        complete = limit is None or total < limit
        return CountResult(in_base, total, new_base if complete else None)

    def new_base(self, connection: Connection, cutoff: datetime.datetime | None) -> Base | None:
        """Return what of the messages counted from now on may be cached; None for nothing.

        It ends before the position, so that all of it is counted.
        """
        if cutoff is None:
            return None
        return self._base(cutoff, self.window.horizon(connection, cutoff))

    def recent(
        self, connection: Connection, base: Base | None, cutoff: datetime.datetime | None
    ) -> tuple[list[RecentMessage], Base] | None:
        """Return the messages outside the base, if the window has them all, and the new base."""
        if base is None or cutoff is None:
            return None
        found = self.window.outside(connection, self.filled, base, cutoff, self.message, self.until)
        return None if found is None else self._up_to_position(found, cutoff)

    def queries(
        self, connection: Connection, base: Base | None, limit: int | None = None, *, late: bool
    ) -> list[FilterQuery]:
        """Return the queries for the messages outside the base, with or without the late ones."""
        after = None if base is None else base.until
        queries = [prepare(connection, self.name_ids, self.filled, after, limit, self.until)]
        if base is not None and late:
            queries.append(self.late_query(connection, base))
        return queries

    def late_query(
        self, connection: Connection, base: Base, limit: int | None = None
    ) -> FilterQuery:
        """Return the query for the messages that a base would have if they had not been late.

        With a low limit, a database may look for so many of them in the whole history.
        """
        return prepare(connection, self.name_ids, self.filled, limit=limit, outside=base)

    def _base(self, cutoff: datetime.datetime, horizon: Horizon) -> Base:
        until = cutoff if self.until is None else min(cutoff, self.until[0] - _TICK)
        return Base(until, horizon)

    def _up_to_position(
        self, found: tuple[list[RecentMessage], Horizon], cutoff: datetime.datetime
    ) -> tuple[list[RecentMessage], Base]:
        """Return the messages up to the position, and the base that may be cached of them."""
        (rows, horizon), until = found, self.until
        if until is not None:
            rows = [row for row in rows if (row.timestamp, row.id) <= until]
        return rows, self._base(cutoff, horizon)


class Contents:
    """Rows with their contents, for the questions about a batch.

    ``positions`` are those of the messages of the batch: the contents of one are often asked for
    when it is decided on, so all are read with the first.
    """

    def __init__(self, positions: Iterable[Position] = ()) -> None:
        self._rows: dict[int, Any] = {}
        self._ahead = {number: sent for sent, number in positions}

    def add(self, rows: Iterable[Any]) -> None:
        """Add rows that somebody has read."""
        self._rows.update((row.id, row) for row in rows)

    def of(self, connection: Connection, messages: Iterable[Any]) -> Mapping[int, Any]:
        """Return the rows of messages by their numbers, and others; those that are gone are not."""
        unread = {row.id: row.timestamp for row in messages if row.id not in self._rows}
        if unread:
            unread |= self._ahead
            self._ahead = {}
            parameters = {"numbers": list(unread), "after": min(unread.values()) - _TICK}
            self.add(MESSAGES_BY_ID.execute(connection, parameters))
        return self._rows


@dataclass(frozen=True)
class MessageResults(Generic[T]):
    """Computes something of each message that a filter selects, once for each if it is small.

    ``results`` has what was computed, by ``what`` and row number. Other questions about the same
    batch share ``contents``.
    """

    counter: FilterCounter
    compute: Callable[[Any], T]
    what: bytes
    results: BoundedDict[tuple[bytes, int], T]
    contents: Contents
    is_small: Callable[[T], bool] = lambda _: True

    def outside(
        self, base: Base | None, cutoff: datetime.datetime | None
    ) -> tuple[list[tuple[Any, T]] | None, Base | None]:
        """Return the rows outside a base with their results, and the base that may be cached.

        There are no rows without a base, or if there may be too many of them.
        """
        counter = self.counter
        with translate_errors(_NAME), counter.reader.connect() as connection:
            found = counter.recent(connection, base, cutoff)
            new_base = counter.new_base(connection, cutoff) if found is None else found[1]
            recent = self._few(connection, base) if found is None else found[0]
            return None if recent is None else self._of(connection, recent), new_base

    def stream(self, connection: Connection, base: Base | None) -> Iterator[tuple[Any, T]]:
        """Yield all rows outside a base with their results, which are not cached."""
        queries = self.counter.queries(connection, base, late=True)
        for row in chain.from_iterable(query.messages(connection) for query in queries):
            yield row, self.compute(PastMessage(row, connection))

    def _few(self, connection: Connection, base: Base | None) -> list[Any] | None:
        """Read the messages outside the base; None without one, or if there are too many."""
        if base is None:
            return None
        counter = self.counter
        late = counter.window.late(counter.filled, base)
        found = list(late or ())
        queries = counter.queries(connection, base, _FEW, late=False)
        if late is None:
            queries.append(counter.late_query(connection, base, _FEW))
        for query in queries:
            rows = list(query.messages(connection))
            if len(rows) >= _FEW:
                return None
            self.contents.add(rows)
            found += rows
        return found

    def _of(self, connection: Connection, rows: list[Any]) -> list[tuple[Any, T]] | None:
        """Return the rows with their results; None if too many of them are new."""
        known = {row.id: self.results.get((self.what, row.id)) for row in rows}
        new = [row for row in rows if known[row.id] is None]
        if len(new) >= _FEW:
            return None
        contents = self.contents.of(connection, new)
        for number in (row.id for row in new if row.id in contents):
            found = self.compute(PastMessage(contents[number], connection))
            known[number] = found
            if self.is_small(found):
                self.results[self.what, number] = found
        return [(row, result) for row in rows if (result := known[row.id]) is not None]


@dataclass(frozen=True)
class TestedCounter:
    """Counts those messages of a filter that pass a test, streaming them if there may be many."""

    tests: MessageResults[bool]
    engine: Engine

    def __call__(
        self, base: Base | None, cutoff: datetime.datetime | None, limit: int | None
    ) -> CountResult:
        """Count, testing each recent message only once."""
        tested, new_base = self.tests.outside(base, cutoff)
        if tested is not None:
            return count_rows((row for row, passes in tested if passes), new_base)
        with translate_errors(_NAME), streaming(self.engine) as connection:
            passing = (row for row, passes in self.tests.stream(connection, base) if passes)
            return count_rows(passing, new_base, limit)


def count_rows(messages: Iterable[Any], base: Base | None, limit: int | None = None) -> CountResult:
    """Count messages, and how many of them the base has that is to be cached."""
    in_base = total = 0
    for message in messages:
        total += 1
        in_base += base is not None and base.has(message.timestamp, message.id)
        if limit is not None and total >= limit:
            return CountResult(in_base, total, None)
    return CountResult(in_base, total, base)
