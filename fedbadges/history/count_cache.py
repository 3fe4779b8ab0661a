"""Counts that stay cheap: what lies safely in the past is counted once and kept.

A count over a long history changes only at its end. What is kept for a question is its count up to
a moment, the *until*, that lies far enough back for all messages before it to have been stored;
only what came since is asked of the database, and the until moves forward with every answer.
"""

from __future__ import annotations

import datetime
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from dogpile.cache.region import CacheRegion

from fedbadges.util.throttle import Throttle

log = logging.getLogger(__name__)

#: Seconds after which a question is counted afresh, from the beginning.
AFRESH = 86_400.0


@dataclass(frozen=True)
class CountResult:
    """How many messages passed: ``settled`` of ``total`` lie safely in the past.

    If ``complete``, there are no more; else the counting stopped because there were enough.
    """

    settled: int
    total: int
    complete: bool


class Counting(Protocol):
    """Counts what a question gives."""

    def __call__(
        self, after: datetime.datetime | None, safe: datetime.datetime, limit: int | None
    ) -> CountResult:
        """Count messages sent later than ``after``, at most ``limit`` of them.

        Those up to ``safe`` are settled. Both are naive UTC; None stands for no bound.
        """


class CountCache:
    """Keeps counts in a dogpile.cache region; with ``region`` None it keeps nothing.

    ``distance`` is how many seconds back a message may still be stored late and be counted.
    Any number of threads and processes may use the same region: whatever is kept is true by itself.
    """

    def __init__(
        self,
        region: CacheRegion | None,
        distance: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._region = region
        self._distance = distance
        self._now = now
        self._failures = Throttle()

    def count(self, question: str | None, ask: Counting, enough: int | None = None) -> int:
        """Give the count of ``ask``, or at least ``enough`` where there are that many.

        ``question`` is what distinguishes it from all others; None for what is not to be kept.
        Raises what ``ask`` raises.
        """
        if question is None or self._region is None:
            return ask(None, _naive(self._now() - self._distance), enough).total
        key = _key(question)
        kept = self._kept(key)
        if enough is not None and kept.at_least >= enough:
            return kept.at_least
        safe = _naive(self._now() - self._distance)
        tally = ask(kept.until, safe, None if enough is None else enough - kept.count)
        total = kept.count + tally.total
        # What was there stays there, so that there are enough need not be found out again.
        kept = replace(kept, at_least=max(kept.at_least, total))
        if tally.complete:
            until = safe if kept.until is None else max(safe, kept.until)
            kept = replace(kept, count=kept.count + tally.settled, until=until)
        self._keep(key, kept)
        return total

    def _kept(self, key: str) -> _Kept:
        now = self._now()
        found = self._use(lambda region: region.get(key))
        if not isinstance(found, _Kept):
            return _Kept(since=now)
        # Not all at the same time: what was begun together is spread over a tenth of the time.
        age = AFRESH * (1 - int(key[-4:], 16) / 0xFFFF / 10)
        if not now - age < found.since <= now:
            return _Kept(since=now)
        return found

    def _keep(self, key: str, kept: _Kept) -> None:
        self._use(lambda region: region.set(key, kept))

    def _use(self, act: Callable[[CacheRegion], Any]) -> Any:
        """Act on the region; where it is away, counts are just not kept."""
        assert self._region is not None
        try:
            return act(self._region)
        except Exception as error:  # whatever the backend raises
            if self._failures.allows(type(error).__name__):
                log.warning("Counts are not kept, so they are slower: %r", error)
            return None


@dataclass(frozen=True)
class _Kept:
    """What is kept of a question: its count up to ``until``, begun at ``since``.

    ``at_least`` is how many there were in all when it was last asked.
    """

    since: float
    count: int = 0
    at_least: int = 0
    until: datetime.datetime | None = None


def _key(question: str) -> str:
    return f"fedbadges-count-{hashlib.sha256(question.encode('utf-8', 'replace')).hexdigest()}"


def _naive(seconds: float) -> datetime.datetime:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.replace(tzinfo=None)
