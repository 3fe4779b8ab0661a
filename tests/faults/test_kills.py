"""A daemon that is killed again and again, while messages come that nobody sends twice."""

import itertools
import time
from pathlib import Path

import pytest
from support.databases import Postgresql
from support.fault_runs import run_with_faults
from support.sizes import size

pytestmark = pytest.mark.slow

KILLS = size(3, 20)
MESSAGES = size(2_000, 20_000)

LIVES = (0.2, 5.0)
"""Seconds, the fewest and the most, that a daemon has; for the first two it does not hear yet."""


def test_daemon_killed_repeatedly_awards_each_badge_exactly_once(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    with run_with_faults(tmp_path, postgresql) as running:
        lives = [running.chance.uniform(*LIVES) for _ in range(KILLS)]
        running.start()
        begin = time.monotonic()
        deaths = [begin + age for age in itertools.accumulate(lives)]

        def kill_when_it_is_time() -> None:
            if deaths and time.monotonic() >= deaths[0]:
                del deaths[0]
                running.hub.kill()
                running.restart_at_once()

        running.send(MESSAGES, sum(lives) + 0.5, kill_when_it_is_time)
        assert not deaths
        running.wait_until_awarded()
        running.stop()

        running.check()
        running.hub.check_log()
