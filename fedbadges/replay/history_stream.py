"""The history as a stream: every message in the order of time, in batches."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from datanommer.models import Message as Row
from sqlalchemy import Select, func, or_, select

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import array_parameter, is_any_of
from fedbadges.errors import DamagedRow
from fedbadges.history.rows import (
    FIRST_TIME,
    HEADERS,
    RAW_TIMESTAMP,
    TEXT,
    TIMESTAMP,
    DamageLog,
    after,
    check_header,
    parse_content,
    parse_time,
)
from fedbadges.history.sql import names_of
from fedbadges.messages import Position
from fedbadges.rules.expressions import Expression
from fedbadges.rules.names import Name

T = TypeVar("T")

#: How an expression may read what an entry has, and a ``PastMessage`` has not.
_MORE = re.compile(r"\.\s*(agent|position|row|text)\b|\b(getattr|hasattr)\b")

_NAME = "datanommer"
_ROWS = Row.__table__

#: How many messages are read at once.
_BATCH = 4000
#: How many messages are read of those without a time.
_MOST_TIMELESS = 1000

_HEADERS = (
    # Columns whose values need no conversion: most of the time is spent reading these.
    select(*(_ROWS.c[name] for name in ("id", "topic", "category", "agent_name")), RAW_TIMESTAMP)
    .where(_ROWS.c.timestamp >= FIRST_TIME)
    .order_by(_ROWS.c.timestamp, _ROWS.c.id)
)
#: What no batch has, as it is in no order that Python knows.
_TIMELESS = (
    select(*(_ROWS.c[name] for name in ("id", "topic", "category", "agent_name")), RAW_TIMESTAMP)
    .where(or_(_ROWS.c.timestamp < FIRST_TIME, _ROWS.c.timestamp.is_(None)))
    .limit(_MOST_TIMELESS)
)
_CONTENTS = select(
    *(_ROWS.c[name] for name in ("id", "topic", "agent_name", "msg_id", "i")),
    TIMESTAMP,
    HEADERS,
    TEXT,
).where(is_any_of(_ROWS.c.id, array_parameter("numbers")))

_IDS = (
    select(_ROWS.c.id, _ROWS.c.msg_id)
    .where(is_any_of(_ROWS.c.id, array_parameter("numbers")))
    .order_by(_ROWS.c.id)
)


class Retry(Protocol):
    """Asks a question until the database answers."""

    def __call__(self, ask: Callable[[], T], /) -> T:
        """Return what ``ask`` returns; raise what it raises."""


def ask_once(ask: Callable[[], T], /) -> T:
    """Return what ``ask`` returns; raise what it raises."""
    return ask()


#: Returns what is needed beside their headers of the messages of a topic and a category: of
#: ``users``, ``packages`` and ``content``, which is everything else.
NeedsOf = Callable[[str, str], Collection[str]]


def everything(topic: str, category: str) -> Collection[str]:
    """Return what there is."""
    return ("users", "packages", "content")


class EntryHeader(NamedTuple):
    """What is read of every message."""

    number: int
    timestamp: datetime
    topic: str
    category: str
    agent: str | None


#: In the place of a content that was not parsed yet.
_UNREAD = object()


class HistoryEntry:
    """A message of the history; it has the attributes of a ``PastMessage``.

    Without a ``row`` it has neither an id nor a content, since nobody needs them.
    """

    # Of thousands at once, what holds no dictionary is made, and looked at by the garbage
    # collector, in half the time.
    __slots__ = (
        "_msg",
        "agent",
        "category",
        "number",
        "packages",
        "row",
        "timestamp",
        "topic",
        "users",
    )

    def __init__(
        self, header: EntryHeader, row: Any, users: Collection[Name], packages: Collection[Name]
    ) -> None:
        self.number, self.timestamp, self.topic, self.category, self.agent = header
        self.row = row
        self.users = users
        self.packages = packages
        self._msg: Any = _UNREAD

    @property
    def position(self) -> Position:
        """Return its position in the history."""
        return self.timestamp, self.number

    @property
    def msg_id(self) -> str | None:
        """Return its id."""
        return None if self.row is None else self.row.msg_id

    @property
    def text(self) -> str:
        """Return its content in JSON; none where that is no text."""
        text = None if self.row is None else self.row.text
        return text if isinstance(text, str) else ""

    @property
    def msg(self) -> Any:
        """Return its content; raise DamagedRow."""
        if self._msg is _UNREAD:
            self._msg = parse_content(self.row.text)
        return self._msg


def reads_more(expression: Expression) -> bool:
    """Return True if an expression may find in an entry what it does not find elsewhere."""
    return _MORE.search(expression.text) is not None


class HistoryStream:
    """Reads the history; each method raises Unavailable while the database is away.

    ``retry`` may ask again what raises that.
    """

    def __init__(self, settings: Settings, retry: Retry = ask_once) -> None:
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._retry = retry
        self._last = 0
        self.damage = DamageLog()

    def start(self, last: int | None = None) -> int:
        """Let the stream end with the message that is the last one now; return their number.

        With ``last`` it has no higher row number than this.
        """
        ((highest, count),) = self._read(select(func.max(_ROWS.c.id), func.count()))
        self._last = (highest or 0) if last is None else last
        return int(count)

    def headers(self) -> Iterator[list[EntryHeader]]:
        """Yield the headers of all messages in batches, the oldest first."""
        self._parse(self._read(_TIMELESS.where(_ROWS.c.id <= self._last)))
        statement = _HEADERS.where(_ROWS.c.id <= self._last).limit(_BATCH)
        rows = self._read(statement)
        while rows:
            yield self._parse(rows)
            following = after(rows[-1])
            rows = () if following is None else self._read(statement.where(*following))

    def entries(
        self, headers: Sequence[EntryHeader], needs_of: NeedsOf = everything
    ) -> list[HistoryEntry]:
        """Read the rest of some messages, in their order, as far as it is needed."""
        if not headers:
            return []
        return self._retry(lambda: self._entries(headers, needs_of))

    def _entries(self, headers: Sequence[EntryHeader], needs_of: NeedsOf) -> list[HistoryEntry]:
        needing: dict[str, list[int]] = {"users": [], "packages": [], "content": []}
        for header in headers:
            for need in needs_of(header.topic, header.category):
                needing[need].append(header.number)
        contents = needing["content"]
        with translate_errors(_NAME), self._reader.connect() as connection:
            found = connection.execute(_CONTENTS, {"numbers": contents}) if contents else ()
            rows = {row.id: row for row in found}
            wanted = set(contents)
            gone = wanted.difference(rows)
            users, packages = (
                names_of(connection, kind, needing[kind]) if needing[kind] else {}
                for kind in ("users", "packages")
            )
        return [
            HistoryEntry(header, None, users.get(number, ()), packages.get(number, ()))
            if number not in wanted
            # For expressions, as elsewhere.
            else HistoryEntry(
                header,
                rows[number],
                sorted(users.get(number, ())),
                sorted(packages.get(number, ())),
            )
            for header in headers
            if (number := header.number) not in gone
        ]

    def _read(
        self, statement: Select[Any], parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        def read() -> Sequence[Any]:
            with translate_errors(_NAME), self._reader.connect() as connection:
                return connection.execute(statement, parameters).all()

        return self._retry(read)

    def _parse(self, rows: Iterable[Any]) -> list[EntryHeader]:
        found, damaged = [], {}
        for number, topic, category, agent, raw_timestamp in rows:
            timestamp = parse_time(raw_timestamp)
            try:
                check_header(topic, timestamp)
            except DamagedRow as error:
                damaged[number] = error
            else:
                assert timestamp is not None
                found.append(EntryHeader(number, timestamp, topic, category or "", agent))
        if damaged:
            self._log(damaged)
        return found

    def _log(self, damaged: Mapping[int, DamagedRow]) -> None:
        """Log rows with their ids, which are not read of the others."""
        for row in self._read(_IDS, {"numbers": list(damaged)}):
            self.damage.add(row.id, row.msg_id, damaged[row.id])
