"""What both demos do: watch daemons award badges, and compare these with what is expected."""

from __future__ import annotations

import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from subprocess import Popen
from typing import Any, Protocol

import report
from scenario import EXPECTED, STORY

#: Seconds between two messages: slow enough to watch.
PAUSE = 0.08
#: The demo gives up if no daemon has subscribed after so many seconds,
STARTING = 30.0
#: or if nothing new was seen for so many.
PATIENCE = 10.0
#: When all that was expected is there, wait so many seconds for what was not.
AFTERMATH = 1.5
#: As the configuration says.
EMAIL_DOMAIN = "example.org"


#: All messages that were sent, by their ids.
Sent = dict[str, dict[str, Any]]


class Failed(Exception):
    """The demo cannot continue; the text says why."""


class Interrupted(Exception):
    """Somebody interrupted the demo."""


class Bus(Protocol):
    """Hears what the daemons publish."""

    def receive(self, timeout: float) -> Iterable[dict[str, Any]]:
        """Return what comes within so many seconds: ``topic``, ``msg`` and ``msg_id``."""


class Show:
    """The messages seen so far; ``daemons`` are named for what may have to be said of them."""

    def __init__(
        self, daemons: Mapping[str, Popen[bytes]], publisher: Popen[bytes], bus: Bus
    ) -> None:
        self.daemons = daemons
        self.publisher = publisher
        self.started = time.monotonic()
        self.sent: Sent = {}
        self.seen: set[tuple[str, str]] = set()
        self._bus = bus
        assert publisher.stdout is not None
        self._output: int | None = publisher.stdout.fileno()
        self._rest = b""

    @property
    def published(self) -> int:
        return sum("number" in body for body in self.sent.values())

    @property
    def complete(self) -> bool:
        wanted = {(person, badge) for person, badges in EXPECTED.items() for badge in badges}
        return self.published == len(STORY) and wanted <= self.seen

    def watch(self) -> bool:
        """Wait briefly for events and print them; return True if there were any."""
        check_interrupted()
        heard = list(self._bus.receive(0.1))
        # Before what was earned by it.
        published = self._read_published()
        for body in heard:
            self._take(body)
        if heard or published:
            return True
        for name, daemon in self.daemons.items():
            if daemon.poll() is not None:
                raise Failed(f"{name} ended, with {daemon.returncode}")
        if self.publisher.poll():
            raise Failed(f"publish.py ended, with {self.publisher.returncode}")
        return False

    def _read_published(self) -> bool:
        if self._output is None or not select.select([self._output], [], [], 0)[0]:
            return False
        data = os.read(self._output, 65536)
        if not data:
            self._output = None
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            body = json.loads(line)
            self.sent[body["msg_id"]] = body
        if lines:
            report.progress(self.published, len(STORY))
        return bool(lines)

    def _take(self, body: dict[str, Any]) -> None:
        self.sent[body["msg_id"]] = body
        if not body["topic"].endswith("badges.badge.award"):
            return
        person, badge = body["msg"]["user"]["username"], body["msg"]["badge"]["name"]
        # The broker may deliver a notice twice.
        if (person, badge) not in self.seen:
            self.seen.add((person, badge))
            report.landed(time.monotonic() - self.started, person, badge)


_interrupted: list[int] = []


def check_interrupted() -> None:
    """Raise Interrupted if somebody wants the demo to end."""
    if _interrupted:
        raise Interrupted


def run(demo: Callable[[Path], int]) -> int:
    """Run a demo in a directory of its own; return its exit code."""
    # Only taken down, and looked at while waiting: an exception at any moment whatever could leave
    # behind a process that was about to be written down.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: _interrupted.append(number))
    try:
        with tempfile.TemporaryDirectory(prefix="fedbadges-demo-") as home:
            return demo(Path(home))
    except Interrupted:
        report.say("\nStopped.")
        return 128 + _interrupted[0]


def follow(show: Show) -> None:
    """Watch until everything expected has happened, or nothing more happens."""
    last = time.monotonic()
    while time.monotonic() < last + _patience(show):
        if show.watch():
            last = time.monotonic()
    if not show.published:
        raise Failed(f"{' and '.join(show.daemons)} did not subscribe to the bus")


def conclude(tahrir: str, sent: Sent, logs: Iterable[Path]) -> int:
    """Show what tahrir has; return the exit code of the demo."""
    import badges

    awards = badges.read_awards(tahrir)
    report.table(awards, sent)
    if report.verdict(awards):
        return 0
    report.tail(logs)
    return 1


def _patience(show: Show) -> float:
    if not show.published:
        return STARTING
    return AFTERMATH if show.complete else PATIENCE
