"""Cached counts: what lies before the cutoff is counted once.

A count over a long history changes only at its end. A cached count goes up to a moment far enough
in the past for all messages before it to have been stored, the cutoff; only what was sent since is
counted again, and the cached count moves forward with every answer.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from dogpile.cache.region import CacheRegion

from fedbadges.messages import Position, naive_utc
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: After everything that is stored.
_LAST: Position = (datetime.datetime.max, math.inf)

#: Seconds after which a cached count expires, and is counted from the beginning.
EXPIRY = 86_400.0


@dataclass(frozen=True)
class CountResult:
    """How many messages were counted; ``before_cutoff`` of ``total`` were sent up to the cutoff.

    ``until`` is the cutoff, or earlier. It is ``complete`` unless counting stopped at its limit.
    """

    before_cutoff: int
    total: int
    complete: bool
    until: datetime.datetime


#: Counts messages sent later than the first moment, or all if it is None; the second moment is the
#: cutoff, and the number is how many are enough, if any. Both moments are naive UTC.
Counter = Callable[[datetime.datetime | None, datetime.datetime, int | None], CountResult]


class CountCache:
    """Caches counts in a dogpile.cache region; without a region it caches nothing.

    A message may be stored until ``distance`` seconds after it was sent and still be counted.
    Any number of threads and processes may share a region: each cached count is true by itself.
    """

    def __init__(
        self, region: CacheRegion | None, distance: float, now: Callable[[], float] = time.time
    ) -> None:
        self._region = region
        self._distance = distance
        self._now = now
        self._log_throttle = Throttle()

    def count(
        self,
        question: str | None,
        counter: Counter,
        enough: int | None = None,
        until: Position | None = None,
    ) -> int:
        """Return a count, or any number from ``enough`` on where there are that many.

        ``question`` distinguishes it from all others; None for what is not worth caching. ``until``
        is the position up to which the counter counts, if there is one. Raises what the counter
        raises.
        """
        cutoff = naive_utc(self._now() - self._distance)
        if question is None or self._region is None:
            return counter(None, cutoff, enough).total
        digest = hashlib.sha256(question.encode("utf-8", "replace")).hexdigest()
        key = f"fedbadges-cached-count-{digest}"
        cached = self._read(key)
        if until is not None and cached.until is not None and until[0] <= cached.until:
            return counter(None, cutoff, enough).total
        position = until or _LAST
        if enough is not None and cached.at_least >= enough and cached.reached <= position:
            return cached.at_least
        result = counter(cached.until, cutoff, None if enough is None else enough - cached.count)
        total = cached.count + result.total
        # No message is ever deleted, so there will not be fewer.
        if total > cached.at_least:
            cached = replace(cached, at_least=total, reached=position)
        if result.complete:
            # Where the clock stepped back, what lies between is in the cached count already.
            end = result.until if cached.until is None else max(result.until, cached.until)
            cached = replace(cached, count=cached.count + result.before_cutoff, until=end)
        self._use(lambda region: region.set(key, cached))
        return total

    def _read(self, key: str) -> CachedCount:
        now = self._now()
        found = self._use(lambda region: region.get(key))
        # Counts that were begun together do not all expire together.
        expiry = EXPIRY * (1 - int(key[-4:], 16) / 0xFFFF / 10)
        if isinstance(found, CachedCount) and now - expiry < found.since <= now:
            return found
        return CachedCount(since=now)

    def _use(self, act: Callable[[CacheRegion], Any]) -> Any:
        """Act on the region; where it is away, counts are just not cached."""
        assert self._region is not None
        try:
            return act(self._region)
        except Exception as error:  # whatever the cache's backend raises
            if self._log_throttle.allows(type(error).__name__):
                log.warning("Could not use the cache, counting without it is slower", error=error)
            return None


@dataclass(frozen=True)
class CachedCount:
    """The count of messages sent up to ``until``, first counted at ``since``.

    There were ``at_least`` so many up to the position ``reached``.
    """

    since: float
    count: int = 0
    at_least: int = 0
    until: datetime.datetime | None = None
    reached: Position = _LAST
