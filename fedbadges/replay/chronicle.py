"""The whole history, message by message in the order of time, in portions."""

from __future__ import annotations

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
_PORTION = 4000

_HEADS = select(
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
_REPEATED = (
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


class Head(NamedTuple):
    """What is read of every message."""

    number: int
    timestamp: datetime
    topic: str
    category: str
    agent: str | None

    @property
    def position(self) -> Position:
        """Where it stands in the history."""
        return self.timestamp, self.number


class HistoryEntry:
    """A message of the history that somebody is interested in.

    An operation's test sees it, so it has what ``query.PastMessage`` has.
    """

    def __init__(
        self, head: Head, row: Any, users: frozenset[str], packages: frozenset[str]
    ) -> None:
        self.number, self.timestamp, self.topic, self.category, self.agent = head
        self.position = head.position
        self.row = row
        self.known_users = users
        self.known_packages = packages

    @property
    def text(self) -> str:
        """Its content as datanommer stored it."""
        return str(self.row.text)

    @cached_property
    def msg(self) -> Any:
        """Its content."""
        return json.loads(self.row.text)

    @property
    def msg_id(self) -> str | None:
        """Its id."""
        found: str | None = self.row.msg_id
        return found

    @property
    def users(self) -> list[str]:
        """The users it concerns."""
        return sorted(self.known_users)

    @property
    def packages(self) -> list[str]:
        """The packages it concerns."""
        return sorted(self.known_packages)


class Chronicle:
    """Reads the history; each method raises Unavailable while the database is away."""

    def __init__(self, settings: Settings) -> None:
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._last = 0

    def begin(self) -> int:
        """Take what is there now for the whole history, and count its messages."""
        with translate_errors(_NAME), self._reader.connect() as connection:
            row = connection.execute(select(func.max(_ROWS.c.id), func.count())).one()
        self._last = row[0] or 0
        return int(row[1])

    def heads(self) -> Iterator[list[Head]]:
        """Give all messages in portions, the oldest first."""
        last: Position | None = None
        while portion := self._after(last):
            yield portion
            last = portion[-1].position

    def repeated(self, entries: Sequence[HistoryEntry]) -> set[str]:
        """Tell which of these messages' ids other messages have as well."""
        wanted = {entry.msg_id for entry in entries}
        asked = {"wanted": [msg_id for msg_id in wanted if msg_id is not None]}
        with translate_errors(_NAME), self._reader.connect() as connection:
            return set(connection.execute(_REPEATED, asked).scalars())

    def entries(self, heads: Sequence[Head]) -> list[HistoryEntry]:
        """Read the rest of some messages, in their order."""
        if not heads:
            return []
        asked = {"numbers": [head.number for head in heads]}
        with translate_errors(_NAME), self._reader.connect() as connection:
            rows = {(row.timestamp, row.id): row for row in connection.execute(_CONTENTS, asked)}
            users, packages = (
                _by_position(connection.execute(names, asked)) for names in (_USERS, _PACKAGES)
            )
        nobody: frozenset[str] = frozenset()
        return [
            HistoryEntry(
                head,
                rows[head.position],
                users.get(head.position, nobody),
                packages.get(head.position, nobody),
            )
            for head in heads
            if head.position in rows
        ]

    def _after(self, last: Position | None) -> list[Head]:
        asked = _HEADS.where(_ROWS.c.id <= self._last).limit(_PORTION)
        if last is not None:
            asked = asked.where(tuple_(_ROWS.c.timestamp, _ROWS.c.id) > tuple_(*last))
            # The same again, in words that an index serves in any database.
            asked = asked.where(_ROWS.c.timestamp >= last[0])
        with translate_errors(_NAME), self._reader.connect() as connection:
            return [Head(*row) for row in connection.execute(asked)]


def _by_position(rows: Any) -> dict[Position, frozenset[str]]:
    names: dict[Position, set[str]] = defaultdict(set)
    for sent, number, name in rows:
        names[sent, number].add(name)
    return {position: frozenset(found) for position, found in names.items()}
