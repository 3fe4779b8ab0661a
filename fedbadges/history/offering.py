"""Caching what was counted for everybody at once, rather than by a question about one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fedbadges.history.folds import RunningFold
from fedbadges.history.history import History, SharedRegion
from fedbadges.history.kept.file import FORMAT, Entry
from fedbadges.history.kept.region import Kept
from fedbadges.history.kept.text import make_entry, read_entry
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


class Marks(Protocol):
    """Remembers beside the counts which questions were counted for everybody, by their names.

    So they are forgotten with the counts.
    """

    @property
    def where(self) -> tuple[object, ...]:
        """Return what is another one where all marks are forgotten."""

    def find(self, name: str) -> bool | None:
        """Return if counting a question was given up; None if it is not marked."""

    def add(self, questions: Mapping[str, bool]) -> None:
        """Mark questions, and if they were given up; also those that are marked already.

        What was offered before is written before.
        """


def marks_of(history: History) -> Marks | None:
    """Return the marks beside the counts of a history; None if its counts are nowhere kept."""
    kept = history.kept
    if kept is not None:
        return None if kept.file is None else _FileMarks(kept)
    return None if history.shared is None else _SharedMarks(history.shared, history.counts.epoch)


class _FileMarks:
    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._epoch = kept.epoch

    @property
    def where(self) -> tuple[object, ...]:
        return self._kept.file, self._kept.epoch

    def find(self, name: str) -> bool | None:
        return self._kept.read(_key(name), lambda entry: read_entry(entry, lambda _, mark: mark))

    def add(self, questions: Mapping[str, bool]) -> None:
        # Also those that are marked, as the file drops what was written the longest ago.
        for name, given_up in questions.items():
            self._kept.note(_key(name), _Mark(given_up), self._epoch)


class _SharedMarks:
    """In a cache that daemons share, of any number of histories."""

    def __init__(self, shared: SharedRegion, epoch: str) -> None:
        self._shared = shared
        self._epoch = epoch

    @property
    def where(self) -> tuple[object, ...]:
        return self._shared, self._epoch

    def find(self, name: str) -> bool | None:
        found = self._shared.region.get(self._key(name))
        return found if isinstance(found, bool) else None

    def add(self, questions: Mapping[str, bool]) -> None:
        for name, given_up in questions.items():
            self._shared.region.set(self._key(name), given_up)

    def _key(self, name: str) -> str:
        return _key(repr((FORMAT, self._shared.database, self._epoch, name)))


@dataclass(frozen=True)
class _Mark:
    given_up: bool

    def entry(self) -> Entry:
        """Return what the file keeps of it."""
        return make_entry(None, self.given_up)


def _key(name: str) -> str:
    return f"fedbadges-counted-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()}"
