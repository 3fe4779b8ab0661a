"""Single questions that were asked once and may be asked again, for which no tally can tell.

What a question gave the first time is kept, and every message that goes by is counted for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any

from fedbadges.chronicle import Entry
from fedbadges.matching import Matcher, values_of
from fedbadges.rules.filters import FilledFilter

#: The keys of filters, the more telling the earlier.
_TELLING = ("users", "packages", "agents", "topics", "categories")


@dataclass(eq=False)
class Watch:
    """The count of one filled filter; ``passes`` tells whether a message counts at all."""

    matcher: Matcher
    passes: Callable[[Any], bool] | None
    count: int

    def see(self, entry: Entry) -> None:
        """Count a message."""
        if self.matcher.matches(entry) and (self.passes is None or self.passes(entry)):
            self.count += 1


class Watches:
    """All that are watched, found by what a message has."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Watch] = {}
        self._by_value: dict[tuple[str, str], list[Watch]] = defaultdict(list)
        self._always: list[Watch] = []

    def count(self, question: Hashable) -> int | None:
        """Give the count of a question; None if it is not watched."""
        watch = self._known.get(question)
        return None if watch is None else watch.count

    def add(
        self,
        question: Hashable,
        filled: FilledFilter,
        passes: Callable[[Any], bool] | None,
        count: int,
    ) -> None:
        """Watch a question from now on, which is at this count."""
        watch = self._known[question] = Watch(Matcher(filled), passes, count)
        lists = dict(filled.lists)
        kind = next((kind for kind in _TELLING if kind in lists), None)
        if kind is None:
            self._always.append(watch)
            return
        for value in lists[kind]:
            self._by_value[kind, value].append(watch)

    def see(self, entry: Entry) -> None:
        """Count a message for every question that it answers."""
        if self._known:
            for watch in set(self._concerned(entry)):
                watch.see(entry)

    def _concerned(self, entry: Entry) -> Iterator[Watch]:
        yield from self._always
        for kind in _TELLING:
            for value in values_of(entry, kind):
                yield from self._by_value.get((kind, value), ())
