"""The SQL of questions to the history.

It asks for what ``datanommer.models.Message.make_query`` gives for the same filter. But it is made
once for each shape of question rather than for each question, because making a statement takes
SQLAlchemy far longer than answering it takes the database; and users are asked for by their
numbers, which leaves the database less to plan.
"""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datanommer.models import Message as Row
from datanommer.models import Package, User, packages_assoc_table, users_assoc_table
from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    DateTime,
    Integer,
    Select,
    String,
    bindparam,
    exists,
    func,
    not_,
    or_,
    select,
    type_coerce,
)

from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of
from fedbadges.rules.filters import FilledFilter

_ROWS = Row.__table__

#: How many numbers of names are remembered; they never change.
_MOST = 100_000

#: When a message was sent, naive UTC, and its number: the order of the history.
Position = tuple[datetime.datetime, int]

#: Stands before what has no meaning of its own in a pattern.
_ESCAPE = "\\"

_COLUMNS = {
    "topics": _ROWS.c.topic,
    "categories": _ROWS.c.category,
    "agents": _ROWS.c.agent_name,
}
_NAMES: dict[str, tuple[Any, Any]] = {
    "users": (User.__table__, users_assoc_table),
    "packages": (Package.__table__, packages_assoc_table),
}

_NUMBERS = {
    kind: PreparedStatement(
        select(table.c.name, table.c.id).where(is_any_of(table.c.name, array_parameter("wanted")))
    )
    for kind, (table, _) in _NAMES.items()
}

_MESSAGES = select(
    *(_ROWS.c[name] for name in ("id", "msg_id", "topic", "timestamp", "category")),
    type_coerce(_ROWS.c.msg, String()).label("text"),
)
_LATER = _ROWS.c.timestamp > bindparam("after", type_=_ROWS.c.timestamp.type)
# By the time as well, by which TimescaleDB knows where to look.
_BY_NUMBER = PreparedStatement(
    _MESSAGES.where(is_any_of(_ROWS.c.id, array_parameter("numbers")), _LATER)
)

#: What distinguishes statements: the keys of a filter, and how many texts ``contains`` has.
Shape = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Asked:
    """A filter made ready to be asked: which statement, and its parameters."""

    shape: Shape
    parameters: Mapping[str, Any]

    def count(self, connection: Connection, safe: datetime.datetime) -> tuple[int, int]:
        """Count: how many were sent up to ``safe``, naive UTC, and how many there are."""
        row = self._ask(_count(self.shape), connection, {"safe": safe}).one()
        return row.settled, row.total

    def messages(self, connection: Connection) -> CursorResult[Any]:
        """Ask for the messages, oldest first; their contents come as ``text``."""
        return self._ask(_messages(self.shape), connection, {})

    def rows(self) -> Select[Any]:
        """Give a statement for the messages as datanommer's objects, with its parameters in it."""
        return _narrowed(select(Row), self.shape).params(dict(self.parameters))

    def _ask(
        self, prepared: PreparedStatement, connection: Connection, more: Mapping[str, Any]
    ) -> CursorResult[Any]:
        parameters = {**self.parameters, **more}
        if ("after", 1) in self.shape:
            return prepared.ask(connection, parameters)
        # Of a whole history, how best to find something depends on what.
        return connection.execute(prepared.statement, parameters)


class Numbers:
    """The numbers that datanommer has for the names of users and packages."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], int] = {}

    def of(self, connection: Connection, kind: str, names: tuple[str, ...]) -> list[int]:
        """Give the numbers of those names that datanommer knows."""
        new = [name for name in names if (kind, name) not in self._known]
        if new:
            rows = _NUMBERS[kind].ask(connection, {"wanted": new})
            if len(self._known) > _MOST:
                self._known.clear()
            self._known.update({(kind, row.name): row.id for row in rows})
        known = (self._known.get((kind, name)) for name in names)
        return [number for number in known if number is not None]


def read(
    connection: Connection, numbers: Iterable[int], after: datetime.datetime
) -> CursorResult[Any]:
    """Ask for the messages of these numbers, all sent later than ``after``, naive UTC."""
    return _BY_NUMBER.ask(connection, {"numbers": list(numbers), "after": after})


def prepare(
    connection: Connection,
    numbers: Numbers,
    filled: FilledFilter,
    after: datetime.datetime | None = None,
    limit: int | None = None,
    until: Position | None = None,
) -> Asked | None:
    """Make a filter ready to be asked; None where it gives nothing, because nobody knows a name.

    Only messages sent later than ``after``, naive UTC, are asked for, and at most ``limit``; and
    only those up to ``until``, which is the position of a message.
    """
    shape: list[tuple[str, int]] = []
    parameters: dict[str, Any] = {}
    for key, values in filled.lists:
        given: Any = values
        kind = key.removeprefix("not_")
        if kind in _NAMES:
            given = numbers.of(connection, kind, values)
            if not given and kind == key:
                return None
        if key == "contains":
            given = [f"%{_literally(value)}%" for value in values]
        if given and key == "contains":
            shape.append((key, len(given)))
            parameters |= _named(key, given)
        elif given:
            shape.append((key, 1))
            parameters[key] = list(given)
    others = {
        "msg_id": filled.msg_id,
        "start": filled.start,
        "end": filled.end,
        "after": after,
        "limit": limit,
        "until": until and until[0],
        "number": until and until[1],
    }
    present = {key: value for key, value in others.items() if value is not None}
    shape += [(key, 1) for key in present]
    return Asked(tuple(shape), parameters | present)


@functools.lru_cache(maxsize=1000)
def _count(shape: Shape) -> PreparedStatement:
    sent = _narrowed(select(_ROWS.c.timestamp), shape).subquery()
    settled = func.count().filter(sent.c.timestamp <= bindparam("safe", type_=DateTime()))
    both: Select[Any] = select(settled.label("settled"), func.count().label("total"))  # type: ignore[assignment]
    return PreparedStatement(both.select_from(sent))


@functools.lru_cache(maxsize=1000)
def _messages(shape: Shape) -> PreparedStatement:
    return PreparedStatement(_narrowed(_MESSAGES.order_by(_ROWS.c.timestamp), shape))


def _narrowed(statement: Select[Any], shape: Shape) -> Select[Any]:
    for condition in _conditions(shape):
        statement = statement.where(condition)
    return statement.limit(bindparam("limit")) if ("limit", 1) in shape else statement


def _conditions(shape: Shape) -> Iterator[ColumnElement[bool]]:
    present = {key for key, _ in shape}
    sent = _ROWS.c.timestamp
    for key, count in shape:
        kind = key.removeprefix("not_")
        if kind in _COLUMNS:
            condition: ColumnElement[bool] = is_any_of(_COLUMNS[kind], array_parameter(key))
        elif kind in _NAMES:
            condition = _about(key, recent="after" in present)
        elif kind == "contains":
            condition = or_(
                *(_ROWS.c.msg.like(bind, escape=_ESCAPE) for bind in _binds(key, count, String()))
            )
        elif key == "msg_id":
            condition = _ROWS.c.msg_id == bindparam("msg_id")
        else:
            continue
        yield not_(condition) if key.startswith("not_") else condition
    if "start" in present:
        yield sent.between(bindparam("start", type_=sent.type), bindparam("end", type_=sent.type))
    if "after" in present:
        yield _LATER
    if "until" in present:
        until = bindparam("until", type_=sent.type)
        yield sent <= until
        yield or_(sent < until, _ROWS.c.id <= bindparam("number", type_=Integer()))


def _about(key: str, recent: bool) -> ColumnElement[bool]:
    _, table = _NAMES[key.removeprefix("not_")]
    conditions = [
        table.c.msg_id == _ROWS.c.id,
        table.c.msg_timestamp == _ROWS.c.timestamp,
        is_any_of(table.c[0], array_parameter(key)),
    ]
    if recent:
        # The same is said of the message's own timestamp; here an index can use it.
        conditions.append(table.c.msg_timestamp > bindparam("after", type_=_ROWS.c.timestamp.type))
    return exists().where(*conditions)


def _literally(text: str) -> str:
    """Take away what ``%`` and ``_`` mean in a pattern: a message must not say what it matches."""
    return re.sub(r"[\\%_]", r"\\\g<0>", text)


def _binds(key: str, count: int, kind: Any) -> list[Any]:
    return [bindparam(f"{key}_{number}", type_=kind) for number in range(count)]


def _named(key: str, values: Any) -> dict[str, Any]:
    return {f"{key}_{number}": value for number, value in enumerate(values)}
