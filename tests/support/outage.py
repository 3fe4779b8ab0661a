"""Outages of a PostgreSQL database."""

import sqlalchemy as sa

from fedbadges.databases.connections import engine


class Outage:
    """Refuses connections to a database, and accepts them again."""

    def __init__(self, url: str) -> None:
        self._name = sa.make_url(url).database
        self._server = sa.create_engine(
            engine(url).url.set(database="postgres"),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
        )

    def begin(self) -> None:
        self._execute(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        self._execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"  # noqa: S608
            f" WHERE datname = '{self._name}'"
        )

    def end(self) -> None:
        self._execute(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")

    def _execute(self, statement: str) -> None:
        with self._server.connect() as connection:
            connection.execute(sa.text(statement))
