"""The past messages as they were when a message of the past was handled."""

from collections.abc import Iterable
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import PastMessages
from fedbadges.databases.connections import streaming
from fedbadges.databases.outages import translate_errors
from fedbadges.history.history import History
from fedbadges.history.past_messages import PastMessage, Test, make_test
from fedbadges.history.sql import prepare
from fedbadges.messages import Message, Position
from fedbadges.replay.history_stream import HistoryEntry
from fedbadges.replay.running_counts import RunningCounts
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.rule import Rule

_NAME = "datanommer"


class HistoryAsOf(History):
    """Answers as the history did when the message that was seen last had been stored.

    It replaces the history behind the criteria. Most counts are running counts; others,
    such as those of sliding filters, are asked of the database. Methods that ask raise Unavailable.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.reset(())

    def reset(self, rules: Iterable[Rule]) -> None:
        """Forget all messages, and prepare for what these rules will ask."""
        self._running = RunningCounts()
        for rule in rules:
            for criterion in backend_criteria(rule.criteria):
                if isinstance(criterion, PastMessages):
                    self._expect(criterion, rule)

    def needs(self, topic: str, category: str) -> bool:
        """Return True if it must see the messages of this topic and category."""
        return bool(self._running.concerned(topic, category))

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
        if expression is None:
            found, test = self._running.count(filled, None), None
        else:
            values = expression.fill({} if message is None else message.body)
            # With values of the message it is another test for each.
            found = None if values else self._running.count(filled, expression.text)
            test = make_test(expression, values, self._log_throttle)
        return self._count_in_database(filled, test, until) if found is None else found

    def _expect(self, criterion: PastMessages, rule: Rule) -> None:
        expression = criterion.operation.expression
        if expression is None:
            self._running.add(criterion.filter, rule)
        elif expression.test is not None and not expression.paths:
            test = make_test(expression, (), self._log_throttle)
            self._running.add(criterion.filter, rule, expression.text, test)

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
