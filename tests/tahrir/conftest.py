"""Fixtures for the tests of tahrir, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from support.builders import make_settings, wipe
from support.databases import Databases, create_schemas
from support.tahrir import EDITOR, TAGGER
from tahrir_api.dbapi import TahrirDatabase

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.tahrir.database import Tahrir


@pytest.fixture(scope="module")
def tables(shared_database: Databases) -> Databases:
    create_schemas(shared_database)
    return shared_database


@pytest.fixture
def settings(tables: Databases, tmp_path: Path) -> Settings:
    wipe(tables)
    return make_settings(tables, tmp_path)


@pytest.fixture
def tahrir(settings: Settings) -> Tahrir:
    """With two badges, Editor and Tagger."""
    made = Tahrir(settings)
    made.publish_badges([EDITOR, TAGGER])
    return made


@pytest.fixture
def api(settings: Settings) -> Iterator[TahrirDatabase]:
    """What the web site works with."""
    with Session(engine(settings.tahrir_url)) as session:
        yield TahrirDatabase(session=session)
