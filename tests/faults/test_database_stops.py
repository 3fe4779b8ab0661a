"""A database server that is stopped and started while messages come."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.databases import Postgresql
from support.fault_runs import FaultRun, run_with_faults
from support.sizes import only_full, size

pytestmark = [pytest.mark.slow, pytest.mark.alone]

OUTAGES = 3
MESSAGES = 9_000
LENGTH = 36
"""Seconds that the messages take."""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    """Start a server of its own: that of the other tests must not stop."""
    server = Postgresql()
    yield server
    server.resume()
    server.stop()


class Outages:
    """Stop a server and starts it again, a few times, each at a random moment of its own part."""

    def __init__(self, running: FaultRun, server: Postgresql) -> None:
        self._server = server
        self._begin = time.monotonic()
        part = LENGTH / OUTAGES
        chance = running.chance
        self._plan = [
            (what, each * part + chance.uniform(*when) * part)
            for each in range(OUTAGES)
            for what, when in (("halt", (0.1, 0.4)), ("resume", (0.5, 0.8)))
        ]
        self._modes = chance.choices(("fast", "immediate"), k=OUTAGES)

    def __call__(self) -> None:
        if not self._plan or time.monotonic() - self._begin < self._plan[0][1]:
            return
        what, _ = self._plan.pop(0)
        if what == "halt":
            self._server.halt(self._modes.pop())
        else:
            self._server.resume()

    @property
    def over(self) -> bool:
        return not self._plan


@only_full
def test_no_badge_is_lost_when_the_database_server_restarts(
    server: Postgresql, tmp_path: Path
) -> None:
    with run_with_faults(tmp_path, server, {"badges.keep_counts_distance": 30.0}) as running:
        running.start()
        outages = Outages(running, server)
        running.send(MESSAGES, LENGTH, outages)
        assert outages.over
        running.wait_until_awarded()
        running.stop()

        running.check()
        running.hub.check_log()
        # Once for each outage, not for each message.
        assert 1 <= len(running.hub.logged("WARNING", "Waiting for an outage")) <= 3 * OUTAGES


@pytest.mark.parametrize("command", ["fedmsg-hub", "fedmsg-badges"][: size(1, 2)])
def test_start_waits_for_a_database_server_that_is_down(
    server: Postgresql, tmp_path: Path, command: str
) -> None:
    with run_with_faults(tmp_path, server, command=command) as running:
        server.halt()
        try:
            # It hears the bus, though it cannot award yet.
            running.start(caught_up=False)
            running.send(size(300, 2_000), 1.0)
        finally:
            server.resume()
        running.wait_until_awarded()
        running.stop()

        running.check()
        running.hub.check_log()


@only_full
@pytest.mark.parametrize("command", ["fedmsg-hub", "fedmsg-badges"])
def test_daemon_stops_while_the_database_server_hangs(
    server: Postgresql, tmp_path: Path, command: str
) -> None:
    with run_with_faults(tmp_path, server, command=command) as running:
        running.start()
        running.send(100)
        running.wait_until_awarded()
        server.freeze()
        try:
            running.send(200)
            time.sleep(1)
            # Within 10 seconds, with 0.
            running.stop()
        finally:
            server.thaw()
        assert running.hub.logged("WARNING", "Stopping without an answer")

        running.start()
        running.wait_until_awarded()
        running.stop()
        running.check()
        running.hub.check_log()
