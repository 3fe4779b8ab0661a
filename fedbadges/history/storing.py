"""Storing of messages in datanommer's tables, as datanommer itself stores them."""

from collections.abc import Collection, Iterable
from typing import Any

from datanommer.models import Message as Row
from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from fedbadges.history.sql import NAMES
from fedbadges.messages import Message, category_of, fits_databases

#: The ``source_name`` of messages that the daemon stored itself after verifying their signature.
CHECKED = "fedbadges"


def store(
    connection: Connection,
    message: Message,
    names: tuple[Iterable[str], Iterable[str]],
    agent: str | None,
    source: str | None,
) -> int:
    """Store a message with its names, those of users and of packages, unless it is stored.

    Returns its row number.
    """
    columns = _columns(message)
    columns["agent_name"] = agent if agent and fits_databases(agent) else None
    if source is not None:
        columns["source_name"] = source
    rows = Row.__table__
    number = _insert(connection, rows, columns, rows.c.id)
    if number is None:
        same = rows.c.msg_id == message.msg_id, rows.c.timestamp == message.sent
        return int(connection.scalar(select(rows.c.id).where(*same)) or 0)
    for (table, association), wanted in zip(NAMES.values(), names, strict=True):
        known = _store_names(connection, table, wanted)
        associated = {"msg_id": number, "msg_timestamp": message.sent}
        associations = [{association.c[0].name: each, **associated} for each in known]
        if associations:
            connection.execute(association.insert(), associations)
    return int(number)


def _columns(message: Message) -> dict[str, Any]:
    body = message.body
    msg, number, headers = body.get("msg"), body.get("i"), body.get("headers")
    return {
        "msg_id": message.msg_id,
        "i": number if type(number) is int and 0 <= number < 2**31 else 0,
        "topic": message.topic,
        "timestamp": message.sent,
        "category": category_of(message.topic),
        "msg": {} if msg is None else msg,
        "headers": headers if isinstance(headers, dict) and _fits_jsonb(headers) else None,
    }


def _fits_jsonb(headers: dict[str, Any]) -> bool:
    return bool(headers) and all(
        (isinstance(value, str) and (not value or fits_databases(value)))
        # As fedora-messaging has them: a severity, and a flag for each user and package.
        or (isinstance(value, int) and abs(value) < 2**63)
        for pair in headers.items()
        for value in pair
    )


def _insert(connection: Connection, table: Any, values: Any, returning: Any) -> Any:
    """Insert a row unless it exists, even if another process inserts it at the same time."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(values).on_conflict_do_nothing()
    return connection.scalar(statement.returning(returning))


def _store_names(connection: Connection, table: Any, names: Iterable[str]) -> Collection[int]:
    """Store the names that are new; return the ids of all."""
    # In a fixed order, so that two processes cannot each hold what the other waits for.
    wanted = sorted({name for name in names if fits_databases(name)})
    if not wanted:
        return ()
    statement = select(table.c.name, table.c.id).where(table.c.name.in_(wanted))
    known = {row.name: row.id for row in connection.execute(statement)}
    new = [name for name in wanted if name not in known]
    for name in new:
        _insert(connection, table, {"name": name}, table.c.id)
    return [row.id for row in connection.execute(statement)] if new else known.values()
