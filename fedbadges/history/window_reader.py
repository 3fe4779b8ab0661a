"""The queries by which the window over recent messages is filled and kept up to date.

Nothing here has state or locks. Messages get their row numbers before they are committed, so a
number below the highest one that was read may still appear: such *gaps* are asked for again.
"""

import datetime
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from sqlalchemy.types import NullType

from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of
from fedbadges.databases.sql_functions import dialect_function

#: How many rows are read at once. For more, PostgreSQL would not use the index on the numbers of a
#: small table.
_BATCH = 500

#: So many row numbers before the highest one are searched for gaps.
LOOK_BACK = 1000

#: From so many gaps on, a query finds those that are messages too old for the window.
_MANY_GAPS = 20

# All values of a group, as a list or as its JSON.
_all_values = dialect_function(
    NullType(), postgresql="array_agg({})", sqlite="json_group_array({})"
)

_ROWS = Row.__table__


def _names(kind: type[User] | type[Package], table: Table) -> Any:
    return (
        select(_all_values(kind.name))
        .join(table, table.c[0] == kind.id)
        .where(table.c.msg_id == _ROWS.c.id, table.c.msg_timestamp == _ROWS.c.timestamp)
        .correlate(_ROWS)
        .scalar_subquery()
    )


_FLOOR = bindparam("floor", type_=DateTime())
_MARK = bindparam("mark", type_=Integer())
_RECENT = select(
    _ROWS.c.id,
    _ROWS.c.msg_id,
    _ROWS.c.topic,
    _ROWS.c.timestamp,
    _ROWS.c.category,
    _ROWS.c.agent_name,
    _names(User, users_assoc_table).label("users"),
    _names(Package, packages_assoc_table).label("packages"),
).where(_ROWS.c.timestamp > _FLOOR)

# The order and the literal limit make PostgreSQL use the index on the numbers, whatever the values.
_LATER = PreparedStatement(
    _RECENT.where(_ROWS.c.id > _MARK).order_by(_ROWS.c.id).limit(literal_column(str(_BATCH)))
)
_GAPS = PreparedStatement(_RECENT.where(is_any_of(_ROWS.c.id, array_parameter("numbers"))))
_UP_TO_MARK = _RECENT.where(_ROWS.c.id <= _MARK).limit(bindparam("limit", type_=Integer()))
_HIGHEST = select(func.max(_ROWS.c.id))
_NUMBERS = select(_ROWS.c.id).where(_ROWS.c.id > _MARK)
_TOO_OLD = _NUMBERS.where(
    _ROWS.c.id < bindparam("last", type_=Integer()), _ROWS.c.timestamp <= _FLOOR
)


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


@dataclass(frozen=True)
class ReadPosition:
    """How far a window has been read.

    It has the messages sent later than ``floor``, naive UTC, with row numbers up to ``mark``,
    except those of ``gaps`` that may have been committed since.
    """

    floor: datetime.datetime
    mark: int
    gaps: Sequence[int] = ()


@dataclass(frozen=True)
class Update:
    """What was read: the messages, and the position that this leads to, with its new gaps.

    ``started`` is when reading began, in seconds of ``time.monotonic``: everything that was
    committed by then is in a ``complete`` one. Otherwise there was more than the limit.
    """

    started: float
    messages: list[RecentMessage]
    position: ReadPosition
    complete: bool


def read_all(connection: Connection, floor: datetime.datetime, limit: int) -> Update:
    """Read every message sent later than ``floor``, naive UTC, at most ``limit`` of them."""
    started = time.monotonic()
    mark = connection.scalar(_HIGHEST) or 0
    lowest = max(mark - LOOK_BACK, 0)
    present = set(connection.scalars(_NUMBERS, {"mark": lowest}))
    # After the numbers, so that what is committed in between is read and not taken for a gap.
    parameters = {"mark": mark, "floor": floor, "limit": limit + 1}
    messages = [_parse(row) for row in connection.execute(_UP_TO_MARK, parameters)]
    gaps = [number for number in range(lowest + 1, mark + 1) if number not in present]
    complete = len(messages) <= limit
    return Update(started, messages, ReadPosition(floor, mark, gaps), complete)


def read_new(connection: Connection, position: ReadPosition, limit: int) -> Update:
    """Read what was committed since a position was reached; stop after about ``limit`` messages."""
    started = time.monotonic()
    floor, mark = position.floor, position.mark
    messages: list[RecentMessage] = []
    gaps: list[int] = []
    if position.gaps:
        parameters: dict[str, Any] = {"numbers": list(position.gaps), "floor": floor}
        messages += map(_parse, _GAPS.execute(connection, parameters))
    complete = False
    while not complete and len(messages) <= limit:
        rows = _LATER.execute(connection, {"mark": mark, "floor": floor}).all()
        complete = len(rows) < _BATCH
        if rows:
            gaps += _missing(connection, position.floor, mark, [row.id for row in rows])
            mark = rows[-1].id
            messages += map(_parse, rows)
    return Update(started, messages, ReadPosition(floor, mark, gaps), complete)


def _missing(
    connection: Connection, floor: datetime.datetime, mark: int, numbers: Sequence[int]
) -> Iterable[int]:
    """Return the numbers between ``mark`` and the last one read that no message has yet."""
    last, present = numbers[-1], set(numbers)
    lowest = max(mark + 1, last - _BATCH - LOOK_BACK)
    missing = [number for number in range(lowest, last) if number not in present]
    if len(missing) <= _MANY_GAPS:
        return missing
    parameters = {"mark": lowest - 1, "last": last, "floor": floor}
    too_old = set(connection.scalars(_TOO_OLD, parameters))
    return [number for number in missing if number not in too_old]


def _parse(row: Any) -> RecentMessage:
    return RecentMessage(
        row.id,
        row.msg_id,
        sys.intern(row.topic),
        row.timestamp,
        sys.intern(row.category),
        row.agent_name and sys.intern(row.agent_name),
        _parse_names(row.users),
        _parse_names(row.packages),
    )


def _parse_names(names: list[str] | str | None) -> tuple[str, ...]:
    """Parse what the database returns as a list, or as its JSON."""
    found = json.loads(names) if isinstance(names, str) else names or ()
    return tuple(map(sys.intern, found))
