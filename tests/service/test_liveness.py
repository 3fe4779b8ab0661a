"""Whether the daemon hangs: only if a restart helps, and not only if a thread is alive."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builders import make_message, make_settings
from support.bus import fedmsg_body, free_ports
from support.databases import sqlite_databases
from support.publisher import FakePublisher
from support.rules import counting_rule, write_rules
from support.service_manager import ServiceManager, service_manager
from support.waiting import eventually

from fedbadges.service.daemon import Daemon
from fedbadges.service.liveness import AwardRate, Liveness
from fedbadges.service.systemd import Systemd

RULES = {"first": counting_rule("First Step", "logger.first", 1)}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Checked:
    """The liveness of a daemon that runs, checked when the test says so."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.clock = Clock()
        self.liveness = Liveness(daemon._parts, 3.0, Systemd({}), self.clock)

    def after(self, seconds: float) -> str | None:
        """Return why it hangs after so many seconds, in which it was checked again and again."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now += 5
            self.liveness.check()
        return self.liveness.reason


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[ServiceManager]:
    with service_manager(tmp_path, watchdog=0.3) as manager:
        yield manager


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    write_rules(tmp_path / "rules", RULES)
    settings = make_settings(
        sqlite_databases(tmp_path),
        tmp_path / "rules",
        record_messages=True,
        state_directory=str(tmp_path / "state"),
    )
    made = Daemon(settings, FakePublisher())
    yield made
    made.stop()


@pytest.fixture
def checked(daemon: Daemon) -> Checked:
    daemon.start()
    return Checked(daemon)


def test_systemd_is_told_what_the_daemon_does(systemd: ServiceManager, daemon: Daemon) -> None:
    daemon.start()
    systemd.wait_for("READY=1")
    systemd.wait_for("STATUS=caught up, 0 awards in the last hour")
    daemon.handle_acknowledged(fedmsg_body("logger.first", {}, "alice"))
    systemd.wait_for("STATUS=caught up, 1 awards in the last hour")
    daemon.stop()
    assert systemd.told().count("STOPPING=1") == 1


def test_systemd_does_not_wait_for_a_database(systemd: ServiceManager, tmp_path: Path) -> None:
    write_rules(tmp_path / "rules", RULES)
    databases = sqlite_databases(tmp_path)
    closed = f"postgresql://badges:sesame@127.0.0.1:{free_ports(1)[0]}/tahrir"
    settings = make_settings(
        type(databases)("postgresql", closed, databases.datanommer_url), tmp_path / "rules"
    )
    daemon = Daemon(settings, FakePublisher())
    daemon.start()
    systemd.wait_for("READY=1")
    systemd.wait_for("WATCHDOG=1")
    eventually(
        lambda: any(line.startswith("STATUS=waiting for tahrir") for line in systemd.told()),
        "the outage",
    )
    daemon.stop()
    assert not any("sesame" in line for line in systemd.told())


def test_idle_daemon_does_not_hang(checked: Checked) -> None:
    assert checked.after(3600) is None


def test_daemon_whose_main_loop_stands_still_hangs(checked: Checked) -> None:
    checked.liveness.beat()
    assert checked.after(60) is None
    assert checked.after(10) == "the bus's main loop does not run"
    checked.liveness.beat()
    assert checked.after(5) is None


def test_daemon_that_handles_nothing_hangs(checked: Checked) -> None:
    message = make_message("logger.first")
    checked.daemon._parts.in_flight.begin(message)
    assert checked.after(1800) is None
    assert checked.after(10) == "no message is handled, though some wait"
    checked.daemon._parts.in_flight.done(message)
    assert checked.after(5) is None


def test_daemon_that_waits_for_a_database_does_not_hang(checked: Checked, tmp_path: Path) -> None:
    checked.liveness.beat()
    parts = checked.daemon._parts
    parts.in_flight.begin(make_message("logger.first"))
    parts.health._checks = {"tahrir": lambda: 1 / 0}
    assert checked.after(3600) is None


def test_pause_of_the_whole_process_is_no_hanging(checked: Checked) -> None:
    checked.liveness.beat()
    checked.daemon._parts.in_flight.begin(make_message("logger.first"))
    checked.clock.now += 7200
    assert checked.after(5) is None


def test_awards_of_the_last_hour_are_counted() -> None:
    rate = AwardRate()
    assert rate.update(0, 0) == 0
    assert [rate.update(60.0 * minute, minute) for minute in (1, 30, 60, 90)] == [1, 30, 60, 60]
    assert rate.update(60.0 * 1000, 90) == 0
