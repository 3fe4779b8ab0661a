"""Daemons that are stopped at random moments, several at a time."""

import heapq
import random
import signal
import time
from collections.abc import Callable

from support.hub import STOP_TIMEOUT, Hub
from support.sizes import SEED
from support.waiting import eventually

AT_A_TIME = 4
"""How many daemons run beside each other."""

LONGEST = 2.0
"""Seconds until a daemon is stopped, at most; loading its rules and connecting take one of them."""


def stop_at_random_moments(
    stops: int, start: Callable[[], Hub], publish: Callable[[int], None]
) -> None:
    """Start so many daemons, and stop each at a random moment; it must end in time, with 0.

    :param start: starts a daemon and returns it at once.
    :param publish: sends the messages of one of them.
    """
    chance = random.Random(SEED)
    running: list[tuple[float, int, Hub]] = []
    for number in range(stops):
        hub = start()
        publish(number)
        heapq.heappush(running, (time.monotonic() + chance.uniform(0, LONGEST), number, hub))
        if len(running) == AT_A_TIME:
            _stop_next(running)
    while running:
        _stop_next(running)


def _stop_next(running: list[tuple[float, int, Hub]]) -> None:
    moment, _, hub = heapq.heappop(running)
    time.sleep(max(0.0, moment - time.monotonic()))
    # One that was just started would be ended by the signal itself.
    eventually(lambda: not hub.running() or hub.handles(signal.SIGTERM), "a handler of SIGTERM")
    assert hub.running(), hub.log()
    # What fedora-messaging logs if it is just about to subscribe has a traceback.
    assert hub.stop(signal.SIGTERM, STOP_TIMEOUT) == 0, hub.log()
