"""Fixtures for the tests of tahrir, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session
from support.builders import make_settings, wipe
from support.databases import Databases
from support.tahrir import EDITOR, TAGGER
from tahrir_api.dbapi import TahrirDatabase

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.tahrir.database import Tahrir


@pytest.fixture
def settings(shared_database: Databases, tmp_path: Path) -> Settings:
    wipe(shared_database)
    return make_settings(shared_database, tmp_path)


@pytest.fixture
def tahrir(settings: Settings) -> Tahrir:
    """With two badges, Editor and Tagger, and as the daemon has it after its start."""
    made = Tahrir(settings)
    made.own_tables.check()
    assert made.own_tables.may_lock_badges
    made.publish_badges([EDITOR, TAGGER])
    return made


@pytest.fixture
def api(settings: Settings) -> Iterator[TahrirDatabase]:
    """What the web site works with."""
    with Session(engine(settings.tahrir_url)) as session:
        yield TahrirDatabase(session=session)
