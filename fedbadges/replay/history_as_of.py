"""The past messages as they were when a message of the past was handled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import PastMessages
from fedbadges.databases.connections import engine, reader, streaming
from fedbadges.databases.outages import translate_errors
from fedbadges.history.evaluation import Test, evaluate, tolerant
from fedbadges.history.matching import Matcher
from fedbadges.history.past_messages import UnparsedMessage
from fedbadges.history.sql import NameIds, prepare
from fedbadges.messages import Message
from fedbadges.replay.grouped_filters import GroupedFilter, asks_for_own_topic, group
from fedbadges.replay.history_stream import HistoryEntry, HistoryStream
from fedbadges.replay.running_counts import Passes, RunningCount, RunningCounts, TopicScope
from fedbadges.replay.seeded_counts import SeededCounts
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.operations import LambdaOperation
from fedbadges.rules.rule import Rule
from fedbadges.util.throttle import Throttle

_NAME = "datanommer"


class HistoryAsOf:
    """Answers as the history did when the message that was seen last had been stored.

    It replaces ``history.History`` behind the criteria. Most counts are running counts; others,
    such as those of sliding filters, are asked of the database, up to the position of that
    message. Methods that ask raise Unavailable.
    """

    def __init__(self, settings: Settings, stream: HistoryStream) -> None:
        self._stream = stream
        self._engine = engine(settings.history_url)
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._name_ids = NameIds()
        self._log_throttle = Throttle()
        self.reset(())

    def reset(self, rules: Iterable[Rule]) -> None:
        """Forget all messages, and prepare for what these rules will ask."""
        self._current: HistoryEntry | None = None
        self._running = RunningCounts()
        self._seeded = SeededCounts()
        #: Those that only tell which messages seeded counts must see.
        self._uncounted: list[RunningCount] = []
        self._by_own_id = False
        self._duplicated_ids: set[str] = set()
        scopes: dict[GroupedFilter, TopicScope] = defaultdict(TopicScope)
        for rule in rules:
            for criterion in backend_criteria(rule.criteria):
                if isinstance(criterion, PastMessages):
                    self._expect(criterion, rule, scopes)

    def needs(self, topic: str, category: str) -> bool:
        """Return True if it must see the messages of this topic and category."""
        return self._running.may_count(topic, category) or any(
            each.may_count(topic, category) for each in self._uncounted
        )

    def prefetch(self, entries: Sequence[HistoryEntry]) -> None:
        """Read, in one query, what the entries seen next need to know."""
        if self._by_own_id:
            self._duplicated_ids = self._stream.duplicated_ids(entries)

    def see(self, entry: HistoryEntry) -> None:
        """Add the next message."""
        self._current = entry
        self._running.see(entry)
        self._seeded.see(entry)

    def count(
        self, filled: FilledFilter, enough: int | None = None, message: Message | None = None
    ) -> int:
        """Count all messages up to the current one that a filter selects."""
        found = self._running.count(filled, None)
        return self._seeded_count(filled, None, None) if found is None else found

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
        return self._seeded_count(filled, passes, repr(test_key))

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
        operation, test, passes = criterion.operation, None, None
        if isinstance(operation, LambdaOperation):
            if operation.expression.test is None:
                return
            test, passes = operation.expression.text, self._passes(operation.expression)
        grouped = group(criterion.filter, test)
        if grouped is None or grouped.is_sliding:
            return
        scope = scopes[grouped]
        scope.add(rule, own_topic=asks_for_own_topic(criterion.filter))
        if grouped.is_countable and (passes is not None or test is None):
            self._running.add(grouped, scope, passes)
        else:
            self._uncounted.append(RunningCount(grouped, scope))
            self._by_own_id |= "msg_id" in grouped.group_by

    def _passes(self, expression: Expression) -> Passes | None:
        """Return an operation's test, if it is the same for all messages."""
        test = expression.test
        if test is None or expression.paths:
            return None
        return tolerant(
            lambda message: test(message, ()), (expression.text, ()), self._log_throttle
        )

    def _seeded_count(
        self, filled: FilledFilter, passes: Passes | None, test_key: str | None
    ) -> int:
        """Count by the database, or by what it said before and the messages since."""
        last = self._last
        if filled.msg_id is not None and self._is_only(last, filled.msg_id):
            matches = Matcher(filled).matches(last)
            return int(matches and (passes is None or passes(last)))
        if filled.sliding or filled.msg_id is not None:
            return self._count_in_database(filled, passes)
        question = (filled.lists, filled.start, filled.end, test_key)
        count = self._seeded.count(question)
        if count is None:
            count = self._count_in_database(filled, passes)
            self._seeded.add(question, filled, passes, count)
        return count

    def _is_only(self, entry: HistoryEntry, msg_id: str) -> bool:
        """Return True if this message, and no other, has the id."""
        return self._by_own_id and msg_id == entry.msg_id and msg_id not in self._duplicated_ids

    def _count_in_database(self, filled: FilledFilter, passes: Callable[[Any], bool] | None) -> int:
        until = self._last.position
        if passes is None:
            with translate_errors(_NAME), self._reader.connect() as connection:
                query = prepare(connection, self._name_ids, filled, until=until)
                return 0 if query is None else query.count(connection, until[0])[1]
        with translate_errors(_NAME), streaming(self._engine) as connection:
            query = prepare(connection, self._name_ids, filled, until=until)
            rows = () if query is None else query.messages(connection)
            return sum(passes(UnparsedMessage(row, connection)) for row in rows)
