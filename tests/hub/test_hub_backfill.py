"""A backfill that is killed half-way is completed by another, and its notices come all the same."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.builders import make_settings
from support.bus import Bus
from support.daemon_restarts import FIRST
from support.databases import Databases, awards
from support.deployment import make_hub, start, started
from support.histories import PastMessage, Storage
from support.waiting import TIMEOUT, eventually

from fedbadges.databases.connections import engine

#: So many are awarded in the first transaction.
BATCH = 500
PEOPLE = {f"person{number:03}" for number in range(BATCH + 100)}

# The second transaction waits while somebody else has this lock.
HANGING = """
CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM assertions) >= 500 THEN
        PERFORM pg_advisory_xact_lock_shared(1);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER hanging BEFORE INSERT ON assertions FOR EACH ROW EXECUTE FUNCTION hang();
"""


def number_of(databases: Databases, query: str) -> int:
    with engine(databases.tahrir_url).connect() as connection:
        return int(connection.scalar(sa.text(f"SELECT count(*) FROM {query}")) or 0)  # noqa: S608


def locks(databases: Databases) -> int:
    """Return how many transactions have the lock or wait for it."""
    return number_of(databases, "pg_locks WHERE locktype = 'advisory'")


def backfill(directory: Path) -> "subprocess.Popen[str]":
    command = Path(sys.executable).with_name("fedbadges")
    return subprocess.Popen(
        [command, "backfill", "--award", "--format", "json", "first"],
        cwd=directory,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_backfill_after_a_killed_one_gives_exactly_the_rest_and_no_notice_is_lost(
    postgresql_database: Databases, tmp_path: Path
) -> None:
    databases = postgresql_database
    began = datetime(2024, 1, 1)
    Storage(make_settings(databases, tmp_path)).store(
        PastMessage(
            number,
            began + timedelta(minutes=number),
            "org.fedoraproject.dev.logger.first",
            {"user": name},
            (name,),
        )
        for number, name in enumerate(sorted(PEOPLE), 1)
    )
    with engine(databases.tahrir_url).begin() as connection:
        connection.execute(sa.text(HANGING))
    bus = Bus()
    hub = make_hub(
        tmp_path / "hub",
        databases,
        bus,
        {"first": FIRST},
        {"badges.record_messages": False, "badges.state_directory": str(tmp_path / "state")},
    )
    started.append(hub)
    try:
        with engine(databases.tahrir_url).begin() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(1)"))
            killed = backfill(tmp_path / "hub")
            eventually(lambda: locks(databases) > 1, "the second transaction")
            killed.kill()
            killed.wait()
        eventually(lambda: not locks(databases), "the end of the second transaction")
        before = {name for name, _ in awards(databases)}
        assert len(before) == BATCH

        again = backfill(tmp_path / "hub")
        output, _ = again.communicate(timeout=TIMEOUT)

        assert again.returncode == 0
        given = json.loads(output)["awards"]
        assert sorted(award["user"] for award in given) == sorted(PEOPLE - before)
        assert awards(databases) == [(name, "first") for name in sorted(PEOPLE)]

        def announced() -> dict[str, set[str]]:
            ids: dict[str, set[str]] = {}
            for message in bus.heard("fedbadges.badge.award"):
                ids.setdefault(message["msg"]["user"]["username"], set()).add(message["msg_id"])
            return ids

        start(bus, hub)
        eventually(lambda: announced().keys() == PEOPLE, "the notices of both")
        eventually(lambda: not number_of(databases, "fedbadges_outbox"), "an empty outbox")
        assert {len(ids) for ids in announced().values()} == {1}
        assert number_of(databases, "persons WHERE rank IS NULL") == 0
        assert hub.stop() == 0
    finally:
        hub.kill()
        bus.close()
