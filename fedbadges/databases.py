"""Connections to the two databases, and their schemas for deployments that have none yet."""

from __future__ import annotations

import functools
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import datanommer.models
import tahrir_api.utils
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    SingletonThreadPool,
    create_engine,
    event,
    exc,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import make_url
from sqlalchemy.ext.compiler import compiles

from fedbadges.prepared import keep_plans
from fedbadges.rules.criteria import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that SQLite waits for another process to finish writing.
_SQLITE_PATIENCE = 30

#: Indexes that the daemon's questions want, and that the schemas do not bring.
TAHRIR_INDEXES = (
    "CREATE INDEX IF NOT EXISTS fedbadges_persons_email ON persons (lower(email))",
    "CREATE INDEX IF NOT EXISTS fedbadges_persons_nickname ON persons (lower(nickname))",
)
HISTORY_INDEXES = (
    "CREATE INDEX IF NOT EXISTS fedbadges_users_messages"
    " ON users_messages (user_id, msg_timestamp)",
    "CREATE INDEX IF NOT EXISTS fedbadges_messages ON messages (topic, timestamp)",
)

#: Seconds without use after which a connection is tried before it is used: a server, or a firewall
#: on the way, may have cut it. To try it every time would double the way to the database.
_IDLE = 2.0

#: How many rows are in memory at once when there may be very many.
_PORTION = 500

#: How often, and after how many seconds, what another process got in the way of is done again.
_RACES = 2
_PAUSE = 0.2

#: What PostgreSQL's error codes begin with where the same may succeed later: the connection, a
#: conflict with another transaction, resources, locks, shutdown, the system, a read-only standby.
_READ_ONLY = "25006"
_OUTAGES = ("08", "40", "53", "55", "57", "58", _READ_ONLY)
#: A statement that took too long will do so again.
_CANCELED = "57014"

#: Where it refuses as a whole, until somebody mends that: a table, column or schema is missing, or
#: a right.
_BROKEN = ("42P01", "42703", "3F000", "42501")

#: The same for SQLite's messages.
_SQLITE_OUTAGES = (
    "database is locked",
    "database table is locked",
    "unable to open database file",
    "disk I/O error",
    "database or disk is full",
    "attempt to write a readonly database",
    "locking protocol",
)
_SQLITE_BROKEN = ("no such table", "no such column")


class Broken(Unavailable):
    """A database answers, but it lacks what every question needs: the schema, or the rights."""


def parse_url(text: str) -> URL:
    """Read a database URL; raises ValueError, whose text has no password in it.

    One without a driver means psycopg2, which is not what SQLAlchemy 2.1 takes it for.
    """
    try:
        url = make_url(text)
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
    return _without_open_password(url)


def engine(url: URL | str) -> Engine:
    """Give the process's one engine for changes to a database; it connects when first used.

    A connection that the server has cut is noticed and replaced before it is used.
    """
    return _engine(parse_url(url) if isinstance(url, str) else url)


def reader(url: URL | str, prepare: bool = True) -> Engine:
    """Give the one for questions, which are many: each is one way to the database and back.

    So it has no transactions, and a connection is tried only after it was idle. With ``prepare``
    PostgreSQL plans what is asked often once a connection.
    """
    return _reader(parse_url(url) if isinstance(url, str) else url, prepare)


@functools.cache
def _engine(url: URL, **options: Any) -> Engine:
    if url.get_backend_name() != "sqlite":
        made = create_engine(url, pool_pre_ping=True)
        event.listen(made, "handle_error", _leave_if_read_only)
        return made
    if url.query.get("mode") == "memory":
        options["poolclass"] = SingletonThreadPool
    made = create_engine(url, connect_args={"timeout": _SQLITE_PATIENCE}, **options)
    event.listen(made, "connect", _prepare_sqlite)
    return made


@functools.cache
def _reader(url: URL, prepare: bool) -> Engine:
    if url.get_backend_name() == "sqlite":
        return _engine(url, isolation_level="AUTOCOMMIT")
    made = create_engine(url, isolation_level="AUTOCOMMIT")
    if prepare:
        event.listen(made, "connect", keep_plans)
    event.listen(made, "checkin", _note_use)
    event.listen(made, "checkout", _ping_if_idle)
    return made


@contextmanager
def reading_all(made: Engine) -> Iterator[Connection]:
    """Connect so that results come in portions, however long they are."""
    with made.connect() as connection:
        yield connection.execution_options(stream_results=True, yield_per=_PORTION)


@contextmanager
def asking(name: str, *, foreign: bool = False) -> Iterator[None]:
    """Turn what means that the database ``name`` is away, or too busy, into Unavailable.

    Where it lacks what is asked for, that is Broken, unless the question is ``foreign``: a rule's
    own, which may ask for anything. What the database will never do, such as answer a question that
    is too large, is neither.
    """
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as error:
        if _is_outage(error):
            raise Unavailable(f"{name}: {_reason(error)}") from error
        if not foreign and is_broken(error):
            raise Broken(f"{name}: {_reason(error)}") from error
        raise


def despite_races(do: Callable[[], T]) -> T:
    """Do, again where another process was doing the same at the same time."""
    for _ in range(_RACES):
        try:
            return do()
        except (exc.IntegrityError, exc.ProgrammingError, exc.OperationalError) as error:
            log.debug("Once more: %s", _reason(error))
            time.sleep(_PAUSE)
    return do()


def create_tahrir(url: URL | str) -> None:
    """Create tahrir's schema, or bring it up to date."""
    url = parse_url(url) if isinstance(url, str) else url
    _make_directory(url)
    spelled = url.render_as_string(hide_password=False)
    tahrir_api.utils.get_db_manager_from_uri(spelled).sync()
    _create_indexes(engine(url), TAHRIR_INDEXES)


def create_history(made: Engine) -> None:
    """Create datanommer's tables where they are missing; TimescaleDB is not needed for them."""
    _make_directory(made.url)
    # Copies of the tables do not carry datanommer's own event that calls for TimescaleDB.
    metadata = MetaData()
    for table in datanommer.models.DeclarativeBase.metadata.sorted_tables:
        table.to_metadata(metadata)
    if made.dialect.name == "sqlite":
        # SQLite numbers rows by itself only if the number is the whole key.
        messages = metadata.tables["messages"]
        messages.c.timestamp.primary_key = False
        messages.append_constraint(PrimaryKeyConstraint(messages.c.id))
    metadata.create_all(made)
    _create_indexes(made, HISTORY_INDEXES)


def _create_indexes(made: Engine, statements: tuple[str, ...]) -> None:
    with made.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


@compiles(JSONB, "sqlite")
def _jsonb_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "JSON"


def _leave_if_read_only(context: Any) -> None:
    """Have the next question connect anew: the server may be a standby by now, and another not."""
    if getattr(context.original_exception, "pgcode", None) == _READ_ONLY:
        context.is_disconnect = True


def _note_use(connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _ping_if_idle(connection: Any, record: Any, proxy: Any) -> None:
    if time.monotonic() - record.info.get("used", 0.0) < _IDLE:
        return
    try:
        connection.cursor().execute("SELECT 1")
    except connection.Error:
        # The pool replaces it, and tries the new one in its turn.
        raise exc.DisconnectionError from None


def _prepare_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    # Readers and the one writer, in several threads and processes, do not wait for each other.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    # What a filter contains is spelled exactly, as on PostgreSQL.
    connection.execute("PRAGMA case_sensitive_like=ON")


def _make_directory(url: URL) -> None:
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)


def _is_outage(error: exc.DBAPIError | exc.TimeoutError) -> bool:
    if isinstance(error, exc.TimeoutError) or error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return str(error.orig).startswith(_SQLITE_OUTAGES)
    code = getattr(error.orig, "pgcode", None)
    if code is None:
        return isinstance(error, (exc.OperationalError, exc.InterfaceError))
    return str(code).startswith(_OUTAGES) and code != _CANCELED


def is_broken(error: BaseException) -> bool:
    """Tell whether an error says that a table, a column or a right is missing."""
    origin = getattr(error, "orig", None)
    if isinstance(origin, sqlite3.Error):
        return str(origin).startswith(_SQLITE_BROKEN)
    return getattr(origin, "pgcode", None) in _BROKEN


def _without_open_password(url: URL) -> URL:
    """Put a password among the parameters, which is shown, where it is not."""
    password = url.query.get("password")
    if not isinstance(password, str):
        return url
    return url.difference_update_query(["password"]).set(password=password)


def _reason(error: BaseException) -> str:
    """Give the driver's own words, on one line."""
    words = " ".join(str(getattr(error, "orig", None) or error).split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)
