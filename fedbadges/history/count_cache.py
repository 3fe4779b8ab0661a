"""Cached counts: what lies before the cutoff is counted once.

A count over a long history changes only at its end. A cached count is that of a *base*: what was
sent up to a moment far enough in the past for most messages before it to have been stored, and was
seen by then. Only what the base has not is counted again, and the base moves forward with every
answer. So what is stored late counts like everything else.
"""

from __future__ import annotations

import datetime
import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fedbadges.history.horizon import Base, OutdatedBase
from fedbadges.history.kept.file import Entry
from fedbadges.history.kept.region import KeptCounts
from fedbadges.history.kept.text import (
    LAST,
    make_entry,
    parse_position,
    plain_position,
    read_entry,
)
from fedbadges.messages import Position, naive_utc
from fedbadges.util.instruments import CacheLookups
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

_lookups = CacheLookups("counts")

#: A cache that fails after so many seconds is not asked again for so many.
_SLOW = 0.5
_RETRY = 10.0

#: The prefixes of keys. For what is behind, such as a backlog, another base moves with it.
_KEYS = ("fedbadges-count-", "fedbadges-count-behind-")


@dataclass(frozen=True)
class CountResult:
    """How many messages outside a base were counted.

    ``in_base`` of ``total`` are in the new ``base``, which is None if it must not be cached.
    """

    in_base: int
    total: int
    base: Base | None


#: Counts the messages outside a base, or all if that is None. The moment, naive UTC, is when a new
#: base may end; with None there is none. The number is how many are enough, if any.
Counter = Callable[[Base | None, datetime.datetime | None, int | None], CountResult]


class Region(Protocol):
    """Where counts are cached: ``KeptCounts``, or a region of dogpile.cache."""

    def get(self, key: str) -> Any:
        """Return a count, or anything else if there is none."""

    def set(self, key: str, value: Any) -> None:
        """Cache a count."""


class CountCache:
    """Caches counts in a region; without a region it caches nothing.

    A message may be stored until ``distance`` seconds after it was sent and still be counted.
    Any number of threads and processes may share a region: each cached count is true by itself.
    """

    def __init__(
        self, region: Region | None, distance: float, now: Callable[[], float] = time.time
    ) -> None:
        self._region = region
        self._distance = distance
        self._now = now
        #: What distinguishes the keys from those of a history that was replaced.
        self.epoch = ""
        self._log_throttle = Throttle()
        self._away_until = 0.0

    def forget(self) -> None:
        """Forget all counts, also those that are being counted now."""
        self.epoch = uuid.uuid4().hex

    def begin(self, epoch: str) -> None:
        """Use keys of another epoch, and write what is in memory of it to a new file."""
        self.epoch = epoch
        if isinstance(self._region, KeptCounts):
            self._region.note_all()

    def is_behind(self, position: Position) -> bool:
        """Return True if what is cached may end after a position."""
        return self._region is not None and position[0] < self.cutoff()

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
        if enough is not None and enough <= 0:
            return 0
        if question is None or self._region is None:
            return counter(None, None, enough).total
        first, last = _keys(self.epoch, question)
        for key in (first, last):
            cached = self._read(key)
            if until is None or cached.base is None:
                if key is first and until is not None and cached.is_of_later(until):
                    continue
            elif cached.base.until >= until[0]:
                if cached.base.until <= naive_utc(self._now()):
                    continue
                cached = CachedCount()  # by a clock that was wrong
            try:
                return self._advance(key, cached, counter, enough, until or LAST)
            except OutdatedBase:
                return self._advance(key, CachedCount(), counter, enough, until or LAST)
        return counter(None, None, enough).total

    def offer(self, epoch: str, question: str, base: Base, count: int) -> None:
        """Cache a count that somebody found for a base, unless there is a newer one.

        The base is of that epoch. Raises what the region raises.
        """
        if self._region is None:
            return
        key = next(_keys(epoch, question))
        cached = _cached(self._region.get(key))
        if base.extends(cached.base):
            self._region.set(key, replace(cached, count=count, base=base))

    def _advance(
        self,
        key: str,
        cached: CachedCount,
        counter: Counter,
        enough: int | None,
        until: Position,
    ) -> int:
        """Count from a cached count on, and cache the count up to there.

        The base, if there is one, ends before ``until``.
        """
        _lookups.count(cached.base is not None)
        if enough is not None and cached.known_at(until) >= enough:
            return cached.known_at(until)
        if enough is not None and cached.count >= enough:
            return cached.count
        cutoff = self.cutoff()
        result = counter(cached.base, cutoff, None if enough is None else enough - cached.count)
        total = cached.count + result.total
        # No message is ever deleted, so there will not be fewer.
        if until == LAST:
            cached = replace(cached, in_all=max(total, cached.in_all))
        elif (total, cached.reached) > (cached.at_least, until):
            cached = replace(cached, at_least=total, reached=until)
        if result.base is not None and result.base.extends(cached.base):
            cached = replace(cached, count=cached.count + result.in_base, base=result.base)
        self._use(lambda region: region.set(key, cached))
        return total

    def cutoff(self) -> datetime.datetime:
        """Return the latest moment at which a base may end."""
        return naive_utc(self._now() - self._distance)

    def _read(self, key: str) -> CachedCount:
        return _cached(self._use(lambda region: region.get(key)))

    def _use(self, act: Callable[[Region], Any]) -> Any:
        """Act on the region; where it is away, counts are just not cached."""
        assert self._region is not None
        began = time.monotonic()
        if began < self._away_until:
            return None
        try:
            return act(self._region)
        except Exception as error:  # whatever the cache's backend raises
            if time.monotonic() - began > _SLOW:
                self._away_until = time.monotonic() + _RETRY
            if self._log_throttle.allows(type(error).__name__):
                log.warning("Could not use the cache, counting without it is slower", error=error)
            return None


def _cached(found: Any) -> CachedCount:
    return found if isinstance(found, CachedCount) else CachedCount()


def _keys(epoch: str, question: str) -> Iterator[str]:
    name = f"{epoch}{question}"
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()
    return (prefix + digest for prefix in _KEYS)


@dataclass(frozen=True)
class CachedCount:
    """The count of the messages of a base.

    There were ``at_least`` so many up to the position ``reached``, and ``in_all`` so many at any.
    """

    count: int = 0
    base: Base | None = None
    at_least: int = 0
    reached: Position = LAST
    in_all: int = 0

    def known_at(self, until: Position) -> int:
        """Return how many there are at least up to a position, as far as that is known."""
        if until == LAST:
            return max(self.in_all, self.at_least)
        return self.at_least if self.reached <= until else 0

    def is_of_later(self, until: Position) -> bool:
        """Return True if all that is known is what there is up to a later position."""
        return self.base is None and self.at_least > 0 and until < self.reached < LAST

    def entry(self) -> Entry:
        """Return what a file keeps of it."""
        content = [self.count, self.at_least, plain_position(self.reached), self.in_all]
        return make_entry(self.base, content)

    @staticmethod
    def of(entry: Entry) -> CachedCount:
        """Return the count of an entry; raise DamagedCounts."""

        def make(base: Base | None, content: Any) -> CachedCount:
            count, at_least, reached, in_all = content
            return CachedCount(count, base, at_least, parse_position(reached), in_all)

        return read_entry(entry, make)
