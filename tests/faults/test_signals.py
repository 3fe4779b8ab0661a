"""Signals that stop the daemon, idle or in the middle of its work."""

import signal
import time
from pathlib import Path

import pytest
from support.databases import Postgresql
from support.fault_runs import run_with_faults
from support.sizes import only_full, size

pytestmark = [pytest.mark.slow, pytest.mark.alone]

MESSAGES = size(1_000, 5_000)

COMMANDS = ("fedmsg-hub", "fedmsg-badges")


@only_full
@pytest.mark.parametrize(
    ("command", "number"),
    list(zip(COMMANDS, (signal.SIGTERM, signal.SIGINT), strict=True)),
)
def test_daemon_stopped_by_a_signal_continues_at_the_next_start(
    postgresql: Postgresql, tmp_path: Path, command: str, number: signal.Signals
) -> None:
    with run_with_faults(tmp_path, postgresql, command=command) as running:
        running.start()
        # Idle: nothing wakes it but the signal.
        time.sleep(0.5)
        running.stop(number)

        running.start()
        running.stop_amid(MESSAGES, number)
        # Otherwise it was not under load.
        assert running.missing_awards()

        running.start()
        running.wait_until_awarded()
        running.stop()
        running.check()
        running.hub.check_log()


@pytest.mark.parametrize("command", COMMANDS[: size(1, 2)])
def test_second_signal_stops_the_daemon_at_once(
    postgresql: Postgresql, tmp_path: Path, command: str
) -> None:
    with run_with_faults(tmp_path, postgresql, command=command) as running:
        running.start()
        running.send(MESSAGES)
        begin = time.monotonic()

        running.stop_twice()

        # Only the full form is alone and can measure.
        assert time.monotonic() - begin < size(60, 1)
        running.start()
        running.wait_until_awarded()
        running.stop()
        running.check()
