"""Rows in datanommer's database that are no messages that can be read."""

import sqlalchemy as sa

from fedbadges.databases.connections import engine
from support.daemon_restarts import sent, store_message
from support.databases import Databases

_CONTENTS = {
    "no JSON": "not json",
    "an integer of 5,000 digits": "9" * 5_000,
    "nested 50,000 deep": "[" * 50_000 + "]" * 50_000,
}
_BOTH = {
    **{name: ("msg", f"'{text}'") for name, text in _CONTENTS.items()},
    "no content": ("msg", "NULL"),
    "an empty topic": ("topic", "''"),
    "no topic": ("topic", "NULL"),
    "a long topic": ("topic", f"'{'x' * 300}'"),
    "headers with an integer of 5,000 digits": ("headers", f"""'{{"a": {"9" * 5_000}}}'"""),
}
DAMAGES = {
    "postgresql": {
        **_BOTH,
        "sent in the year 20000": ("timestamp", "'20000-01-01'"),
        "sent before Christ": ("timestamp", "'0044-03-15 BC'"),
        "never sent": ("timestamp", "'infinity'"),
        "sent for ever": ("timestamp", "'-infinity'"),
    },
    "sqlite": {
        **_BOTH,
        "headers that are no JSON": ("headers", "'{'"),
        "not UTF-8": ("msg", "CAST(x'7b22ff' AS TEXT)"),
        "no timestamp": ("timestamp", "NULL"),
        "an empty timestamp": ("timestamp", "''"),
        "sent in month 13": ("timestamp", "'2026-13-01 00:00:00.000000'"),
        "sent soon": ("timestamp", "'soon'"),
        "sent at a number": ("timestamp", "17"),
        "sent at bytes": ("timestamp", "x'00ff'"),
        "sent in the year 20000": ("timestamp", "'20000-01-01 00:00:00.000000'"),
        "sent in a time zone": ("timestamp", "'2026-11-01 00:00:00.000000+00:00'"),
        "a topic of bytes": ("topic", "x'00ff'"),
        "an id of bytes": ("topic", "NULL, msg_id = x'00ff'"),
    },
}
"""By the kind of the database and a name for it, what a column is set to."""


def store_damaged_rows(database: Databases) -> dict[int, str]:
    """Store a row with each kind of damage; return their numbers, with the kinds."""
    damaged = {}
    for kind, (column, value) in DAMAGES[database.kind].items():
        store_message(database, sent("damaged", 60))
        with engine(database.datanommer_url).begin() as connection:
            number = connection.execute(sa.text("SELECT max(id) FROM messages")).scalar_one()
            if "NULL" in value:
                _allow_null(connection, column)
            statement = f"UPDATE messages SET {column} = {value} WHERE id = {number}"  # noqa: S608
            connection.exec_driver_sql(statement)
        damaged[number] = kind
    return damaged


def _allow_null(connection: sa.Connection, column: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"ALTER TABLE messages ALTER {column} DROP NOT NULL"))
        return
    (schema,) = connection.execute(
        sa.text("SELECT sql FROM sqlite_master WHERE name = 'messages'")
    ).one()
    for statement in (
        schema.replace("messages", "others").replace("NOT NULL", ""),
        "INSERT INTO others SELECT * FROM messages",
        "DROP TABLE messages",
        "ALTER TABLE others RENAME TO messages",
    ):
        connection.exec_driver_sql(statement)
