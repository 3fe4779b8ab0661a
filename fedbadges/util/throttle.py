"""Log throttling: log the same thing once in a while instead of each time it happens."""

import threading
import time
from collections.abc import Hashable

#: Seconds in which the same thing is not logged again.
PERIOD = 600.0

#: How many different things are remembered.
_MAX_KEYS = 10_000


class Throttle:
    """Allows each key once in a period; thread-safe."""

    def __init__(self) -> None:
        self._allowed: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def allows(self, key: Hashable) -> bool:
        """Return True if ``key`` was not allowed within the period yet; it then counts as such."""
        now = time.monotonic()
        with self._lock:
            last = self._allowed.get(key)
            if last is not None and now - last < PERIOD:
                return False
            if len(self._allowed) >= _MAX_KEYS:
                self._allowed.clear()
            self._allowed[key] = now
            return True
