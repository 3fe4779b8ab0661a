"""``fedbadges status`` over HTTP, as a Nagios plugin: thresholds and performance data."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_settings
from support.bus import free_ports
from support.command import fedbadges
from support.databases import sqlite_databases
from support.monitoring import REPORT
from support.publisher import FakePublisher
from support.rules import counting_rule, write_rules
from support.waiting import eventually
from support.web import Answer, Server

from fedbadges.service.daemon import Daemon

RULES = {"first": counting_rule("First Step", "logger.first", 1)}


class Daemons(Server):
    """What answers as a daemon does, with a report that the test decides."""

    def __init__(self) -> None:
        super().__init__(lambda path, query: Answer(404))
        self.say()

    @property
    def address(self) -> str:
        return self.url.removeprefix("http://")

    def say(self, **values: Any) -> None:
        self.instead = Answer(200, json.dumps(copy.deepcopy(REPORT) | values).encode())


@pytest.fixture
def daemon() -> Iterator[Daemons]:
    made = Daemons()
    yield made
    made.stop()


@pytest.mark.parametrize("unix", [False, True])
def test_status_of_a_real_daemon(tmp_path: Path, unix: bool) -> None:
    where = str(tmp_path / "metrics.sock") if unix else f"127.0.0.1:{free_ports(1)[0]}"
    write_rules(tmp_path / "rules", RULES)
    settings = make_settings(
        sqlite_databases(tmp_path), tmp_path / "rules", **{"metrics.address": where}
    )
    (tmp_path / "config.py").write_text(
        f"config = {{'endpoints': {{}}, 'badges.metrics.address': {where!r}}}\n"
    )
    daemon = Daemon(settings, FakePublisher())
    daemon.start()
    try:
        eventually(lambda: daemon.report()["catch_up"]["until"] is not None, "catching up")
        done = fedbadges("status", "--config", tmp_path / "config.py", "--max-lag", "60")
    finally:
        daemon.stop()

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("all is well\n\nrunning  ")


def test_last_line_has_the_performance_data(daemon: Daemons) -> None:
    daemon.say(set_aside=None)

    done = fedbadges("status", "--http", daemon.address, "--max-lag", "900")

    assert done.stdout.splitlines()[-1] == (
        "performance | lag=4.0s;;900 handled=18231c awarded=2c in_flight=1 delayed=1 backlog=0 "
        "dead_letters=U"
    )


def test_only_the_performance_data_follows_a_bar(daemon: Daemons) -> None:
    daemon.say(
        catch_up=REPORT["catch_up"] | {"trouble": "a|b"},
        last_award=REPORT["last_award"] | {"user": "a|b"},
    )

    done = fedbadges("status", "--http", daemon.address)

    assert done.exit_code == 1
    assert [line.count("|") for line in done.stdout.splitlines() if "|" in line] == [1]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({}, 0),
        ({"lag": 900.0}, 0),
        ({"lag": 901.0}, 2),
        ({"lag": None}, 0),
        ({"set_aside": 1}, 1),
        ({"databases": {"tahrir": "away", "datanommer": None}}, 2),
        ({"waiting_for": {"reason": "tahrir: away", "since": 1764000000.0}}, 2),
        ({"state": "cannot start"}, 2),
    ],
)
def test_exit_codes(daemon: Daemons, values: dict[str, Any], code: int) -> None:
    daemon.say(**values)

    done = fedbadges("status", "--http", daemon.address, "--max-lag", "900")

    assert done.exit_code == code
    assert done.stderr == ""
    assert done.stdout.startswith("all is well") == (code == 0)


def test_lag_is_said(daemon: Daemons) -> None:
    daemon.say(lag=901.0)

    done = fedbadges("status", "--http", daemon.address, "--max-lag", "900")

    assert done.stdout.startswith("wrong: it is 901 s behind\n")


def test_daemon_that_does_not_answer_is_critical(daemon: Daemons) -> None:
    daemon.hangs = True
    silent = fedbadges("status", "--http", daemon.address, "--timeout", "0.2")
    address = daemon.address
    daemon.stop()
    closed = fedbadges("status", "--http", address)
    daemon.restart()

    assert (silent.exit_code, closed.exit_code) == (2, 2)
    assert silent.stdout.startswith(f"{address}: timed out; is a daemon running")
    assert closed.stdout.startswith(f"{address}: Connection refused; is a daemon running")
    assert silent.stderr == closed.stderr == ""


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404),
        Answer(200, b"[]"),
        Answer(200, b"\xff"),
        Answer(200, b"{"),
        Answer(200, b"[" * 100_000),
    ],
    ids=["no page", "list", "no text", "no JSON", "nested too deep"],
)
def test_what_is_no_daemon_is_critical(daemon: Daemons, answer: Answer) -> None:
    daemon.instead = answer

    done = fedbadges("status", "--http", daemon.address, "--format", "json")

    assert done.exit_code == 2
    assert json.loads(done.stdout) == {
        "problems": [f"What answers at {daemon.address} is not a daemon"]
    }


def test_address_that_is_none_is_critical() -> None:
    done = fedbadges("status", "--http", "nowhere")

    assert done.exit_code == 2
    assert done.stdout == "'nowhere' is no host with a port, nor the path of a socket\n"
