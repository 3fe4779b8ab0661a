"""The SQL of a filter: of its count, and of its messages; ``matching`` has the same in memory.

It selects what ``datanommer.models.Message.make_query`` selects for the same filter. But a
statement is built once for each *shape* of filter rather than for each filter, because SQLAlchemy
takes far longer to build one than the database to answer it; and users are looked up by the ids
that datanommer has for their names, which leaves the database less to plan.
"""

import datetime
import functools
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from datanommer.models import Message as Row
from datanommer.models import Package, User, packages_assoc_table, users_assoc_table

from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of
from fedbadges.history.horizon import Base, Horizon
from fedbadges.history.rows import TEXT, TIMESTAMP
from fedbadges.messages import Position
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.names import Name
from fedbadges.util.caching import BoundedDict

_ROWS = Row.__table__

#: A base of all messages.
_EVERYTHING = Base(datetime.datetime.max, Horizon(2**31 - 1))

#: How many ids of names are cached; they never change.
_MOST_IDS = 100_000

#: The wildcards of a LIKE pattern, and what escapes them.
_WILDCARDS, _ESCAPE = re.compile(r"[\\%_]"), "\\"

_COLUMNS = {"topics": _ROWS.c.topic, "categories": _ROWS.c.category, "agents": _ROWS.c.agent_name}
NAMES: dict[str, tuple[Any, Any]] = {
    "users": (User.__table__, users_assoc_table),
    "packages": (Package.__table__, packages_assoc_table),
}

_IDS = {
    kind: PreparedStatement(
        sa.select(table.c.name, table.c.id).where(
            is_any_of(table.c.name, array_parameter("wanted"))
        )
    )
    for kind, (table, _) in NAMES.items()
}
_NAMES_OF = {
    kind: sa.select(association.c.msg_id, table.c.name)
    .join(table, table.c.id == association.c[0])
    .where(is_any_of(association.c.msg_id, array_parameter("numbers")))
    for kind, (table, association) in NAMES.items()
}

_MESSAGES = sa.select(
    *(_ROWS.c[name] for name in ("id", "msg_id", "topic", "category")), TIMESTAMP, TEXT
)
_LATER = _ROWS.c.timestamp > sa.bindparam("after", type_=_ROWS.c.timestamp.type)
#: The messages with row numbers among ``numbers``, all sent later than ``after``, naive UTC, which
#: tells TimescaleDB which chunks to read.
MESSAGES_BY_ID = PreparedStatement(
    _MESSAGES.where(is_any_of(_ROWS.c.id, array_parameter("numbers")), _LATER)
)

#: What distinguishes statements: the keys of a filter, and how many texts ``contains`` has.
Shape = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class FilterQuery:
    """A filter as SQL: the shape of its statements, and their parameters.

    It ``is_empty`` where no message can match, and then asks nothing.
    """

    shape: Shape = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    is_empty: bool = False

    def count(self, connection: sa.Connection, base: Base | None = None) -> tuple[int, int]:
        """Return how many messages a base has, and how many there are in all."""
        base = base or _EVERYTHING
        if self.is_empty:
            return 0, 0
        which = {
            "base_until": base.until,
            "base_mark": base.horizon.mark,
            "base_gaps": list(base.horizon.gaps),
        }
        row = self._execute(_count(self.shape), connection, which).one()
        return row.in_base, row.total

    def messages(self, connection: sa.Connection) -> Iterable[Any]:
        """Return the messages with their content as ``text``.

        The oldest comes first, but for those that are not in a base.
        """
        if self.is_empty:
            return ()
        rows = self._execute(_messages(self.shape), connection, {})
        return (row for row in rows if row.timestamp is not None)

    def rows(self) -> sa.Select[Any]:
        """Return a statement for the messages with their content as ``text``, with parameters."""
        statement = _MESSAGES.where(sa.false()) if self.is_empty else _MESSAGES
        return _where(statement, self.shape).params(dict(self.parameters))

    def _execute(
        self, prepared: PreparedStatement, connection: sa.Connection, more: Mapping[str, Any]
    ) -> sa.CursorResult[Any]:
        parameters = {**self.parameters, **more}
        if ("after", 1) in self.shape:
            return prepared.execute(connection, parameters)
        # The best plan for the whole history depends on the values.
        return connection.execute(prepared.statement, parameters)


class NameIds:
    """Caches the ids that datanommer has for the names of users and packages."""

    def __init__(self) -> None:
        self.clear()

    def of(self, connection: sa.Connection, kind: str, names: tuple[str, ...]) -> list[int]:
        """Return the ids of those names that datanommer knows."""
        ids = self._known
        known = {name: ids.get((kind, name)) for name in names}
        new = [name for name, number in known.items() if number is None]
        if new:
            for row in _IDS[kind].execute(connection, {"wanted": new}):
                known[row.name] = ids[kind, row.name] = row.id
        return [number for number in known.values() if number is not None]

    def clear(self) -> None:
        """Forget all ids, also those that are being read now."""
        self._known: BoundedDict[tuple[str, str], int] = BoundedDict(_MOST_IDS)


def names_of(connection: sa.Connection, kind: str, numbers: list[int]) -> dict[int, set[Name]]:
    """Return the names of a kind, such as ``users``, of messages by their row numbers."""
    found: dict[int, set[Name]] = defaultdict(set)
    for number, name in connection.execute(_NAMES_OF[kind], {"numbers": numbers}):
        found[number].add(Name(name))
    return found


def prepare(
    connection: sa.Connection,
    name_ids: NameIds,
    filled: FilledFilter,
    after: datetime.datetime | None = None,
    limit: int | None = None,
    until: Position | None = None,
    outside: Base | None = None,
) -> FilterQuery:
    """Return the query of a filter; an empty one if none of the wanted names is known.

    It selects at most ``limit`` messages, sent later than ``after``, naive UTC, and up to the
    position ``until``. With ``outside`` it selects what was sent before that base ends and is not
    in it.
    """
    shape: list[tuple[str, int]] = []
    parameters: dict[str, Any] = {}
    for key, texts in filled.lists:
        values: list[Any] = list(texts)
        kind = key.removeprefix("not_")
        if kind in NAMES:
            values = name_ids.of(connection, kind, texts)
            if not values and kind == key:
                return FilterQuery(is_empty=True)
        if key == "contains":
            shape.append((key, len(values)))
            # Wildcards in the text stand for themselves.
            patterns = ("%" + _WILDCARDS.sub(r"\\\g<0>", text) + "%" for text in texts)
            parameters |= {f"{key}_{number}": each for number, each in enumerate(patterns)}
        elif values:
            shape.append((key, 1))
            parameters[key] = values
    others: dict[str, Any] = {
        "msg_id": filled.msg_id,
        "start": filled.start,
        "end": filled.end,
        "after": after,
        "limit": limit,
        "until": until and until[0],
        "number": until[1] if until is not None and until[1] != math.inf else None,
    }
    if outside is not None:
        others |= {
            "outside": outside.until,
            "outside_mark": outside.horizon.mark,
            "outside_gaps": list(outside.horizon.gaps),
        }
    present = {key: value for key, value in others.items() if value is not None}
    shape += [(key, 1) for key in present]
    return FilterQuery(tuple(shape), parameters | present)


@functools.lru_cache(maxsize=1000)
def _count(shape: Shape) -> PreparedStatement:
    rows = _where(sa.select(_ROWS.c.timestamp, _ROWS.c.id), shape).subquery()
    in_base = sa.func.count().filter(
        rows.c.timestamp <= sa.bindparam("base_until", type_=sa.DateTime()),
        rows.c.id <= sa.bindparam("base_mark", type_=sa.Integer()),
        sa.not_(is_any_of(rows.c.id, array_parameter("base_gaps"))),
    )
    both: sa.Select[Any] = sa.select(in_base.label("in_base"), sa.func.count().label("total"))  # type: ignore[assignment]
    return PreparedStatement(both.select_from(rows))


@functools.lru_cache(maxsize=1000)
def _messages(shape: Shape) -> PreparedStatement:
    # By their time, so many of those outside a base might be looked for in the whole history.
    in_order = ("outside", 1) not in shape
    statement = _MESSAGES.order_by(_ROWS.c.timestamp) if in_order else _MESSAGES
    return PreparedStatement(_where(statement, shape))


def _where(statement: sa.Select[Any], shape: Shape) -> sa.Select[Any]:
    statement = statement.where(*_conditions(shape))
    return statement.limit(sa.bindparam("limit")) if ("limit", 1) in shape else statement


def _conditions(shape: Shape) -> Iterator[sa.ColumnElement[bool]]:
    present = {key for key, _ in shape}
    for key, count in shape:
        kind = key.removeprefix("not_")
        if kind in _COLUMNS:
            condition: sa.ColumnElement[bool] = is_any_of(_COLUMNS[kind], array_parameter(key))
        elif kind in NAMES:
            condition = _has_name(key, "after" in present)
        elif kind == "contains":
            patterns = (
                sa.bindparam(f"{key}_{number}", type_=sa.String()) for number in range(count)
            )
            condition = sa.or_(*(_ROWS.c.msg.like(each, escape=_ESCAPE) for each in patterns))
        elif key == "msg_id":
            condition = _ROWS.c.msg_id == sa.bindparam("msg_id")
        else:
            continue
        yield sa.not_(condition) if key.startswith("not_") else condition
    yield from _bounds(present)


def _bounds(present: Collection[str]) -> Iterator[sa.ColumnElement[bool]]:
    """Yield the conditions on when messages were sent, and on their numbers."""
    sent = _ROWS.c.timestamp
    if "start" in present:
        yield sent.between(
            sa.bindparam("start", type_=sent.type), sa.bindparam("end", type_=sent.type)
        )
    if "after" in present:
        yield _LATER
    if "outside" in present:
        yield sent <= sa.bindparam("outside", type_=sent.type)
        yield sa.or_(
            _ROWS.c.id > sa.bindparam("outside_mark", type_=sa.Integer()),
            is_any_of(_ROWS.c.id, array_parameter("outside_gaps")),
        )
    if "until" in present:
        until = sa.bindparam("until", type_=sent.type)
        yield sent <= until
        if "number" in present:
            yield sa.or_(sent < until, _ROWS.c.id <= sa.bindparam("number", type_=sa.Integer()))


def _has_name(key: str, is_recent: bool) -> sa.ColumnElement[bool]:
    _, table = NAMES[key.removeprefix("not_")]
    conditions = [
        table.c.msg_id == _ROWS.c.id,
        table.c.msg_timestamp == _ROWS.c.timestamp,
        is_any_of(table.c[0], array_parameter(key)),
    ]
    if is_recent:
        # Implied by the condition on the message's own timestamp; here an index can use it.
        conditions.append(
            table.c.msg_timestamp > sa.bindparam("after", type_=_ROWS.c.timestamp.type)
        )
    return sa.exists().where(*conditions)
