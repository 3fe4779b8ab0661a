"""Connections to the two databases, and their schemas for deployments that have none yet."""

from __future__ import annotations

import functools
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    SingletonThreadPool,
    create_engine,
    event,
    exc,
)

from fedbadges.databases.outages import READ_ONLY
from fedbadges.databases.prepared_statements import keep_plans
from fedbadges.databases.url import parse_url

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that SQLite waits for another process to finish writing.
_SQLITE_PATIENCE = 30


#: Seconds without use after which a connection is tried before it is used: a server, or a firewall
#: on the way, may have cut it. To try it every time would double the way to the database.
_IDLE = 2.0

#: How many rows are in memory at once when there may be very many.
_PORTION = 500


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
def streaming(made: Engine) -> Iterator[Connection]:
    """Connect so that results come in portions, however long they are."""
    with made.connect() as connection:
        yield connection.execution_options(stream_results=True, yield_per=_PORTION)


def _leave_if_read_only(context: Any) -> None:
    """Have the next question connect anew: the server may be a standby by now, and another not."""
    if getattr(context.original_exception, "pgcode", None) == READ_ONLY:
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
