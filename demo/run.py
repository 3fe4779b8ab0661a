"""Shows a real fedmsg-hub that awards badges, and checks that these are the right ones.

    make demo

It exits with 0 if exactly the badges that scenario.py expects were awarded, and with 1 otherwise.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from subprocess import Popen
from typing import IO, Any

import processes
import report
import zmq
from scenario import EXPECTED, OPTED_OUT, STORY

#: Seconds between two messages: slow enough to watch.
PAUSE = 0.08
#: The demo gives up if the hub has not subscribed after so many seconds,
STARTING = 30.0
#: or if nothing new was seen for so many.
PATIENCE = 10.0
#: When all that was expected is there, wait so many seconds for what was not.
AFTERMATH = 1.5
#: As fedmsg.d/badges-global.py says.
EMAIL_DOMAIN = "example.org"


#: All messages that were sent, by their ids.
Sent = dict[str, dict[str, Any]]


class Failed(Exception):
    """The demo cannot continue; the text says why."""


class Interrupted(Exception):
    """Somebody interrupted the demo."""


class Show:
    """The messages seen so far, and the sockets that receive them."""

    def __init__(self, hub: Popen[bytes], publisher: Popen[bytes], addresses: list[str]) -> None:
        self.hub = hub
        self.publisher = publisher
        self.started = time.monotonic()
        self.sent: Sent = {}
        self.seen: set[tuple[str, str]] = set()
        self._context = zmq.Context()
        self._bus = self._context.socket(zmq.SUB)
        self._bus.subscribe("")
        for address in addresses:
            self._bus.connect(address)
        assert publisher.stdout is not None
        self._output = publisher.stdout.fileno()
        self._rest = b""
        self._poller = zmq.Poller()
        self._poller.register(self._bus, zmq.POLLIN)
        self._poller.register(self._output, zmq.POLLIN)

    @property
    def published(self) -> int:
        return sum("number" in body for body in self.sent.values())

    @property
    def complete(self) -> bool:
        wanted = {(person, badge) for person, badges in EXPECTED.items() for badge in badges}
        return self.published == len(STORY) and wanted <= self.seen

    def watch(self) -> bool:
        """Wait briefly for events and print them; return True if there were any."""
        if interrupted:
            raise Interrupted
        ready = dict(self._poller.poll(100))
        if self._output in ready:
            self._read_published()
        if self._bus in ready:
            self._read_bus()
        if not ready and self.hub.poll() is not None:
            raise Failed(f"fedmsg-hub ended, with {self.hub.returncode}")
        if not ready and self.publisher.poll():
            raise Failed(f"publish.py ended, with {self.publisher.returncode}")
        return bool(ready)

    def close(self) -> None:
        self._context.destroy(linger=0)

    def _read_published(self) -> None:
        data = os.read(self._output, 65536)
        if not data:
            self._poller.unregister(self._output)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            body = json.loads(line)
            self.sent[body["msg_id"]] = body
        if lines:
            report.progress(self.published, len(STORY))

    def _read_bus(self) -> None:
        _, data = self._bus.recv_multipart()
        body = json.loads(data)
        self.sent[body["msg_id"]] = body
        if not body["topic"].endswith(".fedbadges.badge.award"):
            return
        person, badge = body["msg"]["user"]["username"], body["msg"]["badge"]["name"]
        self.seen.add((person, badge))
        report.landed(time.monotonic() - self.started, person, badge)


interrupted: list[int] = []


def main() -> int:
    # Only taken down, and looked at while waiting: an exception at any moment whatever could leave
    # behind a process that was about to be written down.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: interrupted.append(number))
    try:
        with tempfile.TemporaryDirectory(prefix="fedbadges-demo-") as home:
            return demo(Path(home))
    except Interrupted:
        report.say("\nStopped.")
        return 128 + interrupted[0]


def demo(home: Path) -> int:
    # Slow to load, and Ctrl-C must work from the beginning.
    import badges

    tahrir, datanommer = f"sqlite:///{home}/tahrir.db", f"sqlite:///{home}/datanommer.db"
    publisher_address, *daemon_addresses = processes.free_addresses(5)
    processes.write_settings(home, publisher_address, daemon_addresses, tahrir, datanommer)
    badges.add_opted_out(tahrir, OPTED_OUT, EMAIL_DOMAIN)

    log_path = home / "hub.log"
    try:
        with log_path.open("wb") as log:
            sent = run(home, publisher_address, daemon_addresses, log)
    except Failed as error:
        report.failure(str(error), log_path.read_text(encoding="utf-8", errors="replace"))
        return 1
    awards = badges.read_awards(tahrir)
    report.table(awards, sent)
    if report.verdict(awards):
        return 0
    report.tail(log_path.read_text(encoding="utf-8", errors="replace"))
    return 1


def run(home: Path, publisher_address: str, daemon_addresses: list[str], log: IO[bytes]) -> Sent:
    """Run the hub on the whole scenario; return all messages that were sent."""
    with contextlib.ExitStack() as stack:
        hub = processes.start_hub(home, log)
        stack.callback(processes.stop, hub, processes.STOPPING_HUB)
        publisher = processes.start_publisher(publisher_address, PAUSE, log)
        stack.callback(processes.stop, publisher)
        report.begun(hub.pid, publisher.pid, publisher_address)
        show = Show(hub, publisher, daemon_addresses)
        stack.callback(show.close)
        follow(show)
        return show.sent


def follow(show: Show) -> None:
    """Watch until everything expected has happened, or nothing more happens."""
    last = time.monotonic()
    while time.monotonic() < last + _patience(show):
        if show.watch():
            last = time.monotonic()
    if not show.published:
        raise Failed("fedmsg-hub did not subscribe to the bus")


def _patience(show: Show) -> float:
    if not show.published:
        return STARTING
    return AFTERMATH if show.complete else PATIENCE


if __name__ == "__main__":
    sys.exit(main())
