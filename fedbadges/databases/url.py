"""Database URLs, as configurations have them."""

from __future__ import annotations

from sqlalchemy import URL, exc
from sqlalchemy.engine import make_url


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


def _without_open_password(url: URL) -> URL:
    """Put a password among the parameters, which is shown, where it is not."""
    password = url.query.get("password")
    if not isinstance(password, str):
        return url
    return url.difference_update_query(["password"]).set(password=password)
