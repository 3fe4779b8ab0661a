"""Statements that PostgreSQL plans once a connection."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.builders import make_message, make_settings
from support.databases import Databases
from support.optimisations import needs

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of
from fedbadges.history.history import History
from fedbadges.tahrir.database import Tahrir

NAMES = sa.table("names", sa.column("name", sa.String), sa.column("number", sa.Integer))
WANTED = PreparedStatement(
    sa.select(NAMES.c.name).where(is_any_of(NAMES.c.name, array_parameter("wanted")))
)
NUMBERED = PreparedStatement(
    sa.select(NAMES.c.name).where(is_any_of(NAMES.c.number, array_parameter("wanted")))
)
HOSTILE = "'; DROP TABLE names; --:wanted%(wanted)s"


@pytest.fixture
def names(database: Databases) -> Iterator[sa.Connection]:
    """A connection for questions to a database with a few names in it."""
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("CREATE TABLE names (name TEXT, number INTEGER)"))
        rows = [("ann", 1), ("bob", 2), ("{a,b}", 3), (HOSTILE, 4), ("ä\\", 5)]
        for name, number in rows:
            connection.execute(NAMES.insert().values(name=name, number=number))
    with reader(database.datanommer_url).connect() as connection:
        yield connection


@pytest.mark.parametrize(
    "wanted",
    [[], ["ann"], ["ann", "bob"], ["nobody"], ["{a,b}"], [HOSTILE], ["ä\\", "bob"]],
)
def test_a_list_of_any_length_is_one_parameter(names: sa.Connection, wanted: list[str]) -> None:
    for _ in range(2):
        found = WANTED.execute(names, {"wanted": wanted}).scalars().all()
        assert sorted(found) == sorted(set(wanted) - {"nobody"})


def test_a_list_may_have_numbers(names: sa.Connection) -> None:
    assert set(NUMBERED.execute(names, {"wanted": [1, 4, 99]}).scalars()) == {"ann", HOSTILE}


def test_sqlite_uses_an_index_for_a_list(tmp_path: Path) -> None:
    with engine(f"sqlite:///{tmp_path}/names.db").connect() as connection:
        connection.execute(sa.text("CREATE TABLE names (name TEXT PRIMARY KEY, number INTEGER)"))
        asked = str(WANTED.statement.compile(connection)).replace("?", "'[]'")
        plan = connection.execute(sa.text(f"EXPLAIN QUERY PLAN {asked}")).all()

    assert any("SEARCH names USING" in row.detail for row in plan)


def plans(connection: sa.Connection) -> list[str]:
    """Returns the statements that PostgreSQL has planned for a connection."""
    found = connection.execute(sa.text("SELECT statement FROM pg_prepared_statements"))
    return [row.statement for row in found]


@pytest.fixture
def history_settings(postgresql_database: Databases, tmp_path: Path) -> Settings:
    """The settings of a deployment with an empty history, on PostgreSQL."""
    return make_settings(postgresql_database, tmp_path)


@needs("prepare_statements")
def test_a_repeated_statement_is_prepared_once(history_settings: Settings) -> None:
    history = History(history_settings)
    for number in range(10):
        history.positions([make_message(msg_id=f"message {number}")])

    with reader(history_settings.history_url).connect() as connection:
        assert len([plan for plan in plans(connection) if "msg_id" in plan]) == 1


def test_statements_are_not_prepared_if_the_setting_is_false(history_settings: Settings) -> None:
    settings = replace(history_settings, prepare_statements=False)
    History(settings).positions([make_message()])

    with reader(settings.history_url, prepare=False).connect() as connection:
        assert plans(connection) == []


@needs("prepare_statements")
def test_answers_are_right_behind_a_connection_pooler(
    history_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(history_settings)
    message = make_message("git.receive")
    history.record(message, [], [])
    assert list(history.positions([message])) == [message]

    with reader(history_settings.history_url).connect() as connection:
        connection.execute(sa.text("DEALLOCATE ALL"))
    for _ in range(3):
        assert list(history.positions([message])) == [message]

    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "'badges.prepare_statements': False" in warnings[0].getMessage()


def test_a_pooled_connection_is_not_configured_where_statements_are_not_prepared(
    postgresql_database: Databases, tmp_path: Path
) -> None:
    """A pooler would hand the setting on to others."""
    settings = make_settings(postgresql_database, tmp_path, prepare_statements=False)
    own_tables = Tahrir(settings).own_tables
    assert own_tables.may_lock_badges

    with own_tables.reader.connect() as connection:
        assert connection.scalar(sa.text("SHOW plan_cache_mode")) == "auto"
