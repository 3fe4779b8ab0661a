"""Classification of database errors: an outage, a broken schema, or a mistake."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import tenacity
from sqlalchemy import exc

from fedbadges.errors import DatabaseUnusable, Unavailable

#: The beginnings of PostgreSQL's error codes after which a retry may succeed: the connection, a
#: conflict with another transaction, resources, locks, shutdown, the system, a read-only standby.
READ_ONLY = "25006"
_OUTAGES = ("08", "40", "53", "55", "57", "58", READ_ONLY)

#: PostgreSQL's code of a statement that took too long; it would take too long again.
CANCELED = "57014"

#: A table, column, schema or right is missing: every statement fails until somebody repairs that.
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
    """Translate the errors of the database ``name`` that a retry or a repair may cure.

    ``foreign`` is for statements of a rule, which may ask for tables that never existed. Errors
    that would only repeat, such as that a statement is too large, are raised as they are.

    Raises:
        Unavailable: The database is away, or too busy.
        DatabaseUnusable: The database lacks a table, a column or a right.
    """
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as error:
        if _is_outage(error):
            raise Unavailable(f"{name}: {_reason(error)}") from error
        if not foreign and is_broken(error):
            raise DatabaseUnusable(f"{name}: {_reason(error)}") from error
        raise


#: Calls a function; again if another process did the same at the same time.
retry_races = tenacity.Retrying(
    retry=tenacity.retry_if_exception_type(
        (exc.IntegrityError, exc.ProgrammingError, exc.OperationalError)
    ),
    stop=tenacity.stop_after_attempt(3),
    wait=tenacity.wait_fixed(0.2),
    reraise=True,
)


def _is_outage(error: exc.DBAPIError | exc.TimeoutError) -> bool:
    if isinstance(error, exc.TimeoutError) or error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return str(error.orig).startswith(_SQLITE_OUTAGES)
    code = getattr(error.orig, "pgcode", None)
    if code is None:
        return isinstance(error, (exc.OperationalError, exc.InterfaceError))
    return str(code).startswith(_OUTAGES) and code != CANCELED


def is_broken(error: BaseException) -> bool:
    """Return True if an error means that a table, a column or a right is missing."""
    origin = getattr(error, "orig", None)
    if isinstance(origin, sqlite3.Error):
        return str(origin).startswith(_SQLITE_BROKEN)
    return getattr(origin, "pgcode", None) in _BROKEN


def _reason(error: BaseException) -> str:
    message = " ".join(str(getattr(error, "orig", None) or error).split())
    return "".join(letter if letter.isprintable() else "?" for letter in message)
