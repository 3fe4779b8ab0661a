"""Tahrir's schema is compared with what tahrir-api needs, and migrated as a whole or not at all."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from support.databases import Databases
from tahrir_api.utils import get_db_manager_from_uri

from fedbadges.databases.connections import engine
from fedbadges.errors import DatabaseUnusable
from fedbadges.tahrir.schema import check_tahrir, create_tahrir, read_schema

#: Made by tahrir-api 1.4.3.
OLD = Path(__file__).with_name("tahrir-api-1.4.3.sql").read_text()

#: As the migrations of tahrir-api expect, and tahrir-api before 1.0 left to PostgreSQL.
UNNAMED = re.sub(r"CONSTRAINT \w+ ", "", OLD)

PERSON = "INSERT INTO persons (id, email, created_on, opt_out) VALUES (1, 'a@b', '2026-01-01', '0')"


def execute(databases: Databases, text: str) -> None:
    if databases.tahrir_url.startswith("sqlite"):
        text = text.replace("SERIAL", "INTEGER").replace(" WITHOUT TIME ZONE", "")
    with engine(databases.tahrir_url).begin() as connection:
        for statement in filter(str.strip, text.split(";")):
            connection.execute(sa.text(statement))


def columns(databases: Databases) -> dict[str, list[Any]]:
    found = sa.inspect(engine(databases.tahrir_url)).get_multi_columns()
    return {name: [each["name"] for each in columns] for (_, name), columns in found.items()}


def manager(databases: Databases) -> Any:
    return get_db_manager_from_uri(
        engine(databases.tahrir_url).url.render_as_string(hide_password=False)
    )


def test_database_without_tables_is_told_what_makes_them(empty_database: Databases) -> None:
    with pytest.raises(DatabaseUnusable, match=r"no tables of tahrir; .*create_tables': True"):
        check_tahrir(empty_database.tahrir_url)


def test_older_schema_is_named_with_what_it_lacks_and_what_to_do(
    empty_database: Databases,
) -> None:
    execute(empty_database, OLD)

    with pytest.raises(DatabaseUnusable) as caught:
        check_tahrir(empty_database.tahrir_url)

    text = str(caught.value)
    assert text.startswith(
        "tahrir: the schema is that of tahrir-api 1.3 or 1.4 (revision 51261da641fb), and"
    )
    assert "badge_tags, badges.legacy, badges.rarity_id" in text
    assert "run the migrations of tahrir-api, after a backup" in text
    assert "\n" not in text


def test_current_schema_is_not_mentioned(
    database: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fedbadges")

    check_tahrir(database.tahrir_url)

    assert caplog.messages == []


def test_older_schema_that_has_everything_is_used_and_named(
    empty_database: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    made = manager(empty_database)
    made.sync()
    command.downgrade(made.alembic_cfg, "-1")
    caplog.set_level(logging.INFO, "fedbadges")

    check_tahrir(empty_database.tahrir_url)

    (line,) = caplog.messages
    assert line.startswith("Using a schema of tahrir that another tahrir-api made made_by=")
    assert line.endswith("newest=034fa28d186e")

    create_tahrir(empty_database.tahrir_url)

    assert read_schema(engine(empty_database.tahrir_url)).revision == "034fa28d186e"


def test_what_cannot_be_migrated_is_left_as_it_is(empty_database: Databases) -> None:
    execute(empty_database, OLD + PERSON)
    before = columns(empty_database)

    with pytest.raises(DatabaseUnusable, match=r"left as it is.*make a backup") as caught:
        create_tahrir(empty_database.tahrir_url)

    assert "\n" not in str(caught.value)
    assert columns(empty_database) == before
    assert read_schema(engine(empty_database.tahrir_url)).revision == "51261da641fb"


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)
def test_schema_of_older_releases_is_migrated(
    empty_database: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fedbadges")
    execute(empty_database, UNNAMED + PERSON)

    create_tahrir(empty_database.tahrir_url)
    check_tahrir(empty_database.tahrir_url)

    assert caplog.messages == [
        'Migrated the schema of tahrir made_by="tahrir-api 1.3 or 1.4 (revision 51261da641fb)"'
    ]
    with engine(empty_database.tahrir_url).connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM persons")) == 1


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)
def test_documented_statement_makes_a_database_one_that_can_be_migrated(
    empty_database: Databases,
) -> None:
    page = Path(__file__).parents[2] / "docs/tahrir.rst"
    (statement,) = re.findall(r"sql\n\n( +ALTER(?: .*\n)+)", page.read_text())
    execute(empty_database, OLD)
    execute(empty_database, statement)

    create_tahrir(empty_database.tahrir_url)

    check_tahrir(empty_database.tahrir_url)


@pytest.mark.parametrize("revision", ["DELETE FROM alembic_version", "DROP TABLE alembic_version"])
def test_tables_without_a_revision_are_not_stamped_as_the_newest(
    empty_database: Databases, revision: str
) -> None:
    execute(empty_database, OLD + revision)

    with pytest.raises(DatabaseUnusable, match="an unknown tahrir-api"):
        create_tahrir(empty_database.tahrir_url)

    assert "tags" not in columns(empty_database)


def test_schema_of_an_unknown_release_that_has_everything_is_used(database: Databases) -> None:
    execute(database, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    try:
        create_tahrir(database.tahrir_url)
        check_tahrir(database.tahrir_url)
    finally:
        execute(database, "UPDATE alembic_version SET version_num = '034fa28d186e'")


def test_schema_of_an_unknown_release_that_lacks_something_is_refused(
    empty_database: Databases,
) -> None:
    execute(empty_database, OLD)
    execute(empty_database, "UPDATE alembic_version SET version_num = 'ffffffffffff'")

    with pytest.raises(DatabaseUnusable, match=r"another tahrir-api \(revision ffffffffffff\)"):
        create_tahrir(empty_database.tahrir_url)
