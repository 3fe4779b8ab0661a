"""The names of many past messages, read by their ids, so that each name is read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from fedbadges.databases.prepared_statements import array_parameter, is_any_of
from fedbadges.history.sql import NAMES
from fedbadges.rules.names import Name

_NUMBERS = array_parameter("numbers")
_FIRST, _LAST = (sa.bindparam(name, type_=sa.String()) for name in ("first", "last"))

_IDS = {
    kind: sa.select(
        association.c.msg_id,
        association.c[0],
        sa.type_coerce(association.c.msg_timestamp, sa.String()),
    ).where(
        is_any_of(association.c.msg_id, _NUMBERS),
        # Tells TimescaleDB which chunks to read.
        association.c.msg_timestamp.between(_FIRST, _LAST),
    )
    for kind, (_, association) in NAMES.items()
}
_NAMES = {
    kind: sa.select(table.c.id, table.c.name).where(is_any_of(table.c.id, _NUMBERS))
    for kind, (table, _) in NAMES.items()
}

#: A message's row number and its time, as the database has it.
RowKey = tuple[int, Any]


class PastNames:
    """Reads the names of messages; it keeps each name in memory, of which there are few."""

    def __init__(self) -> None:
        #: By their ids, of each kind; each alone in a tuple.
        self._known: dict[str, dict[int, tuple[Name, ...]]] = {kind: {} for kind in NAMES}

    def of(
        self, connection: sa.Connection, kind: str, numbers: Sequence[int], times: tuple[Any, Any]
    ) -> Mapping[RowKey, tuple[Name, ...]]:
        """Return the names of a kind, such as ``users``, of those messages that have any, sorted.

        ``times`` are those of the first and the last message, as the database has them.
        """
        first, last = times
        about = {"numbers": numbers, "first": first, "last": last}
        pairs = read_tuples(connection, _IDS[kind], about)
        known = self._known[kind]
        unknown = {each for _, each, _ in pairs if each not in known}
        if unknown:
            for number, name in connection.execute(_NAMES[kind], {"numbers": list(unknown)}):
                known[number] = (Name(name),)
        found: dict[RowKey, tuple[Name, ...]] = {}
        for number, each, raw_timestamp in pairs:
            key = number, raw_timestamp
            others = found.get(key)
            # Most messages have one name, and share its tuple.
            one = known.get(each, ())
            found[key] = one if others is None else tuple(sorted(others + one))
        return found


def read_tuples(
    connection: sa.Connection, statement: sa.Select[Any], parameters: Mapping[str, Any]
) -> list[tuple[Any, ...]]:
    """Return rows as the driver has them, which takes half as long as converting them."""
    cursor = connection.execute(statement, parameters).cursor
    return [] if cursor is None else list(cursor.fetchall())
