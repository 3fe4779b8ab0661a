"""The past messages as they were when a message of the past was handled."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import PastMessages
from fedbadges.databases.connections import streaming
from fedbadges.databases.outages import translate_errors
from fedbadges.history.fold_values import NotKept
from fedbadges.history.folds import RunningFold, take
from fedbadges.history.history import History
from fedbadges.history.past_messages import PastMessage, Query, Test, make_test
from fedbadges.history.sql import prepare
from fedbadges.messages import Message, Position
from fedbadges.replay.history_stream import HistoryEntry, reads_more
from fedbadges.replay.running_counts import KeyOf, RunningCounts
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.expressions import Expression, Join
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.names import spellings
from fedbadges.rules.rule import Rule

_NAME = "datanommer"

#: The types of which equal values have equal hashes, with those that JSON has.
_SCALARS = (str, int, float, type(None))


@dataclass(frozen=True)
class Asked:
    """How often the database was asked, and for how many seconds in all."""

    questions: int = 0
    seconds: float = 0.0

    def __add__(self, other: Asked) -> Asked:
        return Asked(self.questions + other.questions, self.seconds + other.seconds)

    def __sub__(self, other: Asked) -> Asked:
        return Asked(self.questions - other.questions, self.seconds - other.seconds)


class HistoryAsOf(History):
    """Answers as the history did when the message that was seen last had been stored.

    It replaces the history behind the criteria. Most counts are running counts; others,
    such as those of sliding filters, are asked of the database. Methods that ask raise Unavailable.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        #: How often the database was asked, and for how many seconds.
        self.asked = Asked()
        self.reset(())

    def reset(self, rules: Iterable[Rule]) -> None:
        """Forget all messages, and prepare for what these rules will ask."""
        self.asked = Asked()
        self._running = RunningCounts()
        for rule in rules:
            for criterion in backend_criteria(rule.criteria):
                if isinstance(criterion, PastMessages):
                    self._expect(criterion, rule)

    def needs(self, topic: str, category: str) -> Collection[str] | None:
        """Return what it needs of the messages of this topic and category; None if not them."""
        concerned = self._running.concerned(topic, category)
        return {need for each in concerned for need in each.needs} if concerned else None

    def see(self, entry: HistoryEntry) -> None:
        """Add the next message."""
        for running in self._running.concerned(entry.topic, entry.category):
            running.add(entry)

    def count(
        self,
        filled: FilledFilter,
        enough: int | None = None,
        message: Message | None = None,
        expression: Expression | None = None,
        shared: dict[Any, Any] | None = None,
        until: Position | None = None,
        needed: int | None = None,
    ) -> int:
        """Count all messages up to a position, which must be that of the message seen last."""
        assert message is not None, "a filter is filled in by a message"
        sent = message.sent
        if expression is None:
            found, test = self._running.count(filled, None, sent), None
        else:
            values = expression.fill(message.values)
            keys = _keys(expression, values)
            text = expression.text
            found = None if keys is None else self._running.count(filled, text, sent, keys)
            test = make_test(expression, values, self._log_throttle)
        if found is None:
            with self._asking():
                found = self._count_in_database(filled, test, until)
        return found

    def fold(
        self,
        expression: Expression,
        filled: FilledFilter,
        message: Message,
        until: Position | None,
        shared: dict[Any, Any],
    ) -> Any:
        """Evaluate a fold over all messages up to a position, that of the message seen last."""
        values = expression.fill(message.values)
        kept = self._running.folds(filled, expression.text, message.sent)
        # Other values, such as lists, cannot be looked up.
        if kept is not None and all(isinstance(each, _SCALARS) for each in values):
            with contextlib.suppress(NotKept):
                found = kept.find(filled, values)
                if found is None:
                    found = self._fold_in_database(expression, filled, values, until)
                    kept.keep(filled, values, found)
                return found.result(values)
        return self.compute(expression, filled, message, until)

    def compute(
        self,
        expression: Expression,
        filled: FilledFilter,
        message: Message,
        until: Position | None = None,
    ) -> Any:
        """Evaluate an expression over the past messages up to a position; raise what it raises."""
        with self._asking():
            return super().compute(expression, filled, message, until)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self.asked += Asked(1, time.monotonic() - begin)

    def _expect(self, criterion: PastMessages, rule: Rule) -> None:
        expression = criterion.operation.expression
        chosen = criterion.filter
        if expression is None:
            self._running.add_count(chosen, rule)
        elif reads_more(expression):
            return  # the database has what a daemon finds
        elif expression.test is not None and not expression.paths:
            test = make_test(expression, (), self._log_throttle)
            passes = lambda entry: () if test(entry) else None  # noqa: E731
            self._running.add_count(chosen, rule, expression.text, passes)
        elif expression.join is not None:
            self._running.add_count(chosen, rule, expression.text, _key_of(expression.join))
        elif expression.fold is not None and criterion.filter.pages.in_order:
            self._running.add_fold(chosen, rule, expression)

    def _fold_in_database(
        self,
        expression: Expression,
        filled: FilledFilter,
        values: tuple[Any, ...],
        until: Position | None,
    ) -> RunningFold:
        fold = expression.fold
        assert fold is not None, "the expression does not fold"
        running = RunningFold(fold)
        with (
            self._asking(),
            translate_errors(_NAME, foreign=True),
            Session(self._engine) as session,
        ):
            query = prepare(session.connection(), self._name_ids, filled, until=until)
            for message in Query.of(session, query, filled.pages):
                running.add(take(fold, message, values))
        return running

    def _count_in_database(
        self, filled: FilledFilter, test: Test | None, until: Position | None
    ) -> int:
        if test is None:
            with translate_errors(_NAME), self._reader.connect() as connection:
                query = prepare(connection, self._name_ids, filled, until=until)
                return query.count(connection)[1]
        with translate_errors(_NAME), streaming(self._engine) as connection:
            rows = prepare(connection, self._name_ids, filled, until=until).messages(connection)
            return sum(test(PastMessage(row, connection)) for row in rows)


def _key_of(join: Join) -> KeyOf:
    """Return what makes of a message the key by which it counts, if it does for anybody."""

    def key_of(entry: HistoryEntry) -> tuple[Any, ...] | None:
        # What raises does not count, whatever the values of the templates.
        with contextlib.suppress(Exception):
            key: tuple[Any, ...] = join.key(entry, ())
            # Any other value equals none that is asked for.
            if key and all(isinstance(each, _SCALARS) and each == each for each in key):
                return key
        return None

    return key_of


def _keys(expression: Expression, values: tuple[Any, ...]) -> list[tuple[Any, ...]] | None:
    """Return the keys of the messages that count for some values; None if that is not known."""
    if not expression.paths:
        return [()]
    if expression.join is None:
        return None
    try:
        wanted = expression.join.wanted(None, values)
    except Exception:  # as the plain expression does, for each message
        return None
    if not all(isinstance(each, _SCALARS) and each == each for each in wanted):
        return None
    return list(itertools.product(*map(spellings, wanted)))
