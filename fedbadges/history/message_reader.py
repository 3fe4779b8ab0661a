"""The messages themselves, read back from datanommer's database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from datanommer.models import Message as Row
from datanommer.models import User, users_assoc_table
from sqlalchemy import Connection, Integer, and_, bindparam, func, select, tuple_
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import array_parameter, is_any_of
from fedbadges.history.storing import CHECKED

_ROWS = Row.__table__
_USERS = User.__table__
_NAME = "datanommer"

#: The columns that have a message's signature, each of the name that it has in a message.
_PROOF = ("crypto", "certificate", "signature")


class _Octets(FunctionElement[int]):
    """``_Octets(column)``: how many bytes a text has."""

    inherit_cache = True
    type = Integer()


@compiles(_Octets, "postgresql")
def _on_postgresql(element: _Octets, compiler: Any, **options: Any) -> str:
    # Knows it without reading the text.
    return f"octet_length({compiler.process(element.clauses, **options)})"


@compiles(_Octets, "sqlite")
def _on_sqlite(element: _Octets, compiler: Any, **options: Any) -> str:
    return f"length(CAST({compiler.process(element.clauses, **options)} AS BLOB))"


_SIZE = _Octets(_ROWS.c.msg).label("size")
_STORED = select(
    _ROWS.c.id,
    func.coalesce(_ROWS.c.msg_id, "").label("msg_id"),
    _ROWS.c.topic,
    _ROWS.c.timestamp,
    _SIZE,
)
_BODIES = (
    select(_ROWS, _SIZE)
    .where(is_any_of(_ROWS.c.id, array_parameter("numbers")))
    .order_by(_ROWS.c.id)
)
_NAMES = (
    select(users_assoc_table.c.msg_id, _USERS.c.name)
    .join(_USERS, _USERS.c.id == users_assoc_table.c[0])
    .where(is_any_of(users_assoc_table.c.msg_id, array_parameter("numbers")))
)


_NUMBER = select(_ROWS.c.id).where(_ROWS.c.msg_id == bindparam("msg_id")).limit(1)

# The latest of somebody's messages, and of each topic only the latest of these.
_THEIRS = (
    select(users_assoc_table.c.msg_id, users_assoc_table.c.msg_timestamp)
    .join(_USERS, _USERS.c.id == users_assoc_table.c[0])
    .where(is_any_of(_USERS.c.name, array_parameter("names")))
    .order_by(users_assoc_table.c.msg_timestamp.desc())
    .limit(bindparam("most"))
    .subquery()
)
_RANKED = (
    select(
        *_STORED.selected_columns,
        func.row_number()
        .over(partition_by=_ROWS.c.topic, order_by=(_ROWS.c.timestamp.desc(), _ROWS.c.id.desc()))
        .label("rank"),
    )
    .join(
        _THEIRS, and_(_THEIRS.c.msg_id == _ROWS.c.id, _THEIRS.c.msg_timestamp == _ROWS.c.timestamp)
    )
    .subquery()
)
_LATEST = (
    select(_RANKED)
    .where(_RANKED.c.rank <= bindparam("each"))
    .order_by(_RANKED.c.timestamp.desc(), _RANKED.c.id.desc())
)


class MessageHeader(NamedTuple):
    """Which message a row has: its number there, and when it was sent, in seconds since 1970.

    ``size`` is that of its content, in bytes of JSON.
    """

    number: int
    msg_id: str
    topic: str
    sent: float
    size: int


class StoredMessage(NamedTuple):
    """A message as it was sent, as far as datanommer knows, and the users it has for it.

    ``size`` is that of its content, in bytes of JSON.
    ``proof`` is what datanommer has of its signature; ``checked`` says that the daemon itself
    stored it, when it had checked that.
    """

    number: int
    body: dict[str, Any]
    users: frozenset[str]
    size: int
    proof: dict[str, str]
    checked: bool


class MessageReader:
    """Reads messages in portions; each method raises Unavailable while the database is away."""

    def __init__(self, settings: Settings) -> None:
        self._reader = reader(settings.history_url, settings.prepare_statements)

    def last_number(self) -> int:
        """Give the highest number of all messages; 0 if there is none."""
        with translate_errors(_NAME), self._reader.connect() as connection:
            return connection.scalar(select(func.max(_ROWS.c.id))) or 0

    def count_since(self, start: float) -> int:
        """Count the messages sent from ``start`` on, in seconds since 1970."""
        with translate_errors(_NAME), self._reader.connect() as connection:
            counted = select(func.count()).where(_ROWS.c.timestamp >= _moment(start))
            return connection.scalar(counted) or 0

    def since(self, start: float, number: int, most: int) -> list[MessageHeader]:
        """Give messages in the order in which they were sent, at most so many.

        They are those that come after one that was sent at ``start``, in seconds since 1970, and
        has this number.
        """
        sent = _moment(start)
        with translate_errors(_NAME), self._reader.connect() as connection:
            return _stored(
                connection,
                _STORED.where(tuple_(_ROWS.c.timestamp, _ROWS.c.id) > tuple_(sent, number))
                # The same again, in words that an index serves in any database.
                .where(_ROWS.c.timestamp >= sent)
                .order_by(_ROWS.c.timestamp, _ROWS.c.id)
                .limit(most),
            )

    def after(self, number: int, most: int) -> list[MessageHeader]:
        """Give the messages with a higher number, at most so many, in the order of these."""
        with translate_errors(_NAME), self._reader.connect() as connection:
            later = _STORED.where(_ROWS.c.id > number).order_by(_ROWS.c.id).limit(most)
            return _stored(connection, later)

    def messages(self, numbers: Sequence[int]) -> list[StoredMessage]:
        """Give the messages of these numbers, in their order."""
        asked = {"numbers": list(numbers)}
        with translate_errors(_NAME), self._reader.connect() as connection:
            rows = {row.id: row for row in connection.execute(_BODIES, asked)}
            users: dict[int, set[str]] = defaultdict(set)
            for number, name in connection.execute(_NAMES, asked):
                users[number].add(name)
        return [
            StoredMessage(
                number,
                body_of(row, row.msg),
                frozenset(users[number]),
                row.size,
                {field: text for field in _PROOF if (text := getattr(row, field))},
                row.source_name == CHECKED,
            )
            for number in numbers
            if (row := rows.get(number)) is not None
        ]

    def message(self, msg_id: str) -> StoredMessage | None:
        """Give the message of this id, or None."""
        with translate_errors(_NAME), self._reader.connect() as connection:
            number = connection.scalar(_NUMBER, {"msg_id": msg_id})
        return None if number is None else self.messages([number])[0]

    def latest_of(self, usernames: Iterable[str], each: int, most: int) -> list[MessageHeader]:
        """Give the latest messages that concern somebody, latest first.

        ``usernames`` are the ways to write one name. Of their latest ``most`` messages, those are
        given that are among the latest ``each`` of their topic.
        """
        asked = {"names": list(usernames), "each": each, "most": most}
        with translate_errors(_NAME), self._reader.connect() as connection:
            return _stored(connection, _LATEST, asked)


def _stored(
    connection: Connection, asked: Any, parameters: Mapping[str, Any] | None = None
) -> list[MessageHeader]:
    return [
        MessageHeader(row.id, row.msg_id, row.topic, _seconds(row.timestamp), row.size)
        for row in connection.execute(asked, parameters)
    ]


def body_of(row: Any, msg: Any) -> dict[str, Any]:
    """Give a message as it was sent, as far as its row tells; ``msg`` is its content."""
    body = {
        "topic": row.topic,
        "msg": msg,
        "msg_id": row.msg_id,
        "timestamp": _seconds(row.timestamp),
        "i": row.i,
    }
    if row.headers:
        body["headers"] = row.headers
    if row.agent_name:
        body["username"] = row.agent_name
    return body


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=timezone.utc).timestamp()
