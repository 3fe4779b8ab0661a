"""What a database's errors mean: an outage, a schema that is broken, or a mistake."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import exc

from fedbadges.errors import DatabaseUnusable, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How often, and after how many seconds, what another process got in the way of is done again.
_RACES = 2

_PAUSE = 0.2

#: What PostgreSQL's error codes begin with where the same may succeed later: the connection, a
#: conflict with another transaction, resources, locks, shutdown, the system, a read-only standby.
READ_ONLY = "25006"

_OUTAGES = ("08", "40", "53", "55", "57", "58", READ_ONLY)

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


@contextmanager
def translate_errors(name: str, *, foreign: bool = False) -> Iterator[None]:
    """Turn what means that the database ``name`` is away, or too busy, into Unavailable.

    Where it lacks what is asked for, that is DatabaseUnusable, unless the question is ``foreign``:
    a rule's own, which may ask for anything. What the database will never do, such as answer a
    question that is too large, is neither.
    """
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as error:
        if _is_outage(error):
            raise Unavailable(f"{name}: {_reason(error)}") from error
        if not foreign and is_broken(error):
            raise DatabaseUnusable(f"{name}: {_reason(error)}") from error
        raise


def retry_races(do: Callable[[], T]) -> T:
    """Do, again where another process was doing the same at the same time."""
    for _ in range(_RACES):
        try:
            return do()
        except (exc.IntegrityError, exc.ProgrammingError, exc.OperationalError) as error:
            log.debug("Once more: %s", _reason(error))
            time.sleep(_PAUSE)
    return do()


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


def _reason(error: BaseException) -> str:
    """Give the driver's own words, on one line."""
    words = " ".join(str(getattr(error, "orig", None) or error).split())
    return "".join(letter if letter.isprintable() else "?" for letter in words)
