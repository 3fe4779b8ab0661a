"""A daemon that is killed again and again, while messages come that nobody sends twice."""

import itertools
import time
from pathlib import Path

import pytest
from support.databases import Postgresql
from support.every_kind import every_kind
from support.fault_runs import run_with_faults
from support.sizes import size
from support.workload import workload_rules

pytestmark = [pytest.mark.slow, pytest.mark.alone]

KILLS = size(3, 20)
MESSAGES = size(2_000, 12_000)

LIVES = (0.1, 2.5)
"""Seconds, the fewest and the most, that a daemon has; at the first it does not hear yet."""

NOTICES_STORED_EVERY = 0.1
"""Seconds between two times that notices of awards are stored."""


def test_daemon_killed_repeatedly_awards_what_backfill_awards(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    rules = workload_rules() | every_kind()
    with run_with_faults(tmp_path, postgresql, rules=rules) as running:
        lives = [running.chance.uniform(*LIVES) for _ in range(KILLS)]
        running.start()
        begin = time.monotonic()
        deaths = [begin + age for age in itertools.accumulate(lives)]
        stored = begin

        def go_on() -> None:
            nonlocal stored
            now = time.monotonic()
            if now >= stored + NOTICES_STORED_EVERY:
                running.store_notices()
                stored = now
            if deaths and now >= deaths[0]:
                del deaths[0]
                running.hub.kill()
                running.restart_at_once()

        running.send(MESSAGES, sum(lives) + 0.5, go_on)
        assert not deaths
        running.wait_until_backfilled()
        running.stop()

        running.check_backfilled()
        running.hub.check_log()
