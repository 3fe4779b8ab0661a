"""Connections: their URLs, their schemas, and what counts as a database that is away."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import exc
from support.databases import Databases, Postgresql

from fedbadges.databases.connections import engine, parse_url, reader
from fedbadges.databases.outages import retry_races, translate_errors
from fedbadges.errors import DatabaseUnusable, Unavailable
from fedbadges.history.schema import create_history
from fedbadges.tahrir.schema import create_tahrir


@pytest.fixture
def server(postgresql: Postgresql) -> Iterator[sa.Engine]:
    """A PostgreSQL database; what is said of it has no counterpart in SQLite."""
    url = postgresql.create_database()
    yield engine(url)
    engine(url).dispose()
    postgresql.drop_database(url)


@pytest.fixture
def connection(database: Databases) -> Iterator[sa.Connection]:
    made = engine(database.tahrir_url)
    with made.connect() as connection:
        yield connection
    made.dispose()


def cut(server: sa.Engine, number: int) -> None:
    """Ends a connection as an administrator does, and returns when it is gone."""
    other = sa.create_engine(server.url, poolclass=sa.NullPool)
    with other.connect() as connection:
        connection.execute(sa.select(sa.func.pg_terminate_backend(number, 5000)))


def test_a_process_has_one_engine_for_a_database(database: Databases) -> None:
    assert engine(parse_url(database.tahrir_url)) is engine(parse_url(database.tahrir_url))
    assert engine(parse_url(database.tahrir_url)) is not engine(parse_url(database.datanommer_url))


def test_a_connection_that_was_cut_is_replaced(server: sa.Engine) -> None:
    with server.connect() as connection:
        number = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    cut(server, number)

    with server.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1


def test_a_connection_for_questions_that_was_cut_while_idle_is_replaced(
    server: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.databases.connections._IDLE", 0.0)
    questions = reader(server.url)
    with questions.connect() as connection:
        number = connection.scalar(sa.text("SELECT pg_backend_pid()"))
    cut(server, number)

    with questions.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
    questions.dispose()


def test_readers_do_not_wait_for_a_writer(database: Databases) -> None:
    made = engine(database.tahrir_url)
    with made.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (x INTEGER)"))
    with made.begin() as writer, made.connect() as reader:
        writer.execute(sa.text("INSERT INTO t VALUES (1)"))

        assert reader.scalar(sa.text("SELECT count(*) FROM t")) == 0


def test_creating_the_tables_keeps_what_exists(database: Databases) -> None:
    made = engine(database.datanommer_url)
    with made.begin() as connection:
        connection.execute(sa.text("INSERT INTO users (name) VALUES ('alice')"))

    create_history(made)
    create_tahrir(database.tahrir_url)

    with made.connect() as connection:
        assert connection.scalar(sa.text("SELECT name FROM users")) == "alice"


def test_the_directory_of_an_sqlite_file_is_created(tmp_path: Path) -> None:
    made = engine(f"sqlite:///{tmp_path}/a/b/history.db")

    create_history(made)

    assert (tmp_path / "a/b/history.db").exists()


def test_several_processes_may_create_the_schemas_at_once(empty_database: Databases) -> None:
    errors: list[Exception] = []

    def create() -> None:
        made = sa.create_engine(parse_url(empty_database.datanommer_url))
        try:
            start.wait()
            retry_races(lambda: create_history(made))
        except Exception as error:
            errors.append(error)
        finally:
            made.dispose()

    start = threading.Barrier(3)
    threads = [threading.Thread(target=create) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []


def test_a_server_that_cannot_be_reached_is_unavailable(tmp_path: Path) -> None:
    away = engine(f"postgresql://user:sesame@/name?host={tmp_path}")

    with pytest.raises(Unavailable) as caught, translate_errors("tahrir"):
        away.connect()

    assert str(caught.value).startswith("tahrir: connection to server on socket")
    assert "\n" not in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_a_file_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with (
        pytest.raises(Unavailable, match="unable to open database file"),
        translate_errors("tahrir"),
    ):
        engine(f"sqlite:///{tmp_path}/nowhere/tahrir.db").connect()


def test_a_file_locked_by_another_process_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "tahrir.db"
    impatient = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})
    with sqlite3.connect(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="database is locked"), translate_errors("tahrir"):
            impatient.connect().execute(sa.text("CREATE TABLE t (x INTEGER)"))
        other.rollback()
    impatient.dispose()


def test_a_connection_that_breaks_is_unavailable(server: sa.Engine) -> None:
    with server.connect() as connection:
        cut(server, connection.scalar(sa.text("SELECT pg_backend_pid()")))

        with pytest.raises(Unavailable), translate_errors("tahrir"):
            connection.execute(sa.text("SELECT 1"))


def test_a_serialization_failure_is_unavailable(server: sa.Engine) -> None:
    strict = server.execution_options(isolation_level="SERIALIZABLE")
    with strict.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (x INTEGER)"))
        connection.execute(sa.text("INSERT INTO t VALUES (0)"))
    with strict.connect() as slow:
        slow.execute(sa.text("SELECT x FROM t"))
        with strict.begin() as quick:
            quick.execute(sa.text("UPDATE t SET x = 1"))

        with pytest.raises(Unavailable), translate_errors("tahrir"):
            slow.execute(sa.text("UPDATE t SET x = 2"))


def test_a_lock_that_is_not_granted_in_time_is_unavailable(server: sa.Engine) -> None:
    with server.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (x INTEGER)"))
    with server.begin() as first, server.begin() as second:
        first.execute(sa.text("LOCK TABLE t"))
        second.execute(sa.text("SET lock_timeout = 10"))

        with pytest.raises(Unavailable), translate_errors("tahrir"):
            second.execute(sa.text("SELECT x FROM t"))


def test_a_statement_that_is_too_large_is_no_outage(
    connection: sa.Connection,
) -> None:
    """It is no outage: asking later would fail just so, and hold up everything behind it."""
    too_large = "SELECT 1" + " + 1" * 20_000

    with pytest.raises(exc.OperationalError), translate_errors("tahrir"):
        connection.execute(sa.text(too_large))


def test_a_statement_that_times_out_is_no_outage(
    server: sa.Engine,
) -> None:
    with server.connect() as connection:
        connection.execute(sa.text("SET statement_timeout = 10"))

        with pytest.raises(exc.OperationalError), translate_errors("tahrir"):
            connection.execute(sa.text("SELECT pg_sleep(20)"))


@pytest.mark.parametrize("question", ["SELECT 1 FROM nowhere", "SELECT absent"])
def test_a_missing_table_or_column_makes_a_database_unusable(
    connection: sa.Connection, question: str
) -> None:
    with (
        pytest.raises(DatabaseUnusable, match=r"^tahrir: .*(nowhere|absent)"),
        translate_errors("tahrir"),
    ):
        connection.execute(sa.text(question))


def test_a_table_missing_for_a_rule_is_no_outage(connection: sa.Connection) -> None:
    with (
        pytest.raises((exc.ProgrammingError, exc.OperationalError)),
        translate_errors("tahrir", foreign=True),
    ):
        connection.execute(sa.text("SELECT 1 FROM nowhere"))


def test_a_conflict_with_another_process_is_retried() -> None:
    tries: list[int] = []

    def third_time_lucky() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise exc.IntegrityError("INSERT", {}, Exception("duplicate key"))
        return "done"

    assert retry_races(third_time_lucky) == "done"
    assert len(tries) == 3


def test_an_error_that_repeats_is_raised() -> None:
    def never() -> None:
        raise exc.ProgrammingError("SELECT", {}, Exception("no such table"))

    with pytest.raises(exc.ProgrammingError):
        retry_races(never)
