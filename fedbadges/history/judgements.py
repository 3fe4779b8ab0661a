"""Judgements that a message stored later may change.

A message is judged as of its position. If another one that belongs before it is stored only later,
it was judged too early, and must be judged again.
"""

import bisect
import itertools
import math
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import reader
from fedbadges.databases.outages import translate_errors
from fedbadges.history.history import History
from fedbadges.history.horizon import Horizon
from fedbadges.history.matching import MULTI_VALUED, SINGLE_VALUED, Matcher, values_of
from fedbadges.history.message_reader import MessageHeader
from fedbadges.history.window_reader import LOOK_BACK, RecentMessage, read_rows
from fedbadges.messages import Position, naive_utc
from fedbadges.rules.filters import FilledFilter

#: How many judgements are remembered at most.
_MOST = 10_000


@dataclass(frozen=True)
class _Judgement:
    position: Position
    horizon: Horizon
    filters: frozenset[FilledFilter]
    made: float

    def misses(self, late: RecentMessage) -> bool:
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

    def horizon(self, position: Position) -> Horizon:
        """Return what of the history is seen at least if this position is judged from now on."""
        seen, number = self._history.seen(), int(position[1])
        if number <= seen.mark:
            return seen
        # What is being committed has numbers that are at most so much lower.
        return Horizon(max(seen.mark, number - LOOK_BACK), seen.gaps)

    def add(self, position: Position, horizon: Horizon, filters: Iterable[FilledFilter]) -> None:
        """Remember that a message was judged, with the filters of what it did not earn."""
        made = time.monotonic()
        judgement = _Judgement(position, horizon, frozenset(filters), made)
        with self._lock:
            self._by_number.pop(position[1], None)
            self._by_number[position[1]] = judgement
            while len(self._by_number) > _MOST or self._oldest.made < made - self._distance:
                del self._by_number[self._oldest.position[1]]

    def forget(self) -> None:
        """Forget all judgements and the history they were made of, as it was replaced."""
        self._history.forget()
        with self._lock:
            self._by_number.clear()

    def outdated(self, rows: Sequence[MessageHeader]) -> list[int]:
        """Return the row numbers of what was judged too early for these rows to count."""
        with self._lock:
            judgements = list(self._by_number.values())
        late = _late(judgements, rows)
        if not late:
            return []
        with translate_errors("datanommer"), self._reader.connect() as connection:
            found = _LateMessages(read_rows(connection, late))
        return [int(each.position[1]) for each in judgements if found.concern(each)]

    @property
    def _oldest(self) -> _Judgement:
        return next(iter(self._by_number.values()))


class _LateMessages:
    """Messages that were stored late, looked through once for each filter."""

    def __init__(self, messages: Sequence[RecentMessage]) -> None:
        self._messages = messages
        self._values = {
            key: {value for each in messages for value in values_of(each, key)}
            for key in (*SINGLE_VALUED, *MULTI_VALUED)
        }
        self._selected: dict[FilledFilter, list[RecentMessage]] = {}

    def concern(self, judgement: _Judgement) -> bool:
        """Return True if a filter of a judgement may select a message that it misses."""
        return any(
            judgement.misses(late)
            for filled in judgement.filters
            for late in self._selected_by(filled)
        )

    def _selected_by(self, filled: FilledFilter) -> list[RecentMessage]:
        if filled not in self._selected:
            self._selected[filled] = self._select(filled)
        return self._selected[filled]

    def _select(self, filled: FilledFilter) -> list[RecentMessage]:
        # Most filters are about other people.
        if any(
            self._values[key].isdisjoint(texts)
            for key, texts in filled.lists
            if key in self._values
        ):
            return []
        matcher = Matcher(filled)
        # What messages contain is not known here.
        return [each for each in self._messages if matcher.reads_content or matcher.matches(each)]


def _late(judgements: Sequence[_Judgement], rows: Sequence[MessageHeader]) -> list[int]:
    """Return the numbers of those rows that belong before something judged without them."""
    lowest_mark = min((each.horizon.mark for each in judgements), default=math.inf)
    gaps = frozenset().union(*{each.horizon.gaps for each in judgements})
    rows = [
        row
        for row in rows
        if row.damage is None and (row.number > lowest_mark or row.number in gaps)
    ]
    if not rows:
        return []
    judgements = sorted(judgements, key=lambda each: each.position)
    positions = [each.position for each in judgements]
    marks = [each.horizon.mark for each in reversed(judgements)]
    # The lowest mark of each judgement and all that are later.
    lowest = list(itertools.accumulate(marks, min))[::-1]
    late: list[int] = []
    for row in rows:
        first = bisect.bisect_right(positions, (naive_utc(row.sent), row.number))
        if first < len(lowest) and (row.number > lowest[first] or row.number in gaps):
            late.append(row.number)
    return late
