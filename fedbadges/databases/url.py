"""Database URLs, as configurations have them."""

from __future__ import annotations

from sqlalchemy import URL, exc
from sqlalchemy.engine import make_url


def parse_url(text: str) -> URL:
    """Parse a database URL; raise ValueError, without any password in its text.

    A URL without a driver means psycopg2; for SQLAlchemy 2.1 it would mean psycopg 3.
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


def _without_open_password(url: URL) -> URL:
    """Move a password from the query, which SQLAlchemy shows, to where it hides it."""
    password = url.query.get("password")
    if not isinstance(password, str):
        return url
    return url.difference_update_query(["password"]).set(password=password)
