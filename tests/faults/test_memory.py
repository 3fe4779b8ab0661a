"""Messages that come faster than they can be handled."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.databases import Postgresql
from support.fault_runs import run_with_faults
from support.hub import Hub
from support.sizes import only_full

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.started]

BURST = 40_000
"""Fewer than the window over recent messages holds: without it, each count would ask the database,
and a busy machine would take minutes."""
BACKLOG_LIMIT = 10_000

WARM_UP = 500
MOST_MEGABYTES = 100
"""Most of it is what a daemon remembers of the messages that it has handled, and what ZeroMQ holds
while the daemon is slow, which differs between machines."""

BURSTS, LARGE = 10, 100
"""How many bursts there are of so many messages of a million letters."""

MOST_MEGABYTES_OF_LARGE = 300
"""A third of what is sent: what was not read yet of a burst waits in ZeroMQ, and what is read is
there twice for a while, as bytes and as letters."""


@contextmanager
def sampled(hub: Hub) -> Iterator[list[float]]:
    """Collect how much memory a daemon has meanwhile, many times a second."""
    samples = [hub.megabytes()]
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.05):
            samples.append(hub.megabytes())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()


@only_full
def test_flood_of_messages_takes_bounded_memory_and_loses_no_badge(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    settings = {"badges.backlog_limit": BACKLOG_LIMIT}
    with run_with_faults(tmp_path, postgresql, settings) as running:
        running.start()
        running.send(WARM_UP)
        running.wait_until_awarded()

        with sampled(running.hub) as megabytes:
            running.send(BURST)
            running.wait_until_awarded()

        print(f"from {megabytes[0]:.0f} MB to at most {max(megabytes):.0f} MB")
        assert max(megabytes) - megabytes[0] <= MOST_MEGABYTES
        # Otherwise it was no flood.
        assert running.hub.logged("WARNING", "Shedding messages")
        running.stop()
        running.check()
        running.hub.check_log()


@only_full
def test_flood_of_large_messages_takes_bounded_memory(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    # On a busy machine, datanommer takes long to store them all.
    settings = {"badges.keep_counts_distance": 600.0}
    with run_with_faults(tmp_path, postgresql, settings) as running:
        running.start()
        running.send(WARM_UP)
        running.wait_until_awarded()

        with sampled(running.hub) as megabytes:
            for _ in range(BURSTS):
                running.send_steps("user59", LARGE, log="x" * 1_000_000)
                running.datanommer.finish()
            running.wait_until_awarded()

        print(f"from {megabytes[0]:.0f} MB to at most {max(megabytes):.0f} MB")
        assert max(megabytes) - megabytes[0] <= MOST_MEGABYTES_OF_LARGE
        running.stop()
        running.check()
        running.hub.check_log()
