"""Daemons that are started one after the other with the same state, and what datanommer has."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fedmsg.config
import pytest

from fedbadges.config.settings import read_settings
from fedbadges.errors import Unavailable
from fedbadges.service.daemon import Daemon
from fedbadges.signatures.verifier import make_verifier
from support.builders import make_config
from support.bus import fedmsg_body
from support.daemon import make_daemon
from support.databases import Databases, badges
from support.databases import store_message as store_for
from support.rules import rule, write_rules
from support.waiting import eventually

Start = Callable[..., Daemon]

HOUR = 3600.0

FIRST = rule(
    "First",
    """
trigger: {topic: logger.first}
criteria:
  datanommer:
    filter: {topics: ["%(topic)s"], users: ["%(msg.user)s"]}
    operation: count
    condition: {greater than or equal to: 1}
recipient: "%(msg.user)s"
""",
)


@pytest.fixture
def start(database: Databases, tmp_path: Path) -> Iterator[Start]:
    """Start daemons that keep their state in the same directory, one after the other."""
    write_rules(tmp_path / "rules", {"first": FIRST})
    running: list[Daemon] = []

    def start_(
        *,
        retry: bool = False,
        config: Mapping[str, Any] | None = None,
        redelivered: bool = False,
        **keys: Any,
    ) -> Daemon:
        for daemon in running:
            daemon.stop()
        running.clear()
        whole = fedmsg.config.defaults | {"endpoints": {}, "post_init_sleep": 0.0}
        whole |= make_config(database, tmp_path / "rules") | dict(config or {})
        defaults = {
            "reload": False,
            "state_directory": str(tmp_path / "state"),
            "sweep_interval": 0.05,
            "keep_counts_distance": 5,
            "consume_delay": 0,
        }
        whole |= {f"badges.{name}": value for name, value in (defaults | keys).items()}
        settings, warnings = read_settings(whole)
        assert not warnings
        daemon = make_daemon(settings, make_verifier(whole), redelivered=redelivered)
        running.append(daemon)
        if retry:
            return daemon
        daemon.start()
        return daemon

    yield start_
    for daemon in running:
        daemon.stop()


def sent(username: str, age: float = 0.0) -> dict[str, Any]:
    """Return a message that was sent so many seconds ago."""
    return fedmsg_body("logger.first", {"user": username}, username) | {
        "timestamp": time.time() - age
    }


def store_message(database: Databases, message: dict[str, Any]) -> None:
    """Store a message as datanommer does, with whom it concerns."""
    store_for(database, message, [message["msg"]["user"]])


def checkpoint(directory: Path) -> float | None:
    path = directory / "state" / "checkpoint"
    return float(json.loads(path.read_text())["until"]) if path.exists() else None


def write_checkpoint(directory: Path, age: float) -> None:
    (directory / "state").mkdir(exist_ok=True)
    (directory / "state" / "checkpoint").write_text(json.dumps({"until": time.time() - age}))


def held(database: Databases, *names: str) -> list[bool]:
    return [bool(badges(database, name)) for name in names]


def after_first_pass(daemon: Daemon) -> Daemon:
    """Wait until what is stored from now on is found by sweeps."""

    def done() -> bool:
        status = daemon.report()["catch_up"]
        return status["until"] is not None and not status["running"]

    eventually(done, "the first pass")
    return daemon


def fail(*arguments: object) -> None:
    raise ValueError("no")


def unavailable(*arguments: object) -> None:
    raise Unavailable("away")
