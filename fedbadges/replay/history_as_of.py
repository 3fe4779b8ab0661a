"""The past messages as they were when a message of the past was handled."""

from __future__ import annotations

import datetime
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import PastMessages
from fedbadges.databases.connections import engine, reader, streaming
from fedbadges.databases.outages import translate_errors
from fedbadges.history.evaluation import Test, evaluate, passing
from fedbadges.history.query import UnreadMessage
from fedbadges.history.sql import Numbers, prepare
from fedbadges.messages import Message
from fedbadges.replay.asked_counts import AskedCounts
from fedbadges.replay.chronicle import Chronicle, HistoryEntry
from fedbadges.replay.filter_forms import Form, asks_for_own_topic, form_of
from fedbadges.replay.matching import Matcher
from fedbadges.replay.running_counts import Passes, RunningCount, RunningCounts, Scope
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.operations import LambdaOperation
from fedbadges.rules.rule import Rule
from fedbadges.util.throttle import Throttle

_NAME = "datanommer"


class HistoryAsOf:
    """Answers as the history did when the message that was seen last was stored.

    It takes the place of ``history.History`` behind criteria. Most counts are kept as messages go
    by; what cannot be is asked of the database, which is told where the past ends. Methods that
    ask raise Unavailable.
    """

    def __init__(self, settings: Settings, chronicle: Chronicle) -> None:
        self._chronicle = chronicle
        self._engine = engine(settings.history_url)
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._numbers = Numbers()
        self._stumbles = Throttle()
        self.begin(())

    def begin(self, rules: Iterable[Rule]) -> None:
        """Forget all messages, and get ready for what these rules will ask."""
        self._now: HistoryEntry | None = None
        self._running = RunningCounts()
        self._asked_counts = AskedCounts()
        self._behind: dict[datetime.timedelta, _Behind] = {}
        self._uncounted: list[RunningCount] = []
        self._repeated: set[str] = set()
        scopes: dict[Form, Scope] = defaultdict(Scope)
        for rule in rules:
            for criterion in backend_criteria(rule.criteria):
                if isinstance(criterion, PastMessages):
                    self._expect(criterion, rule, scopes)
        self._by_own_id = any("msg_id" in each.form.open for each in self._uncounted)

    def is_interested(self, topic: str, category: str) -> bool:
        """Tell whether it must see the messages of this topic and category."""
        return self._running.may_count(topic, category) or any(
            each.may_count(topic, category) for each in self._uncounted
        )

    def look_ahead(self, entries: Sequence[HistoryEntry]) -> None:
        """Take note of what is to be seen next, so that it is asked about at once."""
        if self._by_own_id:
            self._repeated = self._chronicle.repeated(entries)

    def see(self, entry: HistoryEntry) -> None:
        """Take up the next message."""
        self._now = entry
        self._running.see(entry)
        self._asked_counts.see(entry)

    def count(
        self, filled: FilledFilter, enough: int | None = None, message: Message | None = None
    ) -> int:
        """Count the messages up to now that a filter gives, all of them."""
        found = self._told(filled, None)
        return self._asked(filled, None, None) if found is None else found

    def count_where(
        self,
        filled: FilledFilter,
        test: Test,
        about: tuple[Any, ...],
        enough: int | None = None,
        message: Message | None = None,
        shared: dict[Any, Any] | None = None,
    ) -> int:
        """Count those of them that pass a test."""
        text, values = about
        # What a message fills in makes another test of it.
        found = None if values else self._told(filled, text)
        if found is not None:
            return found
        return self._asked(filled, passing(test, about, self._stumbles), repr(about))

    def compute(self, expression: Expression, filled: FilledFilter, message: Message) -> Any:
        """Evaluate an expression over the messages up to now; raises what that raises."""
        until = self._present.position
        return evaluate(self._engine, self._numbers, expression, filled, message, until)

    @property
    def _present(self) -> HistoryEntry:
        assert self._now is not None, "nothing was seen yet"
        return self._now

    def _expect(self, criterion: PastMessages, rule: Rule, scopes: dict[Form, Scope]) -> None:
        operation, test, passes = criterion.operation, None, None
        if isinstance(operation, LambdaOperation):
            expression = operation.expression
            if expression.test is None:
                return
            test, passes = expression.text, self._passes(expression)
        form = form_of(criterion.filter, test)
        if form is None:
            return
        scope = scopes[form]
        scope.add(rule, own_topic=asks_for_own_topic(criterion.filter))
        if not form.countable or (passes is None and test is not None):
            self._uncounted.append(RunningCount(form, scope))
            return
        self._running.add(form, scope, passes)
        if form.age is not None:
            behind = self._behind.setdefault(form.age, _Behind(self._chronicle, form.age))
            behind.running.add(form, scope, passes)

    def _passes(self, expression: Expression) -> Passes | None:
        """Give an operation's test, if it is the same for all messages."""
        test = expression.test
        if test is None or expression.paths:
            return None
        return passing(lambda message: test(message, ()), (expression.text, ()), self._stumbles)

    def _told(self, filled: FilledFilter, test: str | None) -> int | None:
        """Count by what has been seen; None where that does not tell."""
        now = self._present.timestamp
        found = self._running.count(filled, now, test)
        if found is None:
            return None
        count, age = found
        if age is None:
            return count
        behind = self._behind[age]
        behind.advance(now)
        earlier = behind.running.count(filled, now, test)
        return None if earlier is None else count - earlier[0]

    def _asked(self, filled: FilledFilter, passes: Passes | None, about: str | None) -> int:
        """Count by asking the database, where it must be."""
        present = self._present
        if filled.msg_id is not None and self._is_only(present, filled.msg_id):
            counts = Matcher(filled).matches(present)
            return int(counts and (passes is None or passes(present)))
        once = filled.sliding or filled.msg_id is not None
        question = (filled.lists, filled.start, filled.end, about)
        known = None if once else self._asked_counts.count(question)
        if known is not None:
            return known
        count = self._count(filled, passes)
        if not once:
            self._asked_counts.add(question, filled, passes, count)
        return count

    def _is_only(self, present: HistoryEntry, msg_id: str) -> bool:
        """Tell whether no message but the present one can have this id."""
        return self._by_own_id and msg_id == present.msg_id and msg_id not in self._repeated

    def _count(self, filled: FilledFilter, passes: Callable[[Any], bool] | None) -> int:
        until = self._present.position
        if passes is None:
            with translate_errors(_NAME), self._reader.connect() as connection:
                asked = prepare(connection, self._numbers, filled, until=until)
                return 0 if asked is None else asked.count(connection, until[0])[1]
        with translate_errors(_NAME), streaming(self._engine) as connection:
            asked = prepare(connection, self._numbers, filled, until=until)
            rows = () if asked is None else asked.messages(connection)
            return sum(passes(UnreadMessage(row, connection)) for row in rows)


class _Behind:
    """Goes over the history once more, an age behind: what it has seen is too long ago to count."""

    def __init__(self, chronicle: Chronicle, age: datetime.timedelta) -> None:
        self.running = RunningCounts()
        self._chronicle = chronicle
        self._age = age
        self._portions = chronicle.heads()
        self._entries: deque[HistoryEntry] = deque()
        self._read = datetime.datetime.min

    def advance(self, now: datetime.datetime) -> None:
        """See everything that was sent longer ago than the age."""
        try:
            start = now - self._age
        except OverflowError:
            return
        while self._read < start or self._entries:
            while self._entries and self._entries[0].timestamp < start:
                self.running.see(self._entries.popleft())
            if self._entries or self._read >= start:
                return
            heads = next(self._portions, [])
            if not heads:
                return
            self._read = heads[-1].timestamp
            wanted = [each for each in heads if self.running.may_count(each.topic, each.category)]
            self._entries.extend(self._chronicle.entries(wanted))
