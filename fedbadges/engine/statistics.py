"""Counters of the daemon: how often each rule was triggered, and how often it awarded."""

import threading
import time
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True)
class LastAward:
    """Who got which badge, because of which message, and when, in seconds since 1970."""

    badge: str
    user: str
    msg_id: str | None
    at: float


class RuleStatistics:
    """Counts triggers and awards since it was created; safe to use from several threads.

    A message that triggers nothing is not counted, and costs nothing.
    """

    def __init__(self) -> None:
        #: Since when it counts, in seconds since 1970.
        self.since = time.time()
        self.awards = 0
        self.last_award: LastAward | None = None
        self._lock = threading.Lock()
        self._triggers: Counter[str] = Counter()
        self._awards: Counter[str] = Counter()

    def triggered(self, badge: str) -> None:
        """Count that the trigger of the rule for a badge held."""
        with self._lock:
            self._triggers[badge] += 1

    def awarded(self, badge: str, user: str, msg_id: str | None) -> None:
        """Count an award."""
        with self._lock:
            self._awards[badge] += 1
            self.awards += 1
            self.last_award = LastAward(badge, user, msg_id, time.time())

    def of(self, badge: str) -> dict[str, int]:
        """Return how often a rule was triggered, and how many people got its badge."""
        with self._lock:
            return {"triggers": self._triggers[badge], "awards": self._awards[badge]}
