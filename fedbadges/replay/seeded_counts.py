"""Counts that begin with the database's answer, where no running count has it.

The database is asked for each only once; from then on, every message that goes by is counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from fedbadges.history.matching import Matcher, values_of
from fedbadges.replay.history_stream import HistoryEntry
from fedbadges.rules.filters import FilledFilter

#: The keys to index by, the most selective first.
_INDEX_KEYS = ("users", "packages", "agents", "topics", "categories")


@dataclass(eq=False)
class SeededCount:
    """The count of one filled filter; only messages that pass the test are counted."""

    matcher: Matcher
    passes: Callable[[Any], bool] | None
    count: int

    def see(self, entry: HistoryEntry) -> None:
        """Count a message, if it matches."""
        if self.matcher.matches(entry) and (self.passes is None or self.passes(entry)):
            self.count += 1


class SeededCounts:
    """The counts of all questions that the database was asked, indexed by a message's values."""

    def __init__(self) -> None:
        self._known: dict[Hashable, SeededCount] = {}
        self._index: dict[tuple[str, str], list[SeededCount]] = defaultdict(list)
        self._unindexed: list[SeededCount] = []

    def count(self, question: Hashable) -> int | None:
        """Return the count of a question; None if the database was not asked."""
        seeded = self._known.get(question)
        return None if seeded is None else seeded.count

    def add(
        self,
        question: Hashable,
        filled: FilledFilter,
        passes: Callable[[Any], bool] | None,
        count: int,
    ) -> None:
        """Keep the count of a question up to date from now on."""
        seeded = self._known[question] = SeededCount(Matcher(filled), passes, count)
        lists = dict(filled.lists)
        key = next((key for key in _INDEX_KEYS if key in lists), None)
        if key is None:
            self._unindexed.append(seeded)
            return
        for value in lists[key]:
            self._index[key, value].append(seeded)

    def see(self, entry: HistoryEntry) -> None:
        """Count a message for every question that it matches."""
        if self._known:
            for seeded in set(self._candidates(entry)):
                seeded.see(entry)

    def _candidates(self, entry: HistoryEntry) -> Iterator[SeededCount]:
        yield from self._unindexed
        for key in _INDEX_KEYS:
            for value in values_of(entry, key):
                yield from self._index.get((key, value), ())
