"""Tahrir's schema: compared with what tahrir-api needs, created and migrated."""

import contextlib
import importlib.metadata
import sqlite3
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tahrir_api.model
import tahrir_api.utils
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, exc, inspect, text
from sqlalchemy.engine.reflection import ObjectKind

from fedbadges.databases.connections import create_indexes, engine, make_directory
from fedbadges.databases.outages import is_broken, translate_errors
from fedbadges.errors import DatabaseUnusable, Unavailable
from fedbadges.tahrir.own_tables import create_own_tables
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error

log = get_logger(__name__)

#: Indexes that the daemon's questions want, and that the schemas do not bring.
TAHRIR_INDEXES = (
    "CREATE INDEX IF NOT EXISTS fedbadges_persons_email ON persons (lower(email))",
    "CREATE INDEX IF NOT EXISTS fedbadges_persons_nickname ON persons (lower(nickname))",
)

#: The releases of tahrir-api whose newest revision each is.
_RELEASES: Mapping[str, str] = {
    "e7040e76728": "tahrir-api 0.8 to 1.0",
    "3d3fb9e59e7b": "tahrir-api 1.1 or 1.2",
    "51261da641fb": "tahrir-api 1.3 or 1.4",
    "53b73809290f": "tahrir-api 1.5.0 to 1.5.4",
    "034fa28d186e": "tahrir-api 1.5.6",
}

_TABLES = tahrir_api.model.DeclarativeBase.metadata.tables

_BACKUP = "make a backup before you repair or migrate it, and see docs/tahrir.rst"
_CREATE = "'badges.create_tables': True makes the tables"


@dataclass(frozen=True)
class TahrirSchema:
    """The schema that a database has.

    ``revision`` is the newest migration of tahrir-api that it has had, if that is known, and
    ``missing`` are the tables and columns that tahrir-api needs and that are not there.
    """

    revision: str | None
    missing: tuple[str, ...]
    is_empty: bool

    @property
    def made_by(self) -> str:
        """Return which tahrir-api made it, in words."""
        if self.revision is None:
            return "an unknown tahrir-api (no revision)"
        return f"{_RELEASES.get(self.revision, 'another tahrir-api')} (revision {self.revision})"


def read_schema(made: Engine) -> TahrirSchema:
    """Read which schema of tahrir a database has; raise what SQLAlchemy raises."""
    with made.connect() as connection:
        # In the database's default schema; None is that in the keys.
        columns = inspect(connection).get_multi_columns(kind=ObjectKind.ANY)
        found = {name: {each["name"] for each in of_it} for (_, name), of_it in columns.items()}
        revision = _read_revision(connection) if "alembic_version" in found else None
    missing = [name for name in _TABLES if name not in found]
    is_empty = len(missing) == len(_TABLES)
    for name, table in _TABLES.items():
        absent = [column.name for column in table.columns if column.name not in found.get(name, ())]
        missing += [f"{name}.{column}" for column in absent if name in found]
    return TahrirSchema(revision, tuple(sorted(missing)), is_empty)


def check_tahrir(url: URL | str) -> None:
    """Check that a database has what tahrir-api needs; raise DatabaseUnusable with what to do.

    An older or newer schema that has all tables and columns will do; a log line names it.
    """
    found = read_schema(engine(url))
    if found.is_empty:
        raise DatabaseUnusable(f"tahrir: the database has no tables of tahrir; {_CREATE}")
    if found.missing:
        raise _mismatch(found, "run the migrations of tahrir-api, after a backup")
    newest = _manager(engine(url)).get_latest_revision()
    if found.revision not in (newest, None):
        log.info(
            "Using a schema of tahrir that another tahrir-api made",
            made_by=found.made_by,
            newest=newest,
        )


def create_tahrir(url: URL | str) -> None:
    """Create tahrir's schema, or bring it up to date, and the tables that fedbadges adds to it.

    What cannot be migrated as a whole is left as it is; then this raises DatabaseUnusable.
    """
    made = engine(url)
    make_directory(made.url)
    found = read_schema(made)
    manager = _manager(made)
    newest = manager.get_latest_revision()
    if found.is_empty and found.revision is None:
        manager.create()
    elif found.revision == newest or found.revision not in _revisions(manager):
        # tahrir-api would record a newest revision that the tables do not have, or fail.
        if found.missing:
            raise _mismatch(found, "it is none that tahrir-api can complete")
    else:
        _migrate(made, found)
    create_indexes(made, TAHRIR_INDEXES)
    create_own_tables(made)


def _read_revision(connection: Connection) -> str | None:
    try:
        found = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    except exc.DBAPIError as error:  # the daemon's user need not have a right to it
        if not is_broken(error):
            raise
        return None
    return ", ".join(sorted(found)) or None


def _manager(made: Engine) -> Any:
    return tahrir_api.utils.get_db_manager_from_uri(made.url.render_as_string(hide_password=False))


def _revisions(manager: Any) -> set[str]:
    return {
        each.revision for each in ScriptDirectory.from_config(manager.alembic_cfg).walk_revisions()
    }


def _mismatch(found: TahrirSchema, what: str) -> DatabaseUnusable:
    needed = f"tahrir-api {importlib.metadata.version('tahrir-api')}"
    return DatabaseUnusable(
        f"tahrir: the schema is that of {found.made_by}, and {needed} needs also "
        f"{', '.join(found.missing)}: {what}; {_BACKUP}"
    )


def _migrate(made: Engine, found: TahrirSchema) -> None:
    """Run the migrations of tahrir-api that a database has not had; all of them, or none."""
    try:
        with translate_errors("tahrir"):
            if made.url.get_backend_name() == "sqlite":
                _try_on_copy(made)  # SQLite commits each statement; PostgreSQL all, at the end
            _manager(made).upgrade()
    except Exception as error:
        if isinstance(error, Unavailable) and not isinstance(error, DatabaseUnusable):
            raise
        now = read_schema(made)
        if now.revision != found.revision and not now.missing:  # by another daemon, meanwhile
            return
        raise DatabaseUnusable(
            f"tahrir: the schema of {found.made_by} cannot be migrated and was left as it is: "
            f"{describe_error(error)}; {_BACKUP}"
        ) from error
    log.info("Migrated the schema of tahrir", made_by=found.made_by)


def _try_on_copy(made: Engine) -> None:
    """Run the migrations on a copy of an SQLite database; raise what they raise."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory, "tahrir.db")
        with contextlib.closing(sqlite3.connect(copy)) as target, made.connect() as connection:
            source: Any = connection.connection.driver_connection
            source.backup(target)
        tried = engine(f"sqlite:///{copy}")
        try:
            _manager(tried).upgrade()
        finally:
            tried.dispose()
