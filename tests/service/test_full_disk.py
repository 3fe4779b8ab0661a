"""A disk that is full for a while costs nothing but time."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from support.daemon_restarts import (
    Start,
    after_first_pass,
    checkpoint,
    fail,
    held,
    sent,
    store_message,
)
from support.databases import KINDS, Databases, Postgresql, sqlite_databases
from support.disk import Disk, small_disk
from support.waiting import eventually

from fedbadges.databases.connections import engine
from fedbadges.errors import CannotStart
from fedbadges.service.state.lock import StateLock
from fedbadges.tahrir.schema import create_tahrir


@pytest.fixture
def tahrir_disk() -> Iterator[Disk]:
    # Where PostgreSQL, which runs as another user, finds it.
    with tempfile.TemporaryDirectory(prefix="fedbadges-") as directory:
        Path(directory).chmod(0o755)
        with small_disk(Path(directory, "disk")) as disk:
            yield disk


@pytest.fixture
def state_disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "state") as disk:
        yield disk


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """Both databases; what awards write is on a disk of its own, if the test has one."""
    mine = "tahrir_disk" in request.fixturenames
    disk = request.getfixturevalue("tahrir_disk") if mine else None
    if request.param == "sqlite":
        databases = sqlite_databases(tmp_path)
        if disk is not None:
            shutil.move(tmp_path / "tahrir.db", disk.path)
            databases = Databases(
                "sqlite", f"sqlite:///{disk.path}/tahrir.db", databases.datanommer_url
            )
        yield databases
    else:
        yield from on_postgresql(request.getfixturevalue("postgresql"), disk)


def on_postgresql(server: Postgresql, disk: Disk | None) -> Iterator[Databases]:
    databases = server.create_databases()
    if disk is None:
        yield databases
        server.drop_databases(databases)
        return
    place = disk.path / "space"
    place.mkdir()
    owner = (server._directory / "data").stat()
    os.chown(place, owner.st_uid, owner.st_gid)
    server._execute(f"CREATE TABLESPACE small LOCATION '{place}'")
    # One that no other test uses again.
    tahrir_url = server.create_database()
    create_tahrir(tahrir_url)
    engine(tahrir_url).dispose()
    for table in ("assertions", "fedbadges_outbox"):
        execute(tahrir_url, f"ALTER TABLE {table} SET TABLESPACE small")
    yield Databases("postgresql", tahrir_url, databases.datanommer_url)
    server.drop_database(tahrir_url)
    server._execute("DROP TABLESPACE small")
    server.drop_databases(databases)


def execute(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute(statement)


def fill(database: Databases, disk: Disk) -> None:
    """Fill the disk, and leave no room in files either."""
    if database.kind == "sqlite":
        engine(database.tahrir_url).dispose()
        path = sa.make_url(database.tahrir_url).database
        with closing(sqlite3.connect(str(path))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            disk.fill()
    else:
        disk.fill()


def kept(database: Databases) -> list[Any]:
    with engine(database.tahrir_url).connect() as connection:
        return list(connection.scalars(sa.text("SELECT topic FROM fedbadges_outbox")))


def lines(log: pytest.LogCaptureFixture, event: str) -> list[str]:
    return [line for line in log.messages if line.startswith(event)]


def test_awards_and_their_notices_wait_until_tahrir_has_room(
    start: Start, database: Databases, tahrir_disk: Disk, log: pytest.LogCaptureFixture
) -> None:
    daemon = after_first_pass(start())
    fill(database, tahrir_disk)
    for name in ("alice", "bob"):
        store_message(database, sent(name))
    (waiting,) = eventually(lambda: lines(log, "Waiting for an outage"), "an outage")
    assert "full" in waiting or "No space left" in waiting
    assert "No space left" in str(daemon.report()) or "full" in str(daemon.report())
    assert held(database, "alice", "bob") == [False, False]

    tahrir_disk.make_room()

    eventually(lambda: held(database, "alice", "bob") == [True, True], "the badges")
    eventually(lambda: lines(log, "The outage has ended"), "the end")
    assert kept(database).count("badge.award") == 2
    assert len(lines(log, "Waiting for an outage")) == 1
    assert not [record for record in log.records if record.levelname == "ERROR"]


def test_daemon_that_stops_while_tahrir_has_no_room_leaves_the_message_to_the_next(
    start: Start, database: Databases, tahrir_disk: Disk, log: pytest.LogCaptureFixture
) -> None:
    daemon = after_first_pass(start())
    fill(database, tahrir_disk)
    store_message(database, sent("alice"))
    eventually(lambda: lines(log, "Waiting for an outage"), "an outage")

    daemon.stop()
    tahrir_disk.make_room()
    start()

    eventually(lambda: held(database, "alice") == [True], "the badge")
    assert kept(database).count("badge.award") == 1


@pytest.mark.sqlite
def test_checkpoint_moves_on_when_the_state_directory_has_room_again(
    start: Start,
    database: Databases,
    tmp_path: Path,
    state_disk: Disk,
    log: pytest.LogCaptureFixture,
) -> None:
    after_first_pass(start())
    before = eventually(lambda: checkpoint(tmp_path), "a checkpoint")
    state_disk.fill()
    store_message(database, sent("alice"))
    eventually(lambda: held(database, "alice") == [True], "the badge")
    eventually(lambda: lines(log, "Cannot write a file"), "a line")
    assert (checkpoint(tmp_path) or 0) >= before, "the one before is whole"
    full = checkpoint(tmp_path)
    assert full is not None

    state_disk.make_room()

    eventually(lambda: (checkpoint(tmp_path) or 0) > full, "a later checkpoint")
    assert len(lines(log, "Cannot write a file")) == 1
    assert not list((tmp_path / "state").glob(".*.new")), "no part of a file"


@pytest.mark.sqlite
def test_message_that_cannot_be_set_aside_on_a_full_disk_is_left_to_the_next_start(
    start: Start,
    database: Databases,
    tmp_path: Path,
    state_disk: Disk,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemon = after_first_pass(start(keep_counts_distance=0))
    message = sent("alice")
    store_message(database, message)
    state_disk.fill()
    with monkeypatch.context() as broken:
        broken.setattr("fedbadges.tahrir.database.Tahrir.award", fail)
        daemon.handle(message)
    assert not list((tmp_path / "state" / "failed").glob("*"))
    assert len(lines(log, "Cannot write a file")) <= 2, "once for each directory"

    state_disk.make_room()
    daemon.stop()
    assert (checkpoint(tmp_path) or 0) <= message["timestamp"] + 0.001
    start(keep_counts_distance=0)

    eventually(lambda: held(database, "alice") == [True], "the badge")


@pytest.mark.sqlite
def test_full_disk_locks_out_a_second_daemon_and_lets_the_first_start(
    start: Start, database: Databases, tmp_path: Path, state_disk: Disk
) -> None:
    state_disk.fill()
    first = after_first_pass(start())
    store_message(database, sent("alice"))
    eventually(lambda: held(database, "alice") == [True], "the badge")

    with pytest.raises(CannotStart, match="another daemon"):
        StateLock(tmp_path / "state").acquire()

    assert first.report()["state"] == "running"
