"""Waiting for what must happen, without guessing how long it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds until something that must happen counts as not happening."""


def eventually(condition: Callable[[], T], what: str, timeout: float = PATIENCE) -> T:
    """Asks until the answer is true, and returns it.

    :param what: what is waited for, for the error.
    :raises AssertionError: it was not true within ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what} (last answer: {answer!r})")
        time.sleep(0.02)
