"""What was missed is not caught up before its notices can be heard."""

import threading
from collections.abc import Iterator
from pathlib import Path

import fedmsg.config
import pytest
from support.builders import make_config
from support.daemon_restarts import FIRST, sent
from support.databases import Databases, badges, store_message
from support.rules import write_rules
from support.waiting import TIMEOUT, eventually

from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.config.settings import read_settings
from fedbadges.service.daemon import Daemon


class SlowPublisher(Publisher):
    """A publisher whose listeners need time to connect."""

    def __init__(self, config: dict) -> None:
        super().__init__(config)
        self.heard = threading.Event()

    def wait_until_ready(self, timeout: float) -> bool:
        return self.heard.wait(TIMEOUT)

    def stop(self, timeout: float = 5.0) -> bool:
        self.heard.set()
        return super().stop(timeout)


@pytest.fixture
def publisher() -> SlowPublisher:
    return SlowPublisher(fedmsg.config.defaults | {"endpoints": {}, "post_init_sleep": 0.0})


@pytest.fixture
def daemon(
    sqlite_database: Databases, tmp_path: Path, publisher: SlowPublisher
) -> Iterator[Daemon]:
    write_rules(tmp_path / "rules", {"first": FIRST})
    config = fedmsg.config.defaults | make_config(sqlite_database, tmp_path / "rules")
    config |= {"endpoints": {}, "badges.reload": False, "badges.sweep_interval": 0.05}
    config |= {"badges.state_directory": str(tmp_path / "state")}
    settings, _ = read_settings(config)
    made = Daemon(settings, publisher)
    yield made
    made.stop()


def test_message_of_the_bus_does_not_wait_but_what_was_missed_does(
    daemon: Daemon, publisher: SlowPublisher, sqlite_database: Databases
) -> None:
    missed, heard = (sent(name) for name in ("alice", "bob"))
    for message, name in ((missed, "alice"), (heard, "bob")):
        store_message(sqlite_database, message, [name])
    daemon.start()

    daemon.handle(heard)
    eventually(lambda: badges(sqlite_database, "bob"), "the badge for what the bus delivered")
    assert badges(sqlite_database, "alice") == {}
    assert daemon.report()["catch_up"]["trouble"] is None
    publisher.heard.set()

    eventually(lambda: badges(sqlite_database, "alice"), "the badge for what was missed")


def test_daemon_stops_before_listeners_had_time(
    daemon: Daemon, publisher: SlowPublisher, sqlite_database: Databases
) -> None:
    store_message(sqlite_database, sent("alice"), ["alice"])
    daemon.start()

    daemon.stop()

    assert badges(sqlite_database, "alice") == {}
