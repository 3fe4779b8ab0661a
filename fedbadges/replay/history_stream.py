"""The history as a stream: every message in the order of time, in batches."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from datanommer.models import Message as Row
from datanommer.models import Package, User, packages_assoc_table, users_assoc_table
from sqlalchemy import String, func, select, tuple_, type_coerce

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import array_parameter, is_any_of
from fedbadges.history.sql import Position

_NAME = "datanommer"
_ROWS = Row.__table__

#: How many messages are read at once.
_BATCH = 4000

_HEADERS = select(
    _ROWS.c.id, _ROWS.c.timestamp, _ROWS.c.topic, _ROWS.c.category, _ROWS.c.agent_name
).order_by(_ROWS.c.timestamp, _ROWS.c.id)
_CONTENTS = select(
    _ROWS.c.id,
    _ROWS.c.timestamp,
    _ROWS.c.topic,
    _ROWS.c.agent_name,
    _ROWS.c.msg_id,
    _ROWS.c.i,
    _ROWS.c.headers,
    type_coerce(_ROWS.c.msg, String()).label("text"),
).where(is_any_of(_ROWS.c.id, array_parameter("numbers")))
_DUPLICATED = (
    select(_ROWS.c.msg_id)
    .where(is_any_of(_ROWS.c.msg_id, array_parameter("wanted")))
    .group_by(_ROWS.c.msg_id)
    .having(func.count() > 1)
)


def _names(kind: Any, table: Any) -> Any:
    return (
        select(table.c.msg_timestamp, table.c.msg_id, kind.name)
        .join(kind, kind.id == table.c[0])
        .where(is_any_of(table.c.msg_id, array_parameter("numbers")))
    )


_USERS = _names(User, users_assoc_table)
_PACKAGES = _names(Package, packages_assoc_table)


class EntryHeader(NamedTuple):
    """What is read of every message."""

    number: int
    timestamp: datetime
    topic: str
    category: str
    agent: str | None

    @property
    def position(self) -> Position:
        """Return its position in the history."""
        return self.timestamp, self.number


class HistoryEntry:
    """A message of the history, with its content.

    Matchers and the tests of operations see it, so it has the attributes of a ``PastMessage``.
    """

    def __init__(
        self, header: EntryHeader, row: Any, users: list[str], packages: list[str]
    ) -> None:
        self.number, self.timestamp, self.topic, self.category, self.agent = header
        self.position = header.position
        self.row = row
        self.msg_id: str | None = row.msg_id
        self.text = str(row.text)
        self.users = users
        self.packages = packages

    @cached_property
    def msg(self) -> Any:
        """Return its content; raise what parsing JSON raises."""
        return json.loads(self.text)


class HistoryStream:
    """Reads the history; each method raises Unavailable while the database is away."""

    def __init__(self, settings: Settings) -> None:
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._last = 0

    def start(self) -> int:
        """Let the stream end with the message that is the last one now; return their number."""
        with translate_errors(_NAME), self._reader.connect() as connection:
            row = connection.execute(select(func.max(_ROWS.c.id), func.count())).one()
        self._last = row[0] or 0
        return int(row[1])

    def headers(self) -> Iterator[list[EntryHeader]]:
        """Yield the headers of all messages in batches, the oldest first."""
        last: Position | None = None
        while batch := self._after(last):
            yield batch
            last = batch[-1].position

    def entries(self, headers: Sequence[EntryHeader]) -> list[HistoryEntry]:
        """Read the rest of some messages, in their order."""
        if not headers:
            return []
        parameters = {"numbers": [header.number for header in headers]}
        with translate_errors(_NAME), self._reader.connect() as connection:
            rows = {
                (row.timestamp, row.id): row for row in connection.execute(_CONTENTS, parameters)
            }
            users, packages = (
                _by_position(connection.execute(names, parameters)) for names in (_USERS, _PACKAGES)
            )
        return [
            HistoryEntry(
                header,
                rows[header.position],
                sorted(users.get(header.position, ())),
                sorted(packages.get(header.position, ())),
            )
            for header in headers
            if header.position in rows
        ]

    def duplicated_ids(self, entries: Sequence[HistoryEntry]) -> set[str]:
        """Return those ids of these messages that other messages have as well."""
        wanted = {entry.msg_id for entry in entries if entry.msg_id is not None}
        with translate_errors(_NAME), self._reader.connect() as connection:
            return set(connection.execute(_DUPLICATED, {"wanted": list(wanted)}).scalars())

    def _after(self, last: Position | None) -> list[EntryHeader]:
        statement = _HEADERS.where(_ROWS.c.id <= self._last).limit(_BATCH)
        if last is not None:
            statement = statement.where(tuple_(_ROWS.c.timestamp, _ROWS.c.id) > tuple_(*last))
            # Implied by the former; any database uses an index for this one.
            statement = statement.where(_ROWS.c.timestamp >= last[0])
        with translate_errors(_NAME), self._reader.connect() as connection:
            return [EntryHeader(*row) for row in connection.execute(statement)]


def _by_position(rows: Any) -> dict[Position, set[str]]:
    names: dict[Position, set[str]] = defaultdict(set)
    for sent, number, name in rows:
        names[sent, number].add(name)
    return names
