"""No notice is lost, and no badge for notices is missed, however the daemon ends."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.bus import Bus, fedmsg_body
from support.databases import Databases, awards, store_message
from support.deployment import make_hub, start, started
from support.hub import STOP_TIMEOUT, Hub
from support.rules import rule
from support.waiting import eventually

from fedbadges.databases.connections import engine

PEOPLE = {f"person{number:02}" for number in range(100)}

RULES = {
    "first": rule(
        "First",
        """
trigger: {topic: logger.first}
criteria:
  datanommer:
    filter: {topics: ["%(topic)s"]}
    operation: count
    condition: {greater than or equal to: 1}
recipient: "%(msg.user)s"
""",
    ),
    "chained": rule(
        "Chained",
        """
trigger:
  all:
    - topic: fedbadges.badge.award
    - lambda: msg['msg']['badge']['badge_id'] == 'first'
criteria:
  datanommer:
    filter: {topics: ["%(topic)s"], contains: ["%(msg.user.username)s"]}
    operation: count
    condition: {greater than or equal to: 1}
recipient: "%(msg.user.username)s"
""",
    ),
}


class Outcome:
    """What was awarded and announced; whenever it is looked at, new notices are stored."""

    def __init__(self, bus: Bus, databases: Databases) -> None:
        self._bus = bus
        self._databases = databases
        self._known: set[str] = set()

    def ids(self, badge: str) -> dict[str, set[str]]:
        """Return the ids of the notices of a badge, by person."""
        ids: dict[str, set[str]] = {}
        for message in self._bus.heard("fedbadges.badge.award"):
            if message["msg_id"] not in self._known:
                self._known.add(message["msg_id"])
                store_message(self._databases, message)
            if message["msg"]["badge"]["badge_id"] == badge:
                name = message["msg"]["user"]["username"]
                ids.setdefault(name, set()).add(message["msg_id"])
        return ids

    def announced(self, badge: str) -> bool:
        """Return True if each person's badge was announced."""
        return self.ids(badge).keys() == PEOPLE


@contextlib.contextmanager
def running(directory: Path, databases: Databases, **settings: object) -> Iterator[tuple[Bus, Hub]]:
    """Yield a bus, and a hub that is not started yet."""
    bus = Bus()
    others = {f"badges.{key}": value for key, value in settings.items()}
    mine: dict[str, object] = {
        "badges.record_messages": False,
        "badges.state_directory": str(directory / "state"),
        "badges.sweep_interval": 0.5,
        "badges.reload": False,
    }
    hub = make_hub(directory, databases, bus, RULES, mine | others)
    started.append(hub)
    try:
        yield bus, hub
    finally:
        hub.kill()
        bus.close()


def send(bus: Bus, databases: Databases) -> None:
    for name in sorted(PEOPLE):
        message = fedmsg_body("logger.first", {"user": name})
        store_message(databases, message)
        bus.send(message)


def kept(databases: Databases) -> int:
    """Return how many notices are in the outbox."""
    with engine(databases.tahrir_url).connect() as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM fedbadges_outbox")) or 0)


def end(hub: Hub, ending: str) -> None:
    if ending == "kill -9":
        hub.kill()
    elif ending == "second SIGTERM":
        hub.send_signal(signal.SIGTERM)
        with contextlib.suppress(ProcessLookupError):
            hub.send_signal(signal.SIGTERM)
        hub.exit_code()
    else:
        assert hub.stop() == 0


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["kill -9", "second SIGTERM", "stop"])
def test_all_notices_and_chained_badges_come_after_the_first_commit_and(
    ending: str, postgresql_database: Databases, tmp_path: Path
) -> None:
    databases = postgresql_database
    with running(tmp_path, databases) as (bus, hub):
        outcome = Outcome(bus, databases)
        start(bus, hub)
        send(bus, databases)
        eventually(lambda: awards(databases), "the first commit")
        end(hub, ending)
        eventually(lambda: not bus.hubs(), "the hub has left the bus")

        start(bus, hub)
        eventually(lambda: outcome.announced("first"), "100 notices")
        eventually(lambda: outcome.announced("chained"), "100 notices of chained badges")
        eventually(lambda: not kept(databases), "an empty outbox")

        assert len(awards(databases)) == 200
        for badge in ("first", "chained"):
            # What was published twice has the same id.
            assert {len(ids) for ids in outcome.ids(badge).values()} == {1}


@pytest.mark.slow
def test_notices_of_a_command_that_was_killed_are_published_by_the_daemon(
    postgresql_database: Databases, tmp_path: Path
) -> None:
    databases = postgresql_database
    table = tmp_path / "people.csv"
    table.write_text("user\n" + "".join(f"{name}\n" for name in sorted(PEOPLE)))
    with running(tmp_path / "hub", databases) as (bus, hub):
        outcome = Outcome(bus, databases)
        start(bus, hub)
        command = ("fedbadges", "award", "--from", str(table), "first", "--create", "--reason", "x")
        process = subprocess.Popen(
            [Path(sys.executable).with_name(command[0]), *command[1:]],
            cwd=tmp_path / "hub",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: awards(databases), "the first commit")
        process.kill()
        process.wait()

        eventually(lambda: outcome.announced("first"), "100 notices")
        eventually(lambda: outcome.announced("chained"), "100 notices of chained badges")
        eventually(lambda: not kept(databases), "an empty outbox")
        assert {len(ids) for ids in outcome.ids("first").values()} == {1}
        assert hub.stop() == 0


# Deleting from the outbox waits while somebody else has this lock.
HANGING = """
CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN OLD; END $$;
CREATE TRIGGER hanging BEFORE DELETE ON fedbadges_outbox FOR EACH ROW EXECUTE FUNCTION hang();
"""


def hanging(databases: Databases) -> int:
    """Return how many statements wait for the lock."""
    with engine(databases.tahrir_url).connect() as connection:
        found = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return int(connection.scalar(sa.text(found)) or 0)


@pytest.mark.slow
def test_stop_in_time_while_published_notices_cannot_be_deleted_publishes_them_once_more(
    postgresql_database: Databases, tmp_path: Path
) -> None:
    databases = postgresql_database
    with engine(databases.tahrir_url).begin() as connection:
        connection.execute(sa.text(HANGING))
    with running(tmp_path, databases) as (bus, hub):
        outcome = Outcome(bus, databases)
        with engine(databases.tahrir_url).begin() as connection:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(1)"))
            start(bus, hub)
            send(bus, databases)
            eventually(lambda: outcome.announced("first"), "100 notices")
            eventually(lambda: hanging(databases), "a delete that hangs")
            hub.send_signal(signal.SIGTERM)
            assert hub.exit_code(within=STOP_TIMEOUT) == 0
        assert len(hub.logged("WARNING", "Stopping without an answer")) == 1
        assert kept(databases) >= 100
        eventually(lambda: not bus.hubs(), "the hub has left the bus")
        heard = len(bus.messages())

        start(bus, hub)

        eventually(lambda: not kept(databases), "an empty outbox")
        eventually(lambda: outcome.announced("chained"), "100 notices of chained badges")
        assert len(bus.messages()) > heard
        for badge in ("first", "chained"):
            assert {len(ids) for ids in outcome.ids(badge).values()} == {1}
