"""The tables that fedbadges adds to tahrir's database."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alembic.command
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable
from support.databases import Databases
from tahrir_api.utils import get_db_manager_from_uri

from fedbadges.databases.connections import engine
from fedbadges.tahrir.own_tables import OUTBOX, OWN, REVOCATIONS, OwnTables, create_own_tables
from fedbadges.tahrir.schema import create_tahrir

PAGE = Path(__file__).parents[2] / "docs/operations.rst"
EVENT = "Tables of fedbadges are missing from tahrir's database"


def documented(kind: str) -> list[str]:
    """Return the statements that the documentation shows for a kind of database."""
    (block,) = re.findall(rf"^ +-- {kind}\n((?:    .*\n)+)", PAGE.read_text(), re.M)
    return [" ".join(statement.split()) for statement in block.split(";") if statement.strip()]


@pytest.mark.parametrize(("kind", "dialect"), [("PostgreSQL", postgresql), ("SQLite", sqlite)])
def test_documented_statements_create_the_tables_as_the_daemon_does(
    kind: str, dialect: Any
) -> None:
    made = [
        str(CreateTable(table, if_not_exists=True).compile(dialect=dialect.dialect()))
        for table in OWN.sorted_tables
    ]

    assert documented(kind) == [" ".join(statement.split()) for statement in made]


def test_tables_are_created_with_tahrir(empty_database: Databases) -> None:
    create_tahrir(empty_database.tahrir_url)
    create_tahrir(empty_database.tahrir_url)

    tables = OwnTables(empty_database.tahrir_url)
    assert tables.has(OUTBOX)
    assert tables.has(REVOCATIONS)


def test_tahrir_migrates_a_database_with_these_tables(empty_database: Databases) -> None:
    url = engine(empty_database.tahrir_url).url.render_as_string(hide_password=False)
    manager = get_db_manager_from_uri(url)
    manager.sync()
    OWN.create_all(engine(empty_database.tahrir_url))
    newest = manager.get_latest_revision()
    alembic.command.downgrade(manager.alembic_cfg, "-1")
    assert manager.get_current_revision() != newest

    manager.sync()

    assert manager.get_current_revision() == newest
    assert OwnTables(empty_database.tahrir_url).has(OUTBOX)


def test_missing_tables_are_one_warning_that_says_what_is_lost(
    database: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    OWN.drop_all(engine(database.tahrir_url))

    with caplog.at_level(logging.WARNING):
        OwnTables(database.tahrir_url).check()

    (record,) = caplog.records
    text = record.getMessage()
    assert text.startswith(EVENT)
    assert "fedbadges_outbox" in text
    assert "notices of awards are lost" in text
    assert "create_tables" in text


def test_one_missing_table_is_named_alone(
    database: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    REVOCATIONS.drop(engine(database.tahrir_url))

    OwnTables(database.tahrir_url).check()

    assert "fedbadges_outbox" not in caplog.text
    assert "fedbadges_revocations" in caplog.text


def test_table_that_lacks_a_column_counts_as_missing(
    database: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    with engine(database.tahrir_url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE fedbadges_revocations DROP COLUMN last_number"))

    tables = OwnTables(database.tahrir_url)
    tables.check()

    assert tables.has(OUTBOX)
    assert not tables.has(REVOCATIONS)
    assert "fedbadges_revocations" in caplog.text


def test_nothing_is_logged_where_the_tables_are_there(
    database: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    OwnTables(database.tahrir_url).check()

    assert not caplog.records


@pytest.fixture
def other_user(postgresql_database: Databases) -> Iterator[sa.URL]:
    """Return tahrir's URL for a user without any rights there."""
    url = engine(postgresql_database.tahrir_url).url
    name = f"other_of_{url.database}"
    execute(url, f"CREATE ROLE {name} LOGIN")
    yield url.set(username=name)
    engine(url.set(username=name)).dispose()
    execute(url, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def execute(url: sa.URL, *statements: str) -> None:
    with engine(url).begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def test_table_without_the_rights_to_use_it_counts_as_missing(
    postgresql_database: Databases, other_user: sa.URL
) -> None:
    owner = engine(postgresql_database.tahrir_url).url
    for name in ("fedbadges_outbox", "fedbadges_revocations"):
        execute(owner, f"GRANT SELECT ON {name} TO {other_user.username}")

    tables = OwnTables(other_user)

    assert not tables.has(OUTBOX)
    assert tables.has(REVOCATIONS)


def test_user_who_may_not_create_tables_goes_on_without_them(
    postgresql_database: Databases, other_user: sa.URL
) -> None:
    OWN.drop_all(engine(postgresql_database.tahrir_url))

    create_own_tables(engine(other_user))

    assert not OwnTables(other_user).has(OUTBOX)
