"""Counts in memory, and behind them a file, from which they are read when they are first asked for.

Writing waits for nobody: what has changed is noted, and written by somebody else. So a crash loses
the last progress of counts. What is left is true, since the rows that a base has do not change.
"""

import datetime
import functools
import json
import math
import threading
from collections.abc import Mapping
from typing import Any

from fedbadges.history.count_cache import LAST, CachedCount
from fedbadges.history.count_file import CountFile, DamagedCounts, Entry, is_damage
from fedbadges.history.horizon import Base, Horizon
from fedbadges.history.window_reader import RecentMessage, SavedWindow
from fedbadges.messages import Position
from fedbadges.util.caching import BoundedDict

#: How many counts are in memory at most, and how many may wait to be written.
_MOST = 200_000
_MOST_CHANGED = 100_000

#: How many horizons of the file are in memory once for all counts that have them.
_MOST_HORIZONS = 1000


class KeptCounts:
    """A region of counts that may have a file behind it; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # None for what the file does not have.
        self._memory: BoundedDict[str, CachedCount | None] = BoundedDict(_MOST)
        self._changed: BoundedDict[str, CachedCount] = BoundedDict(_MOST_CHANGED)
        self._file: CountFile | None = None
        #: What was found to be wrong with the file, which is not used any more then.
        self.failure: Exception | None = None

    def get(self, key: str) -> CachedCount | None:
        """Return a count; None if there is none."""
        file, memory = self._file, self._memory
        if file is None or key in memory:
            return memory.get(key)
        try:
            entry = file.read(key)
            found = None if entry is None else parse_count(entry)
        except Exception as error:  # a count is not worth failing for, whatever it is
            if is_damage(error):
                self._give_up(file, error)
            return None
        if key not in memory:
            memory[key] = found
        return found

    def set(self, key: str, value: CachedCount) -> None:
        """Cache a count, and note that it must be written."""
        self._memory[key] = value
        if self._file is not None:
            with self._lock:
                self._changed[key] = value

    def attach(self, file: CountFile) -> None:
        """Read from a file what is not in memory, and write there what is."""
        with self._lock:
            known = {key: value for key, value in self._memory.copy().items() if value is not None}
            self._memory, self._changed = BoundedDict(_MOST), BoundedDict(_MOST_CHANGED)
            self._memory.update(known)
            for key, value in known.items():
                self._changed[key] = value
            self._file, self.failure = file, None

    def detach(self) -> None:
        """Go on in memory alone."""
        with self._lock:
            self._file = self.failure = None

    def forget(self) -> None:
        """Drop what is in memory and what must be written."""
        with self._lock:
            self._memory, self._changed = BoundedDict(_MOST), BoundedDict(_MOST_CHANGED)

    def take(self) -> Mapping[str, CachedCount]:
        """Return what must be written, and regard it as written."""
        with self._lock:
            changed, self._changed = self._changed, BoundedDict(_MOST_CHANGED)
        return changed

    def put_back(self, changed: Mapping[str, CachedCount]) -> None:
        """Note again what could not be written."""
        with self._lock:
            for key, value in changed.items():
                if key not in self._changed:
                    self._changed[key] = value

    def _give_up(self, file: CountFile, error: Exception) -> None:
        with self._lock:
            if self._file is file:
                self._file, self.failure = None, error


def count_entry(cached: CachedCount) -> Entry:
    """Return a count as text."""
    base, horizon = cached.base, ""
    if base is not None:
        horizon = _horizon_text(base.horizon)
    value = [
        cached.count,
        None if base is None else base.until.isoformat(),
        cached.at_least,
        _plain_position(cached.reached),
    ]
    return Entry(json.dumps(value), horizon)


def parse_count(entry: Entry) -> CachedCount:
    """Return the count that an entry has; raise DamagedCounts."""
    try:
        count, until, at_least, reached = json.loads(entry.value)
        base = None
        if until is not None:
            base = Base(datetime.datetime.fromisoformat(until), _parse_horizon(entry.horizon))
        return CachedCount(count, base, at_least, _parse_position(reached))
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedCounts(repr(error)) from None


def plain_window(saved: SavedWindow | None) -> Any:
    """Return a window as plain values for JSON."""
    if saved is None:
        return None
    msg_id, sent = saved.last
    return {
        "lineage": saved.lineage,
        "mark": saved.mark,
        "last": [msg_id, None if sent is None else sent.isoformat()],
        "gaps": saved.gaps,
        "cutoff": saved.cutoff.isoformat(),
        "late": [row._replace(timestamp=row.timestamp.isoformat()) for row in saved.late],  # type: ignore[arg-type]
    }


def parse_window(plain: Any) -> SavedWindow | None:
    """Return the window that plain values have; raise DamagedCounts."""
    if plain is None:
        return None
    try:
        msg_id, sent = plain["last"]
        return SavedWindow(
            plain["lineage"],
            plain["mark"],
            (msg_id, None if sent is None else datetime.datetime.fromisoformat(sent)),
            tuple(plain["gaps"]),
            datetime.datetime.fromisoformat(plain["cutoff"]),
            tuple(map(_parse_row, plain["late"])),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedCounts(repr(error)) from None


def _parse_row(plain: Any) -> RecentMessage:
    row = RecentMessage(*plain)
    return row._replace(
        timestamp=datetime.datetime.fromisoformat(plain[3]),
        users=tuple(row.users),
        packages=tuple(row.packages),
    )


@functools.lru_cache(maxsize=100)
def _horizon_text(horizon: Horizon) -> str:
    return json.dumps([horizon.mark, sorted(horizon.gaps), horizon.lineage])


@functools.lru_cache(maxsize=_MOST_HORIZONS)
def _parse_horizon(text: str) -> Horizon:
    mark, gaps, lineage = json.loads(text)
    return Horizon(mark, frozenset(gaps), lineage)


def _plain_position(position: Position) -> Any:
    if position == LAST:
        return None
    sent, number = position
    return [sent.isoformat(), None if number == math.inf else number]


def _parse_position(plain: Any) -> Position:
    if plain is None:
        return LAST
    sent, number = plain
    return datetime.datetime.fromisoformat(sent), math.inf if number is None else number
