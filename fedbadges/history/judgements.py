"""Judgements that a message stored later may change.

A message is judged as of its position. If another one that belongs before it is stored only later,
it was judged too early, and must be judged again.
"""

import bisect
import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.history.history import History
from fedbadges.history.horizon import Horizon
from fedbadges.history.matching import Matcher
from fedbadges.history.message_reader import MessageHeader
from fedbadges.history.window.reader import LOOK_BACK, RecentMessage, read_rows
from fedbadges.messages import Position, naive_utc
from fedbadges.rules.filters import FilledFilter

#: How many judgements are remembered at most, and how many filters they have together at most.
_MOST, _MOST_FILTERS = 10_000, 200_000

#: Where a filter is indexed for which no value of a message is needed.
_ANY = ("", "")


@dataclass(frozen=True)
class _Judgement:
    position: Position
    horizon: Horizon
    filters: frozenset[FilledFilter]
    made: float

    def missed(self, late: RecentMessage) -> bool:
        """Return True if a message belongs before the judged one, and was not seen."""
        return (late.timestamp, late.id) < self.position and not self.horizon.has(late.id)


class Judgements:
    """Remembers what was judged in the last ``badges.keep_counts_distance`` seconds; thread-safe.

    Only messages that did not earn all they could are worth remembering.
    """

    def __init__(self, settings: Settings, history: History) -> None:
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._history = history
        self._distance = settings.keep_counts_distance
        self._lock = threading.Lock()
        self._by_number: dict[float, _Judgement] = {}
        # How many filters these have together.
        self._filters = 0

    def horizon(self, position: Position) -> Horizon:
        """Return what of the history is seen at least if this position is judged from now on."""
        number = int(position[1])
        seen = self._history.seen(number)
        if number <= seen.mark:
            return seen
        # What is being committed has numbers that are at most so much lower.
        return Horizon(max(seen.mark, number - LOOK_BACK), seen.gaps)

    def add(self, position: Position, horizon: Horizon, filters: Iterable[FilledFilter]) -> None:
        """Remember that a message was judged, with the filters of what it did not earn."""
        made = time.monotonic()
        judgement = _Judgement(position, horizon, frozenset(filters), made)
        with self._lock:
            self._remove(position[1])
            self._by_number[position[1]] = judgement
            self._filters += len(judgement.filters)
            while (
                len(self._by_number) > _MOST
                # A message may name hundreds of people, each with filters of their own.
                or self._filters > _MOST_FILTERS
                or (self._by_number and self._oldest.made < made - self._distance)
            ):
                self._remove(self._oldest.position[1])

    def forget(self) -> None:
        """Forget all judgements and the history they were made of, as it was replaced."""
        self._history.forget()
        with self._lock:
            self._by_number.clear()
            self._filters = 0

    def outdated(self, rows: Sequence[MessageHeader]) -> list[int]:
        """Return the row numbers of what was judged too early for these rows to count."""
        with self._lock:
            judgements = sorted(self._by_number.values(), key=lambda each: each.position)
        late = _late(judgements, rows)
        if not late:
            return []
        with translate_errors("datanommer"), self._reader.connect() as connection:
            found = read_rows(connection, late)
        judged = _ByFilter(judgements)
        positions = {each.position for row in found for each in judged.too_early(row)}
        if positions:  # or they would be counted as they were
            self._history.refresh()
        return [int(number) for _, number in sorted(positions)]

    @property
    def _oldest(self) -> _Judgement:
        return next(iter(self._by_number.values()))

    def _remove(self, number: float) -> None:
        removed = self._by_number.pop(number, None)
        self._filters -= 0 if removed is None else len(removed.filters)


class _ByFilter:
    """Judgements by their filters, indexed so that a message is compared with few of them."""

    def __init__(self, judgements: Iterable[_Judgement]) -> None:
        self._judgements: dict[FilledFilter, list[_Judgement]] = defaultdict(list)
        for each in judgements:
            for filled in each.filters:
                self._judgements[filled].append(each)
        self._matchers: dict[tuple[str, str], list[tuple[FilledFilter, Matcher]]]
        self._matchers = defaultdict(list)
        for filled in self._judgements:
            matcher = Matcher(filled)
            for key in _index_keys(filled):
                self._matchers[key].append((filled, matcher))

    def too_early(self, late: RecentMessage) -> Iterator[_Judgement]:
        """Yield the judgements for which a message was stored too late."""
        keys = [_ANY, ("topics", late.topic), *(("users", name) for name in late.users)]
        for filled, matcher in itertools.chain.from_iterable(map(self._matchers_of, keys)):
            if matcher.reads_content or matcher.matches(late):
                yield from (each for each in self._judgements[filled] if each.missed(late))

    def _matchers_of(self, key: tuple[str, str]) -> Sequence[tuple[FilledFilter, Matcher]]:
        return self._matchers.get(key, ())


def _index_keys(filled: FilledFilter) -> Iterable[tuple[str, str]]:
    """Return the values of which a message must have one for the filter to select it."""
    lists = dict(filled.lists)
    key = next((key for key in ("users", "topics") if key in lists), None)
    return [_ANY] if key is None else {(key, value) for value in lists[key]}


def _late(judgements: Sequence[_Judgement], rows: Sequence[MessageHeader]) -> list[int]:
    """Return the numbers of those rows that belong before something judged without them."""
    if not judgements:
        return []
    positions = [each.position for each in judgements]
    marks = [each.horizon.mark for each in reversed(judgements)]
    # The lowest mark of each judgement and all that are later.
    lowest = list(itertools.accumulate(marks, min))[::-1]
    gaps = frozenset().union(*{each.horizon.gaps for each in judgements})
    late: list[int] = []
    for row in rows:
        if row.damage is not None:
            continue
        first = bisect.bisect_right(positions, (naive_utc(row.sent), row.number))
        if first < len(lowest) and (row.number > lowest[first] or row.number in gaps):
            late.append(row.number)
    return late
