"""A daemon that is killed at many places of its code, while everybody earns badges."""

import itertools
import time
from pathlib import Path

import pytest
from support.databases import Postgresql
from support.every_kind import every_kind
from support.failure_points.points import POINTS, Call
from support.fault_runs import FaultRun, run_with_faults
from support.sizes import size

MESSAGES = 50
"""How many come in a life, at least."""

MOST = 3000
"""How many come at most until it is killed, which takes a life of a few hundred."""

OF_EACH = 10
"""How many messages come of somebody, who has earned most badges then."""

PAUSE, LATER_PAUSE = 0.01, 0.1
"""Seconds between two messages, and between two of those that come after MESSAGES."""


def send_until_dead(running: FaultRun, people: "itertools.count[int]") -> None:
    """Send messages until the daemon is dead, each person's one after the other."""
    sent = 0
    while running.hub.running() or sent < MESSAGES:
        name = f"person{next(people):04d}"
        for _ in range(OF_EACH):
            running.send_step(name)
            running.store_notices()
            time.sleep(PAUSE if sent < MESSAGES else LATER_PAUSE)
            sent += 1
        assert sent < MOST, "it is not killed"


CALLS = [name for name, point in POINTS.items() if isinstance(point, Call)]


@pytest.mark.parametrize("name", CALLS)
def test_failure_point_is_in_the_code(name: str) -> None:
    point = POINTS[name]
    assert isinstance(point, Call)
    assert callable(point.find()[2])


@pytest.mark.slow
def test_daemon_killed_at_each_failure_point_awards_what_backfill_awards(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    with run_with_faults(tmp_path, postgresql, rules=every_kind()) as running:
        points = running.chance.sample(sorted(POINTS), size(8, len(POINTS)))
        people = itertools.count()
        for point in points:
            running.hub.point = point
            running.restart_at_once()
            send_until_dead(running, people)
            assert running.hub.lines_with("Killed at")[-1].endswith(point)
        running.hub.point = None
        running.start()
        running.wait_until_backfilled()
        running.stop()

        running.check_backfilled()
        running.hub.check_log()
