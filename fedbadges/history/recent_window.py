"""The end of the history, in memory: what was sent lately, so that to count it asks nobody.

Counts that are kept end some minutes ago, and what came since is counted anew for every message.
Here one question to datanommer, about what it has stored since the last one, serves all of them.
"""

from __future__ import annotations

import datetime
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from datanommer.models import Message as Row
from datanommer.models import Package, User, packages_assoc_table, users_assoc_table
from sqlalchemy import (
    Connection,
    DateTime,
    Integer,
    Table,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of
from fedbadges.messages import Message
from fedbadges.rules.filters import FilledFilter

#: From how long before what is safely past, in seconds, messages are here.
_REACH = datetime.timedelta(seconds=300)

#: How many of them are here at most; how many, once those that are safely past are let go, are too
#: many to be worth it; and seconds until that is found out again.
_MOST = 50_000
_MANY = 40_000
_PAUSE = 60.0

#: How many are read at once. For more, PostgreSQL would not go by the numbers in a small table.
_PORTION = 500

#: Seconds for which what was read stands for what there is.
_FRESH = 5.0

#: Messages are numbered before they are committed: so many numbers before the last, and numbers
#: that were left out since, may still come.
_IN_FLIGHT = 1000

#: From how many numbers on that were left out it is worth asking what they are of.
_MANY_GAPS = 20


class _AllNames(FunctionElement[Any]):
    """``_AllNames(column)``: all values of a group, as a list or as its JSON."""

    inherit_cache = True
    name = "all_names"


@compiles(_AllNames, "postgresql")
def _on_postgresql(element: _AllNames, compiler: Any, **options: Any) -> str:
    return f"array_agg({compiler.process(element.clauses, **options)})"


@compiles(_AllNames, "sqlite")
def _on_sqlite(element: _AllNames, compiler: Any, **options: Any) -> str:
    return f"json_group_array({compiler.process(element.clauses, **options)})"


def _names(kind: type[User] | type[Package], table: Table) -> Any:
    return (
        select(_AllNames(kind.name))
        .join(table, table.c[0] == kind.id)
        .where(table.c.msg_id == _ROWS.c.id, table.c.msg_timestamp == _ROWS.c.timestamp)
        .correlate(_ROWS)
        .scalar_subquery()
    )


_ROWS = Row.__table__
_FLOOR = _ROWS.c.timestamp > bindparam("floor", type_=DateTime())
_MARK = bindparam("mark", type_=Integer())
_READ = select(
    _ROWS.c.id,
    _ROWS.c.msg_id,
    _ROWS.c.topic,
    _ROWS.c.timestamp,
    _ROWS.c.category,
    _ROWS.c.agent_name,
    _names(User, users_assoc_table).label("users"),
    _names(Package, packages_assoc_table).label("packages"),
).where(_FLOOR)

# The order, and the limit in figures, have PostgreSQL go by the numbers, whatever it is asked.
_LATER = PreparedStatement(
    _READ.where(_ROWS.c.id > _MARK).order_by(_ROWS.c.id).limit(literal_column(str(_PORTION)))
)
_GAPS = PreparedStatement(_READ.where(is_any_of(_ROWS.c.id, array_parameter("numbers"))))
_EARLIER = _READ.where(_ROWS.c.id <= _MARK).limit(_MOST + 1)
_LAST = select(func.max(_ROWS.c.id))
_NUMBERS = select(_ROWS.c.id).where(_ROWS.c.id > _MARK)
_OLD = _NUMBERS.where(
    _ROWS.c.id < bindparam("last", type_=Integer()),
    _ROWS.c.timestamp <= bindparam("floor", type_=DateTime()),
)


class Recent(NamedTuple):
    """What is known of a message that was sent lately: everything but its content."""

    id: int
    msg_id: str | None
    topic: str
    timestamp: datetime.datetime
    category: str | None
    agent: str | None
    users: tuple[str, ...]
    packages: tuple[str, ...]


class RecentMessages:
    """Tells which of the messages that were sent lately a filter gives; for several threads.

    ``distance`` is for how many seconds a message may be on its way into the database.
    The methods raise what the database does.
    """

    def __init__(self, distance: float) -> None:
        self._distance = distance
        self._lock = threading.Lock()
        # Where a connection of SQLAlchemy's keeps that it was there when everything was read.
        self._known = f"fedbadges_recent_{id(self)}"
        # With no floor, nothing is here; and not before a time, in seconds of ``time.monotonic``.
        self._floor: datetime.datetime | None = None
        self._safe = datetime.datetime.min
        self._resume = 0.0
        self._refreshed = 0.0
        self._mark = 0
        self._gaps: dict[int, float] = {}
        self._put([])

    def since(
        self,
        connection: Connection,
        filled: FilledFilter,
        after: datetime.datetime,
        safe: datetime.datetime,
        message: Message | None = None,
    ) -> list[Recent] | None:
        """Give those that were sent later than ``after``; None where they are not all here.

        That is all that are stored by now or, with ``message``, by some time after it came, if it
        is stored. What was sent up to ``safe`` is safely past. Both are naive UTC.
        """
        matches = _matcher(filled)
        if matches is None:
            return None
        with self._held(connection):
            self._safe = safe
            if self._floor is None:
                self._load(connection, safe - _REACH)
            elif not self._has_seen(message):
                self._refresh(connection)
            if self._floor is not None and self._floor < safe - 2 * _REACH:
                self._let_go(safe - _REACH)
            if self._floor is None or after < self._floor:
                return None
            chosen = self._chosen(dict(filled.lists))
            return [each for each in chosen if each.timestamp > after and matches(each)]

    def stored(self, connection: Connection, msg_ids: Iterable[str]) -> set[str]:
        """Tell which of these messages are here."""
        with self._held(connection):
            if self._floor is not None:
                self._refresh(connection)
            return {msg_id for msg_id in msg_ids if msg_id in self._ids}

    @contextmanager
    def _held(self, connection: Connection) -> Iterator[None]:
        """Keep other threads out, and nothing that cannot be relied on.

        That is so after an error, and on a new connection, which may lead to another server than
        before, or to one that was restored from a backup.
        """
        with self._lock:
            if self._floor is not None and not connection.info.get(self._known):
                self._floor = None
                self._put([])
            connection.info[self._known] = True
            try:
                yield
            except BaseException:
                self._floor = None
                self._put([])
                raise

    def _let_go(self, floor: datetime.datetime) -> None:
        """Forget what was sent up to ``floor``."""
        self._floor = floor
        self._put([row for row in self._rows if row.timestamp > floor])

    def _has_seen(self, message: Message | None) -> bool:
        """Tell whether everything was read after this message came, and it was there.

        Of one that was sent too early to be here it suffices that it came.
        """
        if message is None or self._refreshed <= message.received:
            return False
        if time.monotonic() - self._refreshed > _FRESH:
            return False
        if message.msg_id is not None and message.msg_id in self._ids:
            return True
        return self._floor is not None and message.sent <= self._floor

    def _load(self, connection: Connection, floor: datetime.datetime) -> None:
        begun = time.monotonic()
        if begun < self._resume:
            return
        mark = connection.scalar(_LAST) or 0
        lowest = max(mark - _IN_FLIGHT, 0)
        there = set(connection.scalars(_NUMBERS, {"mark": lowest}))
        # After the numbers: what is committed in between is read, and a gap no more.
        rows = connection.execute(_EARLIER, {"mark": mark, "floor": floor}).all()
        if len(rows) > _MOST:
            self._close()
            return
        self._floor, self._mark, self._refreshed, self._gaps = floor, mark, begun, {}
        self._put([])
        self._note_gaps(number for number in range(lowest + 1, mark + 1) if number not in there)
        self._add(rows)

    def _refresh(self, connection: Connection) -> None:
        begun = time.monotonic()
        self._gaps = {number: end for number, end in self._gaps.items() if end > begun}
        if self._gaps:
            asked: dict[str, Any] = {"numbers": list(self._gaps), "floor": self._floor}
            self._add(_GAPS.ask(connection, asked).all())
        more = True
        while more and self._floor is not None:
            asked = {"mark": self._mark, "floor": self._floor}
            rows = _LATER.ask(connection, asked).all()
            more = len(rows) == _PORTION
            if rows:
                last = rows[-1].id
                self._note_gaps(self._missing(connection, last, {row.id for row in rows}))
                self._mark = last
                self._add(rows)
        self._refreshed = begun

    def _missing(self, connection: Connection, last: int, read: set[int]) -> Iterable[int]:
        """Tell which numbers before the last one that was read are those of no message yet."""
        lowest = max(self._mark + 1, last - _PORTION - _IN_FLIGHT)
        missing = [number for number in range(lowest, last) if number not in read]
        if len(missing) <= _MANY_GAPS:
            return missing
        # Messages that were sent too early to be here are nothing to wait for.
        asked = {"mark": lowest - 1, "last": last, "floor": self._floor}
        old = set(connection.scalars(_OLD, asked))
        return [number for number in missing if number not in old]

    def _note_gaps(self, numbers: Iterable[int]) -> None:
        self._gaps |= dict.fromkeys(numbers, time.monotonic() + self._distance)

    def _add(self, rows: Iterable[Any]) -> None:
        for row in rows:
            self._gaps.pop(row.id, None)
            self._file(
                Recent(
                    row.id,
                    row.msg_id,
                    sys.intern(row.topic),
                    row.timestamp,
                    row.category and sys.intern(row.category),
                    row.agent_name and sys.intern(row.agent_name),
                    _interned(row.users),
                    _interned(row.packages),
                )
            )
        for number in list(self._gaps)[:-_IN_FLIGHT]:
            del self._gaps[number]
        if len(self._rows) > _MOST:
            self._let_go(self._safe)
        if len(self._rows) > _MANY and self._floor == self._safe:
            self._close()

    def _close(self) -> None:
        """Have nothing here for a while: there is too much of it."""
        self._floor, self._resume = None, time.monotonic() + max(_PAUSE, self._distance)
        self._put([])

    def _put(self, rows: Iterable[Recent]) -> None:
        """Have these, and no others."""
        self._rows: list[Recent] = []
        self._ids: set[str | None] = set()
        self._by_topic: dict[str, list[Recent]] = defaultdict(list)
        self._by_user: dict[str, list[Recent]] = defaultdict(list)
        for row in rows:
            self._file(row)

    def _file(self, row: Recent) -> None:
        self._rows.append(row)
        self._ids.add(row.msg_id)
        self._by_topic[row.topic].append(row)
        for name in row.users:
            self._by_user[name].append(row)

    def _chosen(self, lists: Mapping[str, tuple[str, ...]]) -> Iterable[Recent]:
        """Give few messages that those which match are among, each once."""
        indexes = (("users", self._by_user), ("topics", self._by_topic))
        found = [
            [index[value] for value in lists[key] if value in index]
            for key, index in indexes
            if key in lists
        ]
        if not found:
            return self._rows
        fewest = min(found, key=lambda parts: sum(map(len, parts)))
        if len(fewest) == 1:
            return fewest[0]
        return {row.id: row for part in fewest for row in part}.values()


def _matcher(filled: FilledFilter) -> Callable[[Recent], bool] | None:
    """Give what tells whether a filter gives a message; None where that takes its content."""
    if filled.msg_id is not None or any(key not in _READS for key, _ in filled.lists):
        return None
    start, end = filled.start, filled.end
    tests = [
        (_READS[key], not key.startswith("not_"), frozenset(texts)) for key, texts in filled.lists
    ]

    def matches(row: Recent) -> bool:
        if start is not None and end is not None and not start <= row.timestamp <= end:
            return False
        for read, wanted, texts in tests:
            found = read(row)
            # What is not there is neither one of them nor none of them, as in SQL.
            if found is None or texts.isdisjoint(found) == wanted:
                return False
        return True

    return matches


def _interned(names: list[str] | str | None) -> tuple[str, ...]:
    """Read what the database gives as a list, or as its JSON."""
    found = json.loads(names) if isinstance(names, str) else names or ()
    return tuple(map(sys.intern, found))


def _one(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else (text,)


#: What of a message the keys of a filter are about.
_KINDS: Mapping[str, Callable[[Recent], tuple[str, ...] | None]] = {
    "topics": lambda row: (row.topic,),
    "categories": lambda row: _one(row.category),
    "agents": lambda row: _one(row.agent),
    "users": lambda row: row.users,
    "packages": lambda row: row.packages,
}
_READS = {f"{prefix}{key}": read for key, read in _KINDS.items() for prefix in ("", "not_")}
