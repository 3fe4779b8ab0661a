"""Waiting for conditions, without guessing how long they take."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT = 120.0
"""Seconds after which something that must happen counts as not happening.

Only a defect takes that long: it is far more than a busy machine needs to start a process.
"""


_LONGEST = 5.0
"""Seconds that count for one try: what stops all processes, such as a debugger, takes no time."""


def eventually(condition: Callable[[], T], what: str, timeout: float = TIMEOUT) -> T:
    """Call ``condition`` until it returns something true, and return that.

    :param what: what is waited for, for the error.
    :raises AssertionError: it was not true within ``timeout`` seconds.
    """
    remaining, before = timeout, time.monotonic()
    while True:
        answer = condition()
        if answer:
            return answer
        now = time.monotonic()
        remaining, before = remaining - min(now - before, _LONGEST), now
        if remaining < 0:
            raise AssertionError(f"not within {timeout:g} s: {what} (last answer: {answer!r})")
        time.sleep(0.02)
