"""Connections to the databases by URL: an engine for changes and one for questions to each."""

import functools
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy import URL, Connection, Engine, SingletonThreadPool, create_engine, event, exc, text
from sqlalchemy.engine import make_url

from fedbadges.databases.outages import READ_ONLY
from fedbadges.databases.prepared_statements import enable_prepared_statements

#: Seconds that SQLite waits for another process to finish writing.
_SQLITE_TIMEOUT = 30

#: Seconds without use after which a connection is tested before it is used: a server or a firewall
#: may have cut it. Testing it every time would double the round trips.
_IDLE = 2.0

#: PostgreSQL's number of the type ``timestamp``.
_TIMESTAMP = 1114

#: How many rows of a streamed result are in memory at once.
_BATCH = 500


def parse_url(spelled: str) -> URL:
    """Parse a database URL; raise ValueError, without any password in its text.

    A URL without a driver means psycopg2; for SQLAlchemy 2.1 it would mean psycopg 3.
    """
    try:
        url = make_url(spelled)
    except (exc.ArgumentError, ValueError):
        raise ValueError("not a database URL") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg2")
    if url.get_backend_name() not in ("postgresql", "sqlite"):
        raise ValueError(f"'{url.drivername}' is neither postgresql nor sqlite")
    try:
        url.get_dialect().import_dbapi()
    except (exc.NoSuchModuleError, ImportError):
        raise ValueError(f"no driver '{url.drivername}' is installed") from None
    password = url.query.get("password")
    if isinstance(password, str):
        # SQLAlchemy would show it there, but hides it in its usual place.
        url = url.difference_update_query(["password"]).set(password=password)
    return url


def engine(url: URL | str) -> Engine:
    """Return the process's engine for changes to a database; it connects when first used.

    A connection that the server has cut is detected and replaced before it is used.
    """
    return _engine(parse_url(url) if isinstance(url, str) else url)


def reader(url: URL | str, prepare: bool = True) -> Engine:
    """Return the engine for questions to a database, each of which is one round trip.

    It has no transactions, and tests a connection only after it was idle. With ``prepare``,
    PostgreSQL plans each PreparedStatement once for each connection.
    """
    return _reader(parse_url(url) if isinstance(url, str) else url, prepare)


@functools.cache
def _engine(url: URL, **options: Any) -> Engine:
    if url.get_backend_name() != "sqlite":
        made = create_engine(url, pool_pre_ping=True)
        event.listen(made, "handle_error", _disconnect_if_read_only)
        event.listen(made, "connect", _tolerate_times)
        return made
    if url.query.get("mode") == "memory":
        options["poolclass"] = SingletonThreadPool
    made = create_engine(url, connect_args={"timeout": _SQLITE_TIMEOUT}, **options)
    event.listen(made, "connect", _configure_sqlite)
    return made


@functools.cache
def _reader(url: URL, prepare: bool) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _engine(url, isolation_level="AUTOCOMMIT")
    made = create_engine(url, isolation_level="AUTOCOMMIT")
    event.listen(made, "connect", _tolerate_times)
    if prepare:
        event.listen(made, "connect", enable_prepared_statements)
    event.listen(made, "checkin", _note_use)
    event.listen(made, "checkout", _ping_if_idle)
    return made


@contextmanager
def streaming(made: Engine) -> Iterator[Connection]:
    """Connect so that results are streamed, however long they are."""
    with made.connect() as connection:
        yield connection.execution_options(stream_results=True, yield_per=_BATCH)


def create_indexes(made: Engine, statements: tuple[str, ...]) -> None:
    """Execute statements that create indexes."""
    with made.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def make_directory(url: URL) -> None:
    """Create the directory of an SQLite file; other databases need none."""
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)


def _disconnect_if_read_only(context: Any) -> None:
    """Reconnect for the next statement: the server may be a standby by now, and another primary."""
    if getattr(context.original_exception, "pgcode", None) == READ_ONLY:
        context.is_disconnect = True


def _tolerate_times(connection: Any, pooled: Any) -> None:
    """Let psycopg2 return None for a time that Python cannot hold, instead of failing."""
    if not isinstance(connection, psycopg2.extensions.connection):
        return

    def parse(text: str | None, cursor: Any) -> Any:
        if text is None or text.endswith("infinity"):
            return None
        try:
            return datetime.fromisoformat(text)
        except ValueError:  # perhaps a fraction that Python 3.10 does not read
            return parse_slowly(text, cursor)

    def parse_slowly(text: str, cursor: Any) -> Any:
        try:
            return psycopg2.extensions.PYDATETIME(text, cursor)
        except (ValueError, OverflowError, psycopg2.Error):
            return None

    kind = psycopg2.extensions.new_type((_TIMESTAMP,), "TIMESTAMP", parse)
    psycopg2.extensions.register_type(kind, connection)


def _note_use(connection: Any, pooled: Any) -> None:
    pooled.info["used"] = time.monotonic()


def _ping_if_idle(connection: Any, pooled: Any, proxy: Any) -> None:
    if time.monotonic() - pooled.info.get("used", 0.0) < _IDLE:
        return
    try:
        connection.cursor().execute("SELECT 1")
    except connection.Error:
        # The pool replaces the connection, and tests the new one as well.
        raise exc.DisconnectionError from None


def _configure_sqlite(connection: sqlite3.Connection, pooled: Any) -> None:
    # Readers and the one writer, in several threads and processes, do not wait for each other.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    # Text that is not UTF-8 would make reading fail for all rows.
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    # LIKE is case-sensitive, as on PostgreSQL.
    connection.execute("PRAGMA case_sensitive_like=ON")
