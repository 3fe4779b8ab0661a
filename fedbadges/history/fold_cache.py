"""Cached folds: as ``count_cache`` has it for counts, what lies before the cutoff is read once.

A cached fold is that of a base. What the base has not is added to a copy, in order of time. If some
of that belongs before the end of the base, and the order matters, all messages are read again.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Engine

from fedbadges.databases.connections import streaming
from fedbadges.databases.outages import translate_errors
from fedbadges.history.counting import MessageResults
from fedbadges.history.fold_values import NotKept
from fedbadges.history.folds import RunningFold, Taken
from fedbadges.history.horizon import Base, OutdatedBase
from fedbadges.history.kept.file import Entry
from fedbadges.history.kept.region import Kept
from fedbadges.history.kept.text import make_entry, parse_position, plain_position, read_entry
from fedbadges.messages import Position, naive_utc
from fedbadges.rules.expressions import Fold
from fedbadges.util.instruments import CacheLookups

_NAME = "datanommer"

_lookups = CacheLookups("folds")

#: How many folds, and how many values in all of them, are cached.
_MOST_FOLDS = 50_000
_MOST_VALUES = 1_000_000

_NEVER: Position = (datetime.datetime.min, 0)


class _OutOfOrder(Exception):
    """A message belongs before one that was added, and that makes a difference."""


@dataclass(frozen=True)
class FoldReader:
    """Reads what a fold takes from the messages of a filter, up to a position."""

    taken: MessageResults[Taken]
    engine: Engine
    fold: Fold

    @property
    def until(self) -> Position | None:
        """Return the position."""
        return self.taken.counter.until


@dataclass(frozen=True)
class CachedFold:
    """The fold of the messages of a base, which nobody changes; ``last`` is the last of them."""

    base: Base | None
    running: RunningFold
    last: Position = _NEVER

    def entry(self) -> Entry:
        """Return what a file keeps of it; raise NotPlain."""
        return make_entry(self.base, [self.running.plain(), plain_position(self.last)])

    @staticmethod
    def of(fold: Fold, entry: Entry) -> CachedFold:
        """Return the cached fold of an entry; raise DamagedCounts."""

        def make(base: Base | None, content: Any) -> CachedFold:
            plain, last = content
            return CachedFold(base, RunningFold.of(fold, plain), parse_position(last))

        return read_entry(entry, make)


class Generation(NamedTuple):
    """The folds between two calls of ``forget``."""

    epoch: str
    cached: OrderedDict[tuple[int, bytes], CachedFold]


class _Place(NamedTuple):
    """Where a fold is cached, and of which epoch it is: another one begins with ``forget``."""

    epoch: str
    cached: OrderedDict[tuple[int, bytes], CachedFold]
    key: tuple[int, bytes]


class FoldCache:
    """Caches folds in memory; any number of threads may share it.

    A message may be stored until ``distance`` seconds after it was sent and still be in order.
    What is ``kept`` outlives the process.
    """

    def __init__(
        self, distance: float, now: Callable[[], float] = time.time, kept: Kept | None = None
    ) -> None:
        self._distance = distance
        self._now = now
        self._kept = kept or Kept()
        self._lock = threading.Lock()
        self._cached: OrderedDict[tuple[int, bytes], CachedFold] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._cached)

    def forget(self) -> None:
        """Forget all folds, also those that are being computed now."""
        with self._lock:
            self._cached, self._size = OrderedDict(), 0

    @property
    def generation(self) -> Generation:
        """Return what changes when folds are forgotten."""
        return Generation(self._kept.epoch, self._cached)

    def offer(
        self, generation: Generation, question: str, base: Base, running: RunningFold
    ) -> None:
        """Cache a fold that somebody found for a base, unless there is a newer one.

        It was found in this generation, and nobody changes it any more.
        """
        place = _Place(*generation, (0, _digest(question)))
        cached = self._get(place, running.fold)
        if cached is None or (base.extends(cached.base) and not cached.running.is_given_up):
            offered = CachedFold(base, running, (base.until, math.inf))
            if self._set(place, offered):
                self._kept.note(_name(place.key), offered, place.epoch)

    def note_all(self) -> None:
        """Write what is in memory to a new file."""
        with self._lock:
            cached = self._cached.copy()
        for key, fold in cached.items():
            self._kept.note(_name(key), fold)

    def result(self, question: str, reader: FoldReader, filled: tuple[Any, ...]) -> Any:
        """Return the result of a fold; raise NotKept, or what the expression raises.

        ``question`` distinguishes it from all others; ``filled`` are the values of the templates.
        """
        digest = _digest(question)
        # In this order, as ``forget`` is called before the epoch changes.
        epoch, until, now = self._kept.epoch, reader.until, naive_utc(self._now())
        # For what is behind, such as a backlog, another base moves with it.
        for slot in range(2):
            place = _Place(epoch, self._cached, (slot, digest))
            cached = self._get(place, reader.fold)
            if cached is not None and cached.running.is_given_up:
                raise NotKept
            end = None if cached is None or cached.base is None else cached.base.until
            if end is None or until is None or end < until[0]:
                break
            if end > now:  # by a clock that was wrong
                cached = None
                break
        else:
            raise NotKept
        try:
            running = self._advance(place, cached, reader)
        except (OutdatedBase, _OutOfOrder):
            running = self._advance(place, None, reader)
        return running.result(filled)

    def _advance(self, place: _Place, cached: CachedFold | None, reader: FoldReader) -> RunningFold:
        """Return the fold of all messages up to the position, and cache that of its new base."""
        _lookups.count(cached is not None)
        cutoff = naive_utc(self._now() - self._distance)
        before = cached or CachedFold(None, RunningFold(reader.fold))
        rows, base = reader.taken.outside(before.base, cutoff)
        if rows is not None:
            rows.sort(key=_order)
            running, kept = _add(before, rows, base)
        elif cached is not None:
            raise _OutOfOrder
        else:
            with translate_errors(_NAME), streaming(reader.engine) as connection:
                stream = reader.taken.stream(connection, None)
                running, kept = _add(before, _in_order(stream), base)
        is_further = kept.base is not None and kept.base.extends(before.base)
        if (kept.running.is_given_up or is_further) and self._set(place, kept):
            self._kept.note(_name(place.key), kept, place.epoch)
        return running

    def _get(self, place: _Place, fold: Fold) -> CachedFold | None:
        with self._lock:
            found = place.cached.get(place.key)
            if found is not None:
                place.cached.move_to_end(place.key)
                return found
        found = self._kept.read(_name(place.key), partial(CachedFold.of, fold))
        if found is not None:
            self._set(place, found)
        return found

    def _set(self, place: _Place, cached: CachedFold) -> bool:
        """Cache a fold; return False if folds were forgotten meanwhile."""
        key = place.key
        with self._lock:
            if place.cached is not self._cached:
                return False
            replaced = self._cached.pop(key, None)
            self._cached[key] = cached
            self._size += cached.running.size - (0 if replaced is None else replaced.running.size)
            while len(self._cached) > _MOST_FOLDS or self._size > _MOST_VALUES:
                self._size -= self._cached.popitem(last=False)[1].running.size
            return True


def _digest(question: str) -> bytes:
    return hashlib.sha256(question.encode("utf-8", "replace")).digest()


def _name(key: tuple[int, bytes]) -> str:
    slot, digest = key
    return f"fedbadges-fold-{slot}-{digest.hex()}"


def _add(
    cached: CachedFold, rows: Iterable[tuple[Any, Taken]], base: Base | None
) -> tuple[RunningFold, CachedFold]:
    """Return the fold with all rows, and the one with those that are in the new base."""
    kept = cached.running.copy()
    running: RunningFold | None = None
    last = last_kept = cached.last
    for row, taken in rows:
        position = row.timestamp, row.id
        if base is not None and base.has(*position):
            _add_one(kept, taken, position, last_kept)
            last_kept = max(last_kept, position)
        elif running is None:
            running = kept.copy()
        if running is not None:
            _add_one(running, taken, position, last)
        last = max(last, position)
    return running or kept, CachedFold(base, kept, last_kept)


def _add_one(running: RunningFold, taken: Taken, position: Position, last: Position) -> None:
    running.add(taken)
    if position < last and (taken.error is not None or not running.is_exact):
        raise _OutOfOrder


def _order(found: tuple[Any, Taken]) -> Position:
    return found[0].timestamp, found[0].id


def _in_order(stream: Iterable[tuple[Any, Taken]]) -> Iterable[tuple[Any, Taken]]:
    """Yield rows that are in order of time, those of one time in order of their numbers."""
    same: list[tuple[Any, Taken]] = []
    for found in stream:
        if same and same[0][0].timestamp != found[0].timestamp:
            yield from sorted(same, key=_order)
            same = []
        same.append(found)
    yield from sorted(same, key=_order)
