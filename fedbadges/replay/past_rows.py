"""The messages of a base in the order of time, each with no more than is needed of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from datanommer.models import Message as Row

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import array_parameter, is_any_of
from fedbadges.history.horizon import Base
from fedbadges.history.rows import FIRST_TIME, RAW_TIMESTAMP, TEXT, after, parse_content, parse_time
from fedbadges.history.sql import NAMES
from fedbadges.replay.history_stream import Retry, ask_once
from fedbadges.replay.past_names import PastNames, read_tuples
from fedbadges.rules.names import Name

_NAME = "datanommer"
_ROWS = Row.__table__

#: How many messages are read at once, few enough that live messages hardly wait for the interpreter
#: meanwhile, and how many of those that have no place in time.
_BATCH = 500
_MOST_EARLY = 1000

#: The time before which Python can read none, and one that no time is before.
_FIRST, _NEVER = FIRST_TIME.isoformat(" "), "-infinity"


def _between(column: Any) -> Any:
    first, last = (sa.bindparam(name, type_=sa.String()) for name in ("first", "last"))
    return column.between(first, last)


_IN_BASE = (
    _ROWS.c.timestamp <= sa.bindparam("until", type_=_ROWS.c.timestamp.type),
    _ROWS.c.id <= sa.bindparam("mark", type_=sa.Integer()),
)
_HEADERS = (
    # Columns whose values need no conversion: most of the time is spent reading these.
    sa.select(*(_ROWS.c[name] for name in ("id", "topic", "category", "agent_name")), RAW_TIMESTAMP)
    .where(*_IN_BASE)
    .order_by(_ROWS.c.timestamp, _ROWS.c.id)
)
_EARLY = _HEADERS.where(_ROWS.c.timestamp < FIRST_TIME).limit(_MOST_EARLY)
_OTHERS = _HEADERS.where(_ROWS.c.timestamp >= FIRST_TIME).limit(sa.bindparam("most"))
# With the times of the first and the last one, which tell TimescaleDB which chunks to read.
_CONTENTS = sa.select(_ROWS.c.id, _ROWS.c.msg_id, TEXT).where(
    is_any_of(_ROWS.c.id, array_parameter("numbers")), _between(_ROWS.c.timestamp)
)


#: Returns what is needed beside their headers of the messages of a topic and a category, of
#: ``users``, ``packages`` and ``content``; None if they do not matter.
NeedsOf = Callable[[str, str], Collection[str] | None]


#: In the place of a content that was not parsed yet.
_UNREAD = object()


class PastRow:
    """A message of the past; it has the attributes of a ``PastMessage``, as far as is needed."""

    __slots__ = (
        "_msg",
        "agent",
        "category",
        "content",
        "msg_id",
        "number",
        "packages",
        "raw_timestamp",
        "topic",
        "users",
    )

    def __init__(
        self, number: int, topic: str, category: str, agent: str | None, raw_timestamp: Any
    ) -> None:
        self.number = number
        self.topic = topic
        self.category = category
        self.agent = agent
        self.raw_timestamp = raw_timestamp
        self.msg_id: str | None = None
        self.content: Any = None
        self._msg: Any = _UNREAD
        self.users: Sequence[Name] = ()
        self.packages: Sequence[Name] = ()

    @property
    def timestamp(self) -> Any:
        """Return when it was sent, naive UTC; None where Python can hold no such time."""
        return parse_time(self.raw_timestamp)

    @property
    def msg(self) -> Any:
        """Return its content; raise DamagedRow."""
        if self._msg is _UNREAD:
            self._msg = parse_content(self.content)
        return self._msg

    @property
    def text(self) -> str:
        """Return its content in JSON; none where that is no text."""
        return self.content if isinstance(self.content, str) else ""


@dataclass(frozen=True)
class Place:
    """The last message that was read: its time as the database has it, and its row number."""

    raw_timestamp: Any
    id: int


@dataclass(frozen=True)
class Batch:
    """Messages that matter, of ``count`` that were read; and up to where that was, if any were."""

    rows: list[PastRow] = field(default_factory=list)
    count: int = 0
    last: Place | None = None


class PastRows:
    """Reads the messages of a base; it raises what ``retry`` raises, which may ask again."""

    def __init__(self, settings: Settings, needs_of: NeedsOf, retry: Retry = ask_once) -> None:
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._needs_of = needs_of
        self._retry = retry
        self._names = PastNames()

    def count(self, base: Base) -> int:
        """Return how many messages there are, but for gaps."""
        counted = sa.select(sa.func.count()).where(*_IN_BASE)
        about = {"until": base.until, "mark": base.horizon.mark}

        def ask() -> int:
            with translate_errors(_NAME), self._reader.connect() as connection:
                return int(connection.scalar(counted, about) or 0)

        return self._retry(ask)

    def batches(self, base: Base, last: Place | None = None) -> Iterator[Batch]:
        """Yield all messages, or those after the last one that was read."""
        if last is None:
            yield self._retry(lambda: self._read(base, _EARLY, (_NEVER, _FIRST)))
        while True:
            statement = _OTHERS if last is None else _OTHERS.where(*after(last) or (sa.false(),))
            batch = self._retry(lambda: self._read(base, statement))  # noqa: B023 - called at once
            if batch.last is None:
                return
            yield batch
            last = batch.last

    def _read(
        self, base: Base, statement: sa.Select[Any], times: tuple[Any, Any] | None = None
    ) -> Batch:
        parameters = {"until": base.until, "mark": base.horizon.mark, "most": _BATCH}
        with translate_errors(_NAME), self._reader.connect() as connection:
            headers = read_tuples(connection, statement, parameters)
            if not headers:
                return Batch()
            last = Place(headers[-1][-1], headers[-1][0])
            first, end = times or (headers[0][-1], last.raw_timestamp)
            rows, needing = self._wanted(headers, base.horizon.gaps)
            for kind in NAMES:
                self._add_names(connection, kind, needing[kind], (first, end))
            if needing["content"]:
                _add_contents(connection, needing["content"], {"first": first, "last": end})
        return Batch(rows, len(headers), last)

    def _wanted(
        self, headers: Sequence[Any], gaps: Collection[int]
    ) -> tuple[list[PastRow], dict[str, dict[int, PastRow]]]:
        """Return the messages that matter, and those of them that need something, by number."""
        needs_of = self._needs_of
        rows: list[PastRow] = []
        needing: dict[str, dict[int, PastRow]] = {kind: {} for kind in (*NAMES, "content")}
        for number, topic, category, agent, raw_timestamp in headers:
            needs = needs_of(topic, category)
            if needs is None or number in gaps:
                continue
            row = PastRow(number, topic, category, agent, raw_timestamp)
            rows.append(row)
            for kind in needs:
                needing[kind][number] = row
        return rows, needing

    def _add_names(
        self,
        connection: sa.Connection,
        kind: str,
        rows: Mapping[int, PastRow],
        times: tuple[Any, Any],
    ) -> None:
        if not rows:
            return
        for (number, raw_timestamp), names in self._names.of(
            connection, kind, list(rows), times
        ).items():
            row = rows[number]
            if row.raw_timestamp == raw_timestamp:
                setattr(row, kind, names)


def _add_contents(
    connection: sa.Connection, rows: Mapping[int, PastRow], about: Mapping[str, Any]
) -> None:
    for found in connection.execute(_CONTENTS, {**about, "numbers": list(rows)}):
        row = rows[found.id]
        row.msg_id, row.content = found.msg_id, found.text
        # For expressions, as elsewhere.
        row.users, row.packages = list(row.users), list(row.packages)
