"""Counters of the daemon: how often each rule was triggered, and how often it awarded."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from fedbadges.util.caching import BoundedDict

#: How many badges have counters at most; rules come and go while the daemon runs.
_MAX_BADGES = 10_000


@dataclass(frozen=True)
class LastAward:
    """Who got which badge, because of which message, and when, in seconds since 1970."""

    badge: str
    user: str
    msg_id: str | None
    at: float


@dataclass
class RuleCounters:
    """How often a rule was triggered, and how many people got its badge."""

    triggers: int = 0
    awards: int = 0


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
        self._by_badge: BoundedDict[str, RuleCounters] = BoundedDict(_MAX_BADGES)

    def triggered(self, badge: str) -> None:
        """Count that the trigger of the rule for a badge held."""
        with self._lock:
            self._counters(badge).triggers += 1

    def awarded(self, badge: str, user: str, msg_id: str | None) -> None:
        """Count an award."""
        with self._lock:
            self._counters(badge).awards += 1
            self.awards += 1
            self.last_award = LastAward(badge, user, msg_id, time.time())

    def of(self, badge: str) -> RuleCounters:
        """Return a copy of the counters of a badge."""
        with self._lock:
            found = self._by_badge.get(badge, RuleCounters())
            return RuleCounters(found.triggers, found.awards)

    def _counters(self, badge: str) -> RuleCounters:
        if badge not in self._by_badge:
            self._by_badge[badge] = RuleCounters()
        return self._by_badge[badge]
