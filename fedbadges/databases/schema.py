"""Helpers for creating a database's schema, for deployments that have none yet."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, Engine, text


def create_indexes(made: Engine, statements: tuple[str, ...]) -> None:
    """Execute statements that create indexes."""
    with made.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def make_directory(url: URL) -> None:
    """Create the directory of an SQLite file; other databases need none."""
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
