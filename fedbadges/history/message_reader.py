"""Reading stored messages back from datanommer's database."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from datanommer.models import Message as Row
from sqlalchemy import Integer, Select, and_, bindparam, func, select

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import array_parameter, dialect_function, is_any_of
from fedbadges.errors import DamagedRow
from fedbadges.history.rows import (
    HEADERS,
    LAST_TIME,
    RAW_TIMESTAMP,
    TEXT,
    TIMESTAMP,
    DamageLog,
    after,
    body_of,
    check_header,
    parse_content,
    seconds_of,
)
from fedbadges.history.sql import NAMES, names_of
from fedbadges.history.storing import CHECKED
from fedbadges.messages import Position, naive_utc

_ROWS = Row.__table__
_USERS, _USERS_MESSAGES = NAMES["users"]
_NAME = "datanommer"

#: Among how many of the last rows one that can be read is looked for.
_LATEST_ROWS = 20

#: The columns with a message's signature; the message has fields of the same names.
_CREDENTIALS = ("crypto", "certificate", "signature")


# PostgreSQL knows it without reading the text.
_byte_length = dialect_function(
    Integer(), postgresql="octet_length({})", sqlite="length(CAST({} AS BLOB))"
)

_SIZE = func.coalesce(_byte_length(_ROWS.c.msg), 0).label("size")
_HEADERS = select(_ROWS.c.id, _ROWS.c.msg_id, _ROWS.c.topic, TIMESTAMP, _SIZE)
_BODIES = (
    select(
        *(_ROWS.c[name] for name in ("id", "msg_id", "i", "topic", "agent_name", "source_name")),
        *(_ROWS.c[name] for name in _CREDENTIALS),
        TIMESTAMP,
        TEXT,
        HEADERS,
        _SIZE,
    )
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
    large its content is in bytes of JSON. ``damage`` is why it cannot be read, if that is known
    by now; then the topic or the time may be wrong.
    """

    number: int
    msg_id: str | None
    topic: str
    sent: float
    size: int
    damage: DamagedRow | None = None


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
        self._damage = DamageLog()

    def last(self) -> MessageHeader | None:
        """Return the message with the highest row number; None if there are no messages."""
        found = self._headers(_HEADERS.order_by(_ROWS.c.id.desc()).limit(1))
        return found[0] if found else None

    def has(self, header: MessageHeader) -> bool:
        """Return True if a message still has its row number."""
        # A damaged one has an error, which equals no other.
        found = self._headers(_HEADERS.where(_ROWS.c.id == header.number))
        return any(each[:4] == header[:4] for each in found)

    def last_sent(self) -> float | None:
        """Return when the latest message was sent, if there is one and that can be read."""
        sent = _ROWS.c.timestamp
        # SQLite has times as text: what is none may be among the last.
        latest = (
            select(TIMESTAMP).where(sent <= LAST_TIME).order_by(sent.desc()).limit(_LATEST_ROWS)
        )
        times = [row.timestamp for row in self._rows(latest) if row.timestamp is not None]
        return seconds_of(times[0]) if times else None

    def count_since(self, start: float) -> int:
        """Return how many messages were sent from ``start`` on, in seconds since 1970."""
        return self._scalar(select(func.count()).where(_ROWS.c.timestamp >= naive_utc(start))) or 0

    def pages_since(self, start: float, limit: int) -> Iterator[list[MessageHeader]]:
        """Yield the messages sent from ``start`` on, in order of sending, so many at a time."""
        statement = (
            _HEADERS.add_columns(RAW_TIMESTAMP)
            .where(_ROWS.c.timestamp >= naive_utc(start))
            .order_by(_ROWS.c.timestamp, _ROWS.c.id)
            .limit(limit)
        )
        rows = self._rows(statement)
        while rows:
            yield [_header(row) for row in rows]
            following = after(rows[-1])
            rows = () if following is None else self._rows(statement.where(*following))

    def headers_after(self, number: int, limit: int) -> list[MessageHeader]:
        """Return the messages with a higher row number, in the order of these."""
        return self._headers(_HEADERS.where(_ROWS.c.id > number).order_by(_ROWS.c.id).limit(limit))

    def headers(self, numbers: Iterable[int]) -> list[MessageHeader]:
        """Return the messages with these row numbers, in the order of these."""
        chosen = is_any_of(_ROWS.c.id, array_parameter("numbers"))
        return self._headers(
            _HEADERS.where(chosen).order_by(_ROWS.c.id), {"numbers": list(numbers)}
        )

    def messages(self, numbers: Sequence[int]) -> list[StoredMessage]:
        """Return the messages with these row numbers, in the same order.

        Those that cannot be read are logged, and left out.
        """
        found = []
        for row, users in self._contents(numbers):
            try:
                found.append(_message(row, users))
            except DamagedRow as error:
                self._damage.add(row.id, row.msg_id, error)
        return found

    def skip(self, header: MessageHeader) -> None:
        """Log a message with a damaged header."""
        if header.damage is not None:
            self._damage.add(header.number, header.msg_id, header.damage)

    def message(self, msg_id: str) -> StoredMessage | None:
        """Return the message with this id, or None; raise DamagedRow."""
        number = self._scalar(select(_ROWS.c.id).where(_ROWS.c.msg_id == msg_id).limit(1))
        rows = () if number is None else self._contents([number])
        found = next((each for each in rows if each[0].msg_id == msg_id), None)
        return None if found is None else _message(*found)

    def latest_of(
        self, usernames: Iterable[str], limit_per_topic: int, limit: int
    ) -> list[MessageHeader]:
        """Return the latest messages that concern a user, latest first.

        ``usernames`` are the spellings of one name. Of the user's latest ``limit`` messages, those
        are returned that are among the latest ``limit_per_topic`` of their topic.
        """
        asked = {"names": list(usernames), "limit_per_topic": limit_per_topic, "limit": limit}
        return [each for each in self._headers(_LATEST, asked) if each.damage is None]

    def _contents(self, numbers: Sequence[int]) -> list[tuple[Any, frozenset[str]]]:
        """Return the rows with these numbers, in the same order, and the users of each."""
        asked = list(numbers)
        with translate_errors(_NAME), self._reader.connect() as connection:
            rows = connection.execute(_BODIES, {"numbers": asked}).all()
            users = names_of(connection, "users", asked)
        # Several may have a number, if somebody has reset the sequence.
        order = {number: place for place, number in enumerate(asked)}
        return [
            (row, frozenset(users[row.id])) for row in sorted(rows, key=lambda row: order[row.id])
        ]

    def _scalar(self, statement: Select[Any]) -> Any:
        with translate_errors(_NAME), self._reader.connect() as connection:
            return connection.scalar(statement)

    def _rows(
        self, statement: Select[Any], parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        with translate_errors(_NAME), self._reader.connect() as connection:
            return connection.execute(statement, parameters).all()

    def _headers(
        self, statement: Select[Any], parameters: Mapping[str, Any] | None = None
    ) -> list[MessageHeader]:
        return [_header(row) for row in self._rows(statement, parameters)]


def _header(row: Any) -> MessageHeader:
    msg_id = row.msg_id if isinstance(row.msg_id, str) else None
    try:
        check_header(row.topic, row.timestamp)
    except DamagedRow as error:
        return MessageHeader(row.id, msg_id, "", 0.0, row.size, error)
    return MessageHeader(row.id, msg_id, row.topic, seconds_of(row.timestamp), row.size)


def _message(row: Any, users: frozenset[str]) -> StoredMessage:
    """Parse a row; raise DamagedRow."""
    credentials = {field: getattr(row, field) for field in _CREDENTIALS}
    return StoredMessage(
        (row.timestamp, row.id),
        body_of(row, parse_content(row.text)),
        users,
        row.size,
        {field: text for field, text in credentials.items() if isinstance(text, str) and text},
        row.source_name == CHECKED,
    )
