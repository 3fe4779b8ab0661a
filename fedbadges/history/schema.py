"""Datanommer's schema, for deployments that have none yet."""

from typing import Any

import datanommer.models
from sqlalchemy import Engine, MetaData, PrimaryKeyConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles

from fedbadges.databases.connections import create_indexes, make_directory

HISTORY_INDEXES = (
    "CREATE INDEX IF NOT EXISTS fedbadges_users_messages"
    " ON users_messages (user_id, msg_timestamp)",
    "CREATE INDEX IF NOT EXISTS fedbadges_messages ON messages (topic, timestamp)",
)


def create_history(made: Engine) -> None:
    """Create datanommer's tables where they are missing; TimescaleDB is not needed for them."""
    make_directory(made.url)
    # Copies of the tables lack datanommer's own event listener, which needs TimescaleDB.
    metadata = MetaData()
    for table in datanommer.models.DeclarativeBase.metadata.sorted_tables:
        table.to_metadata(metadata)
    if made.dialect.name == "sqlite":
        # SQLite numbers rows only if the number is the whole primary key.
        messages = metadata.tables["messages"]
        messages.c.timestamp.primary_key = False
        messages.append_constraint(PrimaryKeyConstraint(messages.c.id))
    metadata.create_all(made)
    create_indexes(made, HISTORY_INDEXES)


@compiles(JSONB, "sqlite")
def _jsonb_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "JSON"
