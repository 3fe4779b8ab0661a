"""The progress of a pass over the history."""

import time
from typing import Any

#: Seconds between two log lines.
_INTERVAL = 10.0


class Progress:
    """How many messages of a pass are ``done``, of ``count``; that is logged every ten seconds."""

    def __init__(self, count: int, done: int = 0) -> None:
        self.count = count
        self.done = self._before = done
        self._began = self._logged = time.monotonic()

    def report(self) -> dict[str, Any]:
        """Return the progress as plain values."""
        return {
            "done": self.done,
            "count": self.count,
            "seconds_left": self._seconds_left(),
        }

    def to_log(self) -> dict[str, Any] | None:
        """Return the same if it is time to log it; None if it was logged a moment ago."""
        if self.done == self._before or time.monotonic() - self._logged < _INTERVAL:
            return None
        self._logged = time.monotonic()
        return self.report()

    def _seconds_left(self) -> float | None:
        """Return an estimate from the time that it took so far; None if there is nothing to say.

        What follows when all messages are read, such as keeping their counts, takes time as well.
        """
        done, left = self.done - self._before, self.count - self.done
        elapsed = time.monotonic() - self._began
        return left * elapsed / done if done and left > 0 else None
