"""The queries by which the window over recent messages is filled and kept up to date.

Nothing here has state or locks. Messages get their row numbers before they are committed, so a
number below the highest one that was read may still appear: such *gaps* are asked for again.
"""

import datetime
import functools
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from datanommer.models import Message as Row
from sqlalchemy import Connection, DateTime, Integer, bindparam, func, literal_column, select
from sqlalchemy.types import NullType

from fedbadges.databases.prepared_statements import (
    PreparedStatement,
    array_parameter,
    dialect_function,
    is_any_of,
)
from fedbadges.history.rows import TIMESTAMP
from fedbadges.history.sql import NAMES

#: How many rows are read at once. For more, PostgreSQL would not use the index on the numbers of a
#: small table.
_BATCH = 500

#: So many row numbers before the highest one are searched for gaps.
LOOK_BACK = 1000

# All values of a group, as a list or as its JSON.
_all_values = dialect_function(
    NullType(), postgresql="array_agg({})", sqlite="json_group_array({})"
)

_ROWS = Row.__table__

_NAMES = [
    select(_all_values(table.c.name))
    .join(association, association.c[0] == table.c.id)
    .where(association.c.msg_id == _ROWS.c.id, association.c.msg_timestamp == _ROWS.c.timestamp)
    .correlate(_ROWS)
    .label(kind)
    for kind, (table, association) in NAMES.items()
]
_FLOOR = bindparam("floor", type_=DateTime())
_MARK = bindparam("mark", type_=Integer())
_RECENT = select(
    _ROWS.c.id,
    _ROWS.c.msg_id,
    _ROWS.c.topic,
    TIMESTAMP,
    _ROWS.c.category,
    _ROWS.c.agent_name,
    *_NAMES,
)

# The order and the literal limit make PostgreSQL use the index on the numbers, whatever the values.
_LATER = PreparedStatement(
    _RECENT.where(_ROWS.c.id > _MARK).order_by(_ROWS.c.id).limit(literal_column(str(_BATCH)))
)
_GAPS = PreparedStatement(_RECENT.where(is_any_of(_ROWS.c.id, array_parameter("numbers"))))
_UP_TO_MARK = _RECENT.where(_ROWS.c.timestamp > _FLOOR, _ROWS.c.id <= _MARK).limit(
    bindparam("limit", type_=Integer())
)
_BETWEEN = _ROWS.c.timestamp > _FLOOR, _ROWS.c.timestamp <= bindparam("end", type_=DateTime())
_ALL_BETWEEN = _RECENT.where(*_BETWEEN)
_COUNT_BETWEEN = select(func.count()).select_from(
    select(_ROWS.c.id).where(*_BETWEEN).limit(bindparam("limit", type_=Integer())).subquery()
)
_HIGHEST = select(func.max(_ROWS.c.id))
_IDENTITY = select(_ROWS.c.msg_id, TIMESTAMP).where(_ROWS.c.id == bindparam("number"))
_NUMBERS = select(_ROWS.c.id).where(_ROWS.c.id > _MARK)


class RecentMessage(NamedTuple):
    """A message that was sent recently: everything but its content."""

    id: int
    msg_id: str | None
    topic: str
    timestamp: datetime.datetime
    category: str
    agent: str | None
    users: tuple[str, ...]
    packages: tuple[str, ...]


#: The id of a message, and when it was sent: by these a row is known again.
Identity = tuple[str | None, datetime.datetime | None]


@dataclass(frozen=True)
class Update:
    """The messages that were read, with row numbers up to ``mark``, all those sent after ``floor``.

    ``last`` is whose number the mark is, if that was read; ``gaps`` are new gaps among these
    numbers. ``started`` is when reading began, in seconds of ``time.monotonic``: everything that
    was committed by then is in a ``complete`` update. Otherwise there was more than the limit.
    """

    started: float
    messages: list[RecentMessage]
    floor: datetime.datetime
    mark: int
    gaps: list[int]
    complete: bool
    last: Identity | None = None


@dataclass(frozen=True)
class SavedWindow:
    """What a window had seen, so that one in another process or on another connection continues it.

    All numbers up to ``mark`` but for the ``gaps``, and the row of the mark is ``last``. ``late``
    are the late messages of the lineage, in which no base ends after ``cutoff``.
    """

    lineage: str
    mark: int
    last: Identity
    gaps: tuple[int, ...]
    cutoff: datetime.datetime
    late: tuple[RecentMessage, ...]


def read_since(
    connection: Connection, saved: SavedWindow, floor: datetime.datetime, limit: int
) -> Update | None:
    """Read what was committed since a window was saved.

    None if that is more than about ``limit``, or if the history is another one by now.
    """
    if identify(connection, saved.mark) != saved.last:
        return None
    update = read_new(connection, floor, saved.mark, list(saved.gaps), limit)
    return update if update.complete else None


def read_all(connection: Connection, floor: datetime.datetime, limit: int) -> Update:
    """Read every message sent later than ``floor``, naive UTC, at most ``limit`` of them."""
    started = time.monotonic()
    mark = highest_number(connection)
    lowest = max(mark - LOOK_BACK, 0)
    present = set(connection.scalars(_NUMBERS, {"mark": lowest}))
    # After the numbers, so that what is committed in between is read and not taken for a gap.
    parameters = {"mark": mark, "floor": floor, "limit": limit + 1}
    messages = list(_parse(connection.execute(_UP_TO_MARK, parameters)))
    gaps = [number for number in range(lowest + 1, mark + 1) if number not in present]
    complete = len(messages) <= limit
    return Update(started, messages, floor, mark, gaps, complete, identify(connection, mark))


def read_between(
    connection: Connection, floor: datetime.datetime, end: datetime.datetime, limit: int
) -> list[RecentMessage] | None:
    """Read every message sent after ``floor`` and until ``end``, naive UTC; None if too many."""
    parameters = {"floor": floor, "end": end, "limit": limit + 1}
    if (connection.scalar(_COUNT_BETWEEN, parameters) or 0) > limit:
        return None
    return list(_parse(connection.execute(_ALL_BETWEEN, parameters)))


def read_new(
    connection: Connection, floor: datetime.datetime, mark: int, known_gaps: list[int], limit: int
) -> Update:
    """Read what was committed in the gaps and after ``mark``; stop after about ``limit``.

    That includes what was sent before the floor.
    """
    started = time.monotonic()
    messages: list[RecentMessage] = []
    gaps: list[int] = []
    if known_gaps:
        rows = _GAPS.execute(connection, {"numbers": known_gaps}).all()
        messages += _parse(rows)
    last: Identity | None = None
    complete = False
    while not complete and len(messages) <= limit:
        rows = _LATER.execute(connection, {"mark": mark}).all()
        complete = len(rows) < _BATCH
        if rows:
            gaps += _missing(mark, [row.id for row in rows])
            mark, last = rows[-1].id, (rows[-1].msg_id, rows[-1].timestamp)
            messages += _parse(rows)
    return Update(started, messages, floor, mark, gaps, complete, last)


def read_rows(connection: Connection, numbers: list[int]) -> list[RecentMessage]:
    """Read the messages with these row numbers."""
    return list(_parse(_GAPS.execute(connection, {"numbers": numbers})))


def _missing(mark: int, numbers: list[int]) -> list[int]:
    """Return the numbers between ``mark`` and the last one read that no message has yet."""
    last, present = numbers[-1], set(numbers)
    lowest = max(mark + 1, last - _BATCH - LOOK_BACK)
    return [number for number in range(lowest, last) if number not in present]


def identify(connection: Connection, number: int) -> Identity | None:
    """Return whose row number this is; None if there is no such row."""
    found = connection.execute(_IDENTITY, {"number": number}).first()
    return None if found is None else (found.msg_id, found.timestamp)


def highest_number(connection: Connection) -> int:
    """Return the highest row number; 0 if there are no messages."""
    return connection.scalar(_HIGHEST) or 0


def _parse(rows: Iterable[Any]) -> Iterator[RecentMessage]:
    """Parse rows, but for those without a time or a topic that can be read."""
    for row in rows:
        topic = _text(row.topic)
        if row.timestamp is None or not topic:
            continue
        # The database returns names as a list, or as its JSON.
        users, packages = (
            _once(tuple(map(sys.intern, json.loads(names) if isinstance(names, str) else names)))
            if names
            else ()
            for names in (row.users, row.packages)
        )
        yield RecentMessage(
            row.id,
            row.msg_id,
            topic,
            row.timestamp,
            _text(row.category) or "",
            _text(row.agent_name),
            users,
            packages,
        )


@functools.lru_cache(maxsize=10_000)
def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the same object for the same names, of which most messages have one."""
    return names


def _text(value: object) -> str | None:
    """Return a text once for all rows; None for what else SQLite has in a column."""
    return sys.intern(value) if isinstance(value, str) else None
