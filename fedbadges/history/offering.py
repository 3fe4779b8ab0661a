"""Caching what was counted for everybody at once, rather than by a question about one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from fedbadges.history.folds import RunningFold
from fedbadges.history.history import History
from fedbadges.history.kept.file import Entry
from fedbadges.history.kept.region import Kept
from fedbadges.history.kept.text import make_entry
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter


class Offer:
    """Offers counts and folds of one base to the caches of a history.

    The ``base`` is chosen when the offer begins. What is offered is dropped if there is something
    newer by then, or if the history was replaced; then the offer ``is_outdated``.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        # Before the base, so that none of a history that was replaced is offered.
        self._epoch = history.counts.epoch
        self._generation = None if history.folds is None else history.folds.generation
        self.base = history.base()

    @property
    def is_outdated(self) -> bool:
        """Return True if the history was replaced."""
        return self._history.counts.epoch != self._epoch

    def add(
        self, filled: FilledFilter, expression: Expression | None, found: int | RunningFold
    ) -> None:
        """Offer what was found for a filter; the expression has no templates."""
        history = self._history
        question = history.question(filled, expression)
        if question is None:
            return
        if isinstance(found, int):
            history.counts.offer(self._epoch, question, self.base, found)
        elif history.folds is not None and self._generation is not None:
            history.folds.offer(self._generation, question, self.base, found)


class Marks:
    """Remembers in the file of counts which questions were counted for everybody, by their names.

    So they are forgotten with the counts.
    """

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._epoch = kept.epoch

    def has(self, name: str) -> bool:
        """Return True if a question is marked."""
        return self._kept.read(_key(name), lambda _: True) is not None

    def add(self, names: Iterable[str]) -> None:
        """Mark questions; also those that are, as the file drops what was written the longest ago.

        What was offered before is written before.
        """
        for name in names:
            self._kept.note(_key(name), _Mark(), self._epoch)


@dataclass(frozen=True)
class _Mark:
    def entry(self) -> Entry:
        """Return what the file keeps of it."""
        return make_entry(None, None)


def _key(name: str) -> str:
    return f"fedbadges-counted-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}"
