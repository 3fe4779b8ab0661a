"""Counts that the database was asked for once, since no running count tells them.

What a question gave the first time is kept, and every message that goes by is counted for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from fedbadges.replay.chronicle import HistoryEntry
from fedbadges.replay.matching import Matcher, values_of
from fedbadges.rules.filters import FilledFilter

#: The keys of filters, the more telling the earlier.
_TELLING = ("users", "packages", "agents", "topics", "categories")


@dataclass(eq=False)
class AskedCount:
    """The count of one filled filter; ``passes`` tells whether a message counts at all."""

    matcher: Matcher
    passes: Callable[[Any], bool] | None
    count: int

    def see(self, entry: HistoryEntry) -> None:
        """Count a message."""
        if self.matcher.matches(entry) and (self.passes is None or self.passes(entry)):
            self.count += 1


class AskedCounts:
    """All that were asked for, found by what a message has."""

    def __init__(self) -> None:
        self._known: dict[Hashable, AskedCount] = {}
        self._by_value: dict[tuple[str, str], list[AskedCount]] = defaultdict(list)
        self._always: list[AskedCount] = []

    def count(self, question: Hashable) -> int | None:
        """Give the count of a question; None if nobody asked for it."""
        asked = self._known.get(question)
        return None if asked is None else asked.count

    def add(
        self,
        question: Hashable,
        filled: FilledFilter,
        passes: Callable[[Any], bool] | None,
        count: int,
    ) -> None:
        """Keep the count of a question from now on, which is at this one."""
        asked = self._known[question] = AskedCount(Matcher(filled), passes, count)
        lists = dict(filled.lists)
        kind = next((kind for kind in _TELLING if kind in lists), None)
        if kind is None:
            self._always.append(asked)
            return
        for value in lists[kind]:
            self._by_value[kind, value].append(asked)

    def see(self, entry: HistoryEntry) -> None:
        """Count a message for every question that it answers."""
        if self._known:
            for asked in set(self._concerned(entry)):
                asked.see(entry)

    def _concerned(self, entry: HistoryEntry) -> Iterator[AskedCount]:
        yield from self._always
        for kind in _TELLING:
            for value in values_of(entry, kind):
                yield from self._by_value.get((kind, value), ())
