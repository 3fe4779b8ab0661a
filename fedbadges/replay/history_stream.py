"""The history as a stream: every message in the order of time, in batches."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from datanommer.models import Message as Row
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Select,
    String,
    bindparam,
    func,
    not_,
    or_,
    select,
)

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import array_parameter, dialect_function, is_any_of
from fedbadges.errors import DamagedRow
from fedbadges.history.rows import (
    FIRST_TIME,
    HEADERS,
    RAW_TIMESTAMP,
    TEXT,
    DamageLog,
    after,
    check_header,
    parse_content,
    parse_time,
)
from fedbadges.messages import Position
from fedbadges.replay.past_names import PastNames, read_tuples
from fedbadges.rules.expressions import Expression
from fedbadges.rules.names import Name

T = TypeVar("T")

#: How an expression may read what an entry has, and a ``PastMessage`` has not.
_MORE = re.compile(r"\.\s*(agent|position|row|text)\b|\b(getattr|hasattr)\b")

_NAME = "datanommer"
_ROWS = Row.__table__

#: How many messages are gone through at once.
_BATCH = 4000
#: How many messages are read of those without a time.
_MOST_TIMELESS = 1000

#: How many pairs of a topic and a category are left out while reading.
_MOST_SKIPPED = 1000

#: Two columns have one of a list of pairs, which is in JSON.
_is_pair_of = dialect_function(
    Boolean(),
    postgresql="({}, {}) IN"
    " (SELECT value ->> 0, value ->> 1 FROM jsonb_array_elements(CAST({} AS jsonb)))",
    sqlite="({}, {}) IN"
    " (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each({}))",
)

# Columns whose values need no conversion: most of the time is spent reading these.
_HEADERS = select(
    *(_ROWS.c[name] for name in ("id", "topic", "category", "agent_name")), RAW_TIMESTAMP
)
_IN_ORDER = _HEADERS.where(_ROWS.c.timestamp >= FIRST_TIME).order_by(_ROWS.c.timestamp, _ROWS.c.id)
#: What no page has, as it is in no order that Python knows.
_TIMELESS = _HEADERS.where(or_(_ROWS.c.timestamp < FIRST_TIME, _ROWS.c.timestamp.is_(None))).limit(
    _MOST_TIMELESS
)
# With the times of the first and the last one, which tell TimescaleDB which chunks to read.
_CONTENTS = select(_ROWS.c.id, _ROWS.c.msg_id, _ROWS.c.i, HEADERS, TEXT).where(
    is_any_of(_ROWS.c.id, array_parameter("numbers")),
    _ROWS.c.timestamp.between(
        *(bindparam(name, type_=String()) for name in ("first", "last")),
    ),
)

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
    """What is read of every message; ``raw_timestamp`` is its time as the database has it."""

    number: int
    timestamp: datetime
    topic: str
    category: str
    agent: str | None
    raw_timestamp: Any


class Page(NamedTuple):
    """Headers, of ``size`` messages that were gone through."""

    headers: list[EntryHeader]
    size: int


class Content(NamedTuple):
    """What is read of a message beside its header, with what ``body_of`` needs of that."""

    topic: str
    agent_name: str | None
    timestamp: datetime
    msg_id: str | None
    i: int
    headers: Any
    text: Any


class _Row(NamedTuple):
    """A row of a page, as the driver has it, and how many rows the page has."""

    id: int
    topic: Any
    category: Any
    agent_name: Any
    raw_timestamp: Any
    page_size: int


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
        self,
        header: EntryHeader,
        row: Content | None,
        users: Collection[Name],
        packages: Collection[Name],
    ) -> None:
        self.number, self.timestamp, self.topic, self.category, self.agent, _ = header
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
            self._msg = parse_content(None if self.row is None else self.row.text)
        return self._msg


def reads_more(expression: Expression) -> bool:
    """Return True if an expression may find in an entry what it does not find elsewhere."""
    return expression.source is not None and _MORE.search(expression.text) is not None


class HistoryStream:
    """Reads the history; each method raises Unavailable while the database is away.

    ``retry`` may ask again what raises that.
    """

    def __init__(self, settings: Settings, retry: Retry = ask_once) -> None:
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._retry = retry
        self._names = PastNames()
        self._last = 0
        self.damage = DamageLog()

    def start(self, last: int | None = None) -> int:
        """Let the stream end with the message that is the last one now; return their number.

        With ``last`` it has no higher row number than this.
        """
        ((highest, count),) = self._read(select(func.max(_ROWS.c.id), func.count()))
        self._last = (highest or 0) if last is None else last
        return int(count)

    def headers(
        self, matters: Callable[[str, str], bool] = lambda topic, category: True
    ) -> Iterator[Page]:
        """Yield the headers of all messages in pages, the oldest first.

        Those may be left out whose topic and category do not matter; they are counted.
        """
        self._parse(self._read(_TIMELESS.where(_ROWS.c.id <= self._last)))
        statement = _IN_ORDER.where(_ROWS.c.id <= self._last).limit(_BATCH)
        skipped: set[tuple[str, str]] = set()
        following: tuple[ColumnElement[bool], ...] | None = ()
        while following is not None:
            page = _without(statement.where(*following), json.dumps(sorted(skipped)))
            rows = self._read(page)
            if not rows:
                return
            last = _Row(*rows[-1])
            headers = self._parse(row[:-1] for row in rows)
            yield Page(headers, last.page_size)
            if len(skipped) < _MOST_SKIPPED:
                pairs = {(header.topic, header.category) for header in headers}
                # SQLite can have bytes in the place of a category.
                texts = (pair for pair in pairs if isinstance(pair[1], str))
                skipped.update(pair for pair in texts if not matters(*pair))
            following = after(last)

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
        numbers = needing["content"]
        times = headers[0].raw_timestamp, headers[-1].raw_timestamp
        with translate_errors(_NAME), self._reader.connect() as connection:
            contents = _read_contents(connection, numbers, times) if numbers else {}
            users, packages = (
                self._names.of(connection, kind, needing[kind], times) if needing[kind] else {}
                for kind in ("users", "packages")
            )
        gone = set(numbers).difference(contents)
        entries = []
        for header in headers:
            number, sent, topic, _, agent, raw_timestamp = header
            if number in gone:
                continue
            names: list[Collection[Name]] = [
                found.get((number, raw_timestamp), ()) for found in (users, packages)
            ]
            content = None
            if number in contents:
                content = Content(topic, agent, sent, *contents[number])
                # For expressions, as elsewhere.
                names = [list(each) for each in names]
            entries.append(HistoryEntry(header, content, *names))
        return entries

    def _read(
        self, statement: Select[Any], parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        def read() -> Sequence[Any]:
            with translate_errors(_NAME), self._reader.connect() as connection:
                return read_tuples(connection, statement, parameters or {})

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
                found.append(
                    EntryHeader(number, timestamp, topic, category or "", agent, raw_timestamp)
                )
        if damaged:
            self._log(damaged)
        return found

    def _log(self, damaged: Mapping[int, DamagedRow]) -> None:
        """Log rows with their ids, which are not read of the others."""
        for number, msg_id in self._read(_IDS, {"numbers": list(damaged)}):
            self.damage.add(number, msg_id, damaged[number])


def _without(page: Select[Any], skipped: str) -> Select[Any]:
    """Return a statement for the rows of a page that have not these pairs, and for its last row.

    Each row has the number of all rows of the page as well.
    """
    rows = page.subquery()
    numbered = select(
        rows,
        func.row_number().over(order_by=(rows.c.raw_timestamp, rows.c.id)).label("place"),
        func.count().over().label("page_size"),
    ).subquery()
    pair = numbered.c.topic, func.coalesce(numbered.c.category, "")
    others = not_(_is_pair_of(*pair, bindparam("skipped", skipped, String())))
    return (
        select(*(numbered.c[name] for name in _Row._fields))
        .where(or_(others, numbered.c.topic.is_(None), numbered.c.place == numbered.c.page_size))
        .order_by(numbered.c.place)
    )


def _read_contents(
    connection: Connection, numbers: Sequence[int], times: tuple[Any, Any]
) -> dict[int, tuple[Any, ...]]:
    """Return the rest of a ``Content`` by row numbers."""
    about = {"numbers": numbers, "first": times[0], "last": times[1]}
    return {number: tuple(rest) for number, *rest in read_tuples(connection, _CONTENTS, about)}
