"""The past messages as they were when a message of the past was handled."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import PastMessages
from fedbadges.databases.connections import streaming
from fedbadges.databases.outages import translate_errors
from fedbadges.history.evaluation import Test, evaluate, tolerant
from fedbadges.history.history import History
from fedbadges.history.matching import Matcher
from fedbadges.history.past_messages import UnparsedMessage
from fedbadges.history.sql import prepare
from fedbadges.messages import Message
from fedbadges.replay.history_stream import HistoryEntry, HistoryStream
from fedbadges.replay.running_counts import (
    GroupedFilter,
    Passes,
    RunningCounts,
    TopicScope,
    asks_for_own_topic,
    group,
)
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.rule import Rule

_NAME = "datanommer"


class HistoryAsOf(History):
    """Answers as the history did when the message that was seen last had been stored.

    It replaces the history behind the criteria. Most counts are running counts; others,
    such as those of sliding filters, are asked of the database, up to the position of that
    message. Methods that ask raise Unavailable.
    """

    def __init__(self, settings: Settings, stream: HistoryStream) -> None:
        super().__init__(settings)
        self._stream = stream
        self.reset(())

    def reset(self, rules: Iterable[Rule]) -> None:
        """Forget all messages, and prepare for what these rules will ask."""
        self._current: HistoryEntry | None = None
        self._running = RunningCounts()
        self._by_own_id = False
        self._duplicated_ids: set[str] = set()
        scopes: dict[GroupedFilter, TopicScope] = defaultdict(TopicScope)
        for rule in rules:
            for criterion in backend_criteria(rule.criteria):
                if isinstance(criterion, PastMessages):
                    self._expect(criterion, rule, scopes)

    def needs(self, topic: str, category: str) -> bool:
        """Return True if it must see the messages of this topic and category."""
        return self._running.may_count(topic, category)

    def prefetch(self, entries: Sequence[HistoryEntry]) -> None:
        """Read, in one query, what the entries seen next need to know."""
        if self._by_own_id:
            self._duplicated_ids = self._stream.duplicated_ids(entries)

    def see(self, entry: HistoryEntry) -> None:
        """Add the next message."""
        self._current = entry
        self._running.see(entry)

    def count(
        self, filled: FilledFilter, enough: int | None = None, message: Message | None = None
    ) -> int:
        """Count all messages up to the current one that a filter selects."""
        found = self._running.count(filled, None)
        return self._fallback_count(filled, None) if found is None else found

    def count_where(
        self,
        filled: FilledFilter,
        test: Test,
        test_key: tuple[Any, ...],
        enough: int | None = None,
        message: Message | None = None,
        shared: dict[Any, Any] | None = None,
    ) -> int:
        """Count those of them that pass a test."""
        text, values = test_key
        # With values of the message it is another test for each.
        found = None if values else self._running.count(filled, text)
        if found is not None:
            return found
        passes = tolerant(test, test_key, self._log_throttle)
        return self._fallback_count(filled, passes)

    def compute(self, expression: Expression, filled: FilledFilter, message: Message) -> Any:
        """Evaluate an expression over the messages up to the current one."""
        until = self._last.position
        return evaluate(self._engine, self._name_ids, expression, filled, message, until)

    @property
    def _last(self) -> HistoryEntry:
        assert self._current is not None, "no message was seen yet"
        return self._current

    def _expect(
        self, criterion: PastMessages, rule: Rule, scopes: dict[GroupedFilter, TopicScope]
    ) -> None:
        test: str | None = None
        passes: Passes | None = None
        expression = criterion.operation.expression
        if expression is not None:
            if (call := expression.test) is None:
                return
            test = expression.text
            if not expression.paths:
                test_key = test, ()
                passes = tolerant(lambda message: call(message, ()), test_key, self._log_throttle)
        grouped = group(criterion.filter, test)
        if grouped is None:
            return
        self._by_own_id |= "msg_id" in grouped.group_by
        if grouped.is_countable and (passes is not None or test is None):
            scope = scopes[grouped]
            scope.add(rule, own_topic=asks_for_own_topic(criterion.filter))
            self._running.add(grouped, scope, passes)

    def _fallback_count(self, filled: FilledFilter, passes: Passes | None) -> int:
        last, until = self._last, self._last.position
        if filled.msg_id is not None and self._is_only(last, filled.msg_id):
            matches = Matcher(filled).matches(last)
            return int(matches and (passes is None or passes(last)))
        if passes is None:
            with translate_errors(_NAME), self._reader.connect() as connection:
                query = prepare(connection, self._name_ids, filled, until=until)
                return 0 if query is None else query.count(connection, until[0])[1]
        with translate_errors(_NAME), streaming(self._engine) as connection:
            query = prepare(connection, self._name_ids, filled, until=until)
            rows = () if query is None else query.messages(connection)
            return sum(passes(UnparsedMessage(row, connection)) for row in rows)

    def _is_only(self, entry: HistoryEntry, msg_id: str) -> bool:
        return self._by_own_id and msg_id == entry.msg_id and msg_id not in self._duplicated_ids
