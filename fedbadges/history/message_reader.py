"""Reading stored messages back from datanommer's database."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from datanommer.models import Message as Row
from sqlalchemy import Integer, Select, and_, bindparam, func, select, tuple_

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import array_parameter, dialect_function, is_any_of
from fedbadges.history.sql import NAMES, names_of
from fedbadges.history.storing import CHECKED
from fedbadges.messages import Position, naive_utc

_ROWS = Row.__table__
_USERS, _USERS_MESSAGES = NAMES["users"]
_NAME = "datanommer"

#: The columns with a message's signature; the message has fields of the same names.
_CREDENTIALS = ("crypto", "certificate", "signature")


# PostgreSQL knows it without reading the text.
_byte_length = dialect_function(
    Integer(), postgresql="octet_length({})", sqlite="length(CAST({} AS BLOB))"
)

_SIZE = _byte_length(_ROWS.c.msg).label("size")
_HEADERS = select(
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

# A user's latest messages, and of each topic only the latest of these.
_THEIRS = (
    select(_USERS_MESSAGES.c.msg_id, _USERS_MESSAGES.c.msg_timestamp)
    .join(_USERS, _USERS.c.id == _USERS_MESSAGES.c[0])
    .where(is_any_of(_USERS.c.name, array_parameter("names")))
    .order_by(_USERS_MESSAGES.c.msg_timestamp.desc())
    .limit(bindparam("limit"))
    .subquery()
)
_RANKED = (
    select(
        *_HEADERS.selected_columns,
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
    .where(_RANKED.c.rank <= bindparam("limit_per_topic"))
    .order_by(_RANKED.c.timestamp.desc(), _RANKED.c.id.desc())
)


class MessageHeader(NamedTuple):
    """A stored message without its content.

    ``number`` is its row number, ``sent`` when it was sent in seconds since 1970, ``size`` how
    large its content is in bytes of JSON.
    """

    number: int
    msg_id: str
    topic: str
    sent: float
    size: int


class StoredMessage(NamedTuple):
    """A message as it was sent, as far as datanommer knows, and the users it has for it.

    ``credentials`` are the fields of its signature that are stored. ``checked`` is True if the
    daemon stored the message itself, after verifying it.
    """

    position: Position
    body: dict[str, Any]
    users: frozenset[str]
    size: int
    credentials: dict[str, str]
    checked: bool

    @property
    def number(self) -> int:
        """Return its row number."""
        return int(self.position[1])


class MessageReader:
    """Reads stored messages; each method raises Unavailable while the database is away."""

    def __init__(self, settings: Settings) -> None:
        self._reader = reader(settings.history_url, settings.prepare_statements)

    def last_number(self) -> int:
        """Return the highest row number; 0 if there are no messages."""
        return self._scalar(select(func.max(_ROWS.c.id))) or 0

    def count_since(self, start: float) -> int:
        """Return how many messages were sent from ``start`` on, in seconds since 1970."""
        return self._scalar(select(func.count()).where(_ROWS.c.timestamp >= naive_utc(start))) or 0

    def headers_since(self, start: float, number: int, limit: int) -> list[MessageHeader]:
        """Return the messages after the position (``start``, ``number``), in order of sending."""
        sent = naive_utc(start)
        return self._headers(
            _HEADERS.where(tuple_(_ROWS.c.timestamp, _ROWS.c.id) > tuple_(sent, number))
            # The same again, in a form that an index serves in any database.
            .where(_ROWS.c.timestamp >= sent)
            .order_by(_ROWS.c.timestamp, _ROWS.c.id)
            .limit(limit)
        )

    def headers_after(self, number: int, limit: int) -> list[MessageHeader]:
        """Return the messages with a higher row number, in the order of these."""
        return self._headers(_HEADERS.where(_ROWS.c.id > number).order_by(_ROWS.c.id).limit(limit))

    def messages(self, numbers: Sequence[int]) -> list[StoredMessage]:
        """Return the messages with these row numbers, in the same order."""
        asked = list(numbers)
        with translate_errors(_NAME), self._reader.connect() as connection:
            rows = {row.id: row for row in connection.execute(_BODIES, {"numbers": asked})}
            users = names_of(connection, "users", asked)
        return [
            StoredMessage(
                (row.timestamp, number),
                body_of(row, row.msg),
                frozenset(users[number]),
                row.size,
                {field: text for field in _CREDENTIALS if (text := getattr(row, field))},
                row.source_name == CHECKED,
            )
            for number in numbers
            if (row := rows.get(number)) is not None
        ]

    def message(self, msg_id: str) -> StoredMessage | None:
        """Return the message with this id, or None."""
        number = self._scalar(select(_ROWS.c.id).where(_ROWS.c.msg_id == msg_id).limit(1))
        return None if number is None else self.messages([number])[0]

    def latest_of(
        self, usernames: Iterable[str], limit_per_topic: int, limit: int
    ) -> list[MessageHeader]:
        """Return the latest messages that concern a user, latest first.

        ``usernames`` are the spellings of one name. Of the user's latest ``limit`` messages, those
        are returned that are among the latest ``limit_per_topic`` of their topic.
        """
        asked = {"names": list(usernames), "limit_per_topic": limit_per_topic, "limit": limit}
        return self._headers(_LATEST, asked)

    def _scalar(self, statement: Select[Any]) -> Any:
        with translate_errors(_NAME), self._reader.connect() as connection:
            return connection.scalar(statement)

    def _headers(
        self, statement: Select[Any], parameters: Mapping[str, Any] | None = None
    ) -> list[MessageHeader]:
        with translate_errors(_NAME), self._reader.connect() as connection:
            return [
                MessageHeader(row.id, row.msg_id, row.topic, _seconds(row.timestamp), row.size)
                for row in connection.execute(statement, parameters)
            ]


def body_of(row: Any, msg: Any) -> dict[str, Any]:
    """Return a message as it was sent, as far as its row tells; ``msg`` is its content."""
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


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=timezone.utc).timestamp()
