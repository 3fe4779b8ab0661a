"""Saying a thing once: per change of state, or per stretch of time."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable

#: Seconds in which the same thing is not said again.
PERIOD = 600.0

#: How many different things are remembered at most.
_MOST = 10_000


class Throttle:
    """Lets each thing through once in a period; safe to use from several threads."""

    def __init__(self, period: float = PERIOD) -> None:
        self._period = period
        self._said: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def first(self, thing: Hashable) -> bool:
        """Tell whether ``thing`` was not said within the period, and take it as said now."""
        now = time.monotonic()
        with self._lock:
            last = self._said.get(thing)
            if last is not None and now - last < self._period:
                return False
            if len(self._said) >= _MOST:
                self._said.clear()
            self._said[thing] = now
            return True
