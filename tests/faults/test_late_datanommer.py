"""datanommer that is later than the daemon waits for, and a stop while thousands wait for it."""

import time
from pathlib import Path

import pytest
from support.databases import Postgresql
from support.fault_runs import run_with_faults
from support.sizes import only_full, size

pytestmark = [pytest.mark.slow, pytest.mark.alone]

PER_SECOND = 500
LATE = 1.0
"""Seconds at least until datanommer has a message."""

MESSAGES = 5_000
WAITING = size(3_000, 6_000)


@only_full
def test_no_badge_is_lost_when_datanommer_stores_messages_late(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    settings = {"badges.delay_limit": 100, "badges.consume_delay": 0.5}
    with run_with_faults(tmp_path, postgresql, settings) as running:
        running.datanommer.delay = LATE
        running.start()
        running.send(MESSAGES, MESSAGES / PER_SECOND)
        running.wait_until_awarded()
        running.stop()

        running.check()
        running.hub.check_log()


@pytest.mark.parametrize("command", ["fedmsg-hub", "fedmsg-badges"][: size(1, 2)])
def test_stop_is_quick_while_thousands_of_messages_wait_for_datanommer(
    postgresql: Postgresql, tmp_path: Path, command: str
) -> None:
    settings = {"badges.delay_limit": 100_000, "badges.consume_delay": 3600}
    with run_with_faults(tmp_path, postgresql, settings, command) as running:
        running.start()
        running.datanommer.delay = 3600
        running.send(WAITING)
        # Until it has looked at most of them.
        time.sleep(size(2, 10))

        # Within 10 seconds, with 0.
        running.stop()
        assert not running.hub.logged("WARNING", "Not waiting for datanommer")
        assert running.awards() == []

        running.datanommer.delay = 0.0
        running.datanommer.finish()
        running.start()
        running.wait_until_awarded()
        running.stop()
        running.check()
        running.hub.check_log()
