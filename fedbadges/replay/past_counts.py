"""One pass over the history that counts for everybody what rules ask about, and caches it.

So nobody's first message has to wait until all that they ever did is counted.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import PastMessages
from fedbadges.history.history import History
from fedbadges.history.offering import Offer
from fedbadges.history.past_messages import Test, make_test
from fedbadges.replay.grouping import grouping_of
from fedbadges.replay.history_stream import Retry, ask_once, reads_more
from fedbadges.replay.past_checkpoint import PastCheckpoint, Reached
from fedbadges.replay.past_rows import PastRow, PastRows, Place
from fedbadges.replay.running_counts import KeyOf, RunningCounts
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import Filter
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Topic, required_names
from fedbadges.util.throttle import Throttle

#: How many messages are counted at once.
_PART = 100

#: Seconds between two checkpoints, how many times longer than writing one that is at least, and how
#: much older than now what is counted may be.
_SAVE_EVERY = 60.0
_SAVE_SHARE = 10
_MOST_AGE = timedelta(days=1)

#: Of how many topics is known what is needed of their messages.
_MOST_TOPICS = 10_000

#: How many counts and values of folds there are at most; of more, those of the rule that has most
#: are given up, and counted when they are asked for.
_MOST_VALUES = 2_000_000


@dataclass(frozen=True)
class CountedQuestion:
    """What a rule asks about the past, and that can be counted for everybody in one pass.

    ``name`` is the same for rules that ask the same.
    """

    rule: Rule
    chosen: Filter
    expression: Expression | None
    name: str

    @property
    def text(self) -> str | None:
        """Return the text of the expression, if there is one."""
        return None if self.expression is None else self.expression.text

    @property
    def is_counted(self) -> bool:
        """Return True if messages are counted; what is taken from each may be folded instead."""
        return self.expression is None or self.expression.test is not None


def counted_questions(rules: Iterable[Rule]) -> list[CountedQuestion]:
    """Return what can be counted of what rules ask."""
    return [
        question
        for rule in rules
        for criterion in backend_criteria(rule.criteria)
        if isinstance(criterion, PastMessages)
        if (question := _question_of(rule, criterion)) is not None
    ]


class PastCounts:
    """Counts up to a fixed base, for everybody, what questions ask, and caches the counts.

    While and after it runs, ``done`` of ``total`` messages have been read, and ``found`` counts are
    cached. Where counts are kept in a file, so is how far it is: it goes on where the last one that
    counted the same was interrupted. Memory is bounded by the number of different people and so on,
    not of messages.
    """

    def __init__(
        self,
        settings: Settings,
        history: History,
        questions: Sequence[CountedQuestion],
        retry: Retry = ask_once,
    ) -> None:
        self._history = history
        # In an order that depends on what is asked alone, as does that of a checkpoint.
        self._questions = sorted(questions, key=lambda each: each.name)
        self._retry = retry
        self._throttle = Throttle()
        self._needs_of = functools.lru_cache(_MOST_TOPICS)(self._find_needs)
        self._rows = PastRows(settings, self._needs_of, retry)
        self._saved = time.monotonic()
        self._save_every = _SAVE_EVERY
        self.found = 0
        self._reset()

    def run(self) -> Iterator[None]:
        """Read all messages, then cache all counts; yield after each small part of the work.

        It ends early if the history is replaced meanwhile, and then ``is_outdated``. Raises what
        ``retry`` raises.
        """
        self._offer: Offer = self._retry(lambda: Offer(self._history))
        names = (question.name for question in self._questions)
        self._checkpoint = PastCheckpoint(self._history.kept, names)
        place = yield from self._restore()
        yield from self._read(place)
        yield from self._cache()

    def marks(self) -> dict[str, bool]:
        """Return the names of what was counted, and if counting it was given up."""
        return {
            each.name: self._running.lacks_room(each.chosen, each.text) for each in self._questions
        }

    def forget_checkpoint(self) -> None:
        """Forget how far it was, once what it found is all that is needed."""
        self._checkpoint.drop()

    @property
    def is_outdated(self) -> bool:
        """Return True if the history was replaced while it ran."""
        return self._offer.is_outdated

    def _reset(self) -> None:
        self._running = RunningCounts()
        self._needs_of.cache_clear()
        for question in self._questions:
            self._expect(question)
        self.done = self.total = 0

    def _restore(self) -> Generator[None, None, Place | None]:
        """Take up what the last process has counted; return the last message that it read."""
        reached = self._checkpoint.reached()
        if reached is None or not self._offer.base.extends(reached.base):
            return None
        if self._offer.base.until - reached.base.until > _MOST_AGE:
            return None
        self.done, self.total = reached.done, reached.total
        try:
            for part in self._checkpoint.parts():
                for value in part:
                    self._running.restore(value)
                yield
        except (ValueError, TypeError, LookupError):  # a part is lost, or not what was written
            self._reset()
            return None
        self._offer.base = reached.base
        return reached.place

    def _save(self, place: Place) -> Iterator[None]:
        """Write a checkpoint, if it is time for that."""
        begin = time.monotonic()
        if begin - self._saved < self._save_every or place.raw_timestamp is None:
            return
        reached = Reached(self._offer.base, place, self.done, self.total)
        yield from self._checkpoint.write(reached, self._running.state())
        self._saved = time.monotonic()
        self._save_every = max(_SAVE_EVERY, _SAVE_SHARE * (self._saved - begin))

    def _expect(self, question: CountedQuestion) -> None:
        expression, running = question.expression, self._running
        if expression is None:
            running.add_count(question.chosen, question.rule)
        elif expression.test is not None:
            test = make_test(expression, (), self._throttle)
            running.add_count(question.chosen, question.rule, question.text, _key_by(test))
        elif expression.fold is not None:
            running.add_fold(question.chosen, question.rule, expression)

    def _read(self, place: Place | None) -> Iterator[None]:
        base = self._offer.base
        if place is None:
            self.total = self._rows.count(base)
        for batch in self._rows.batches(base, place):
            yield
            yield from self._add(batch.rows)
            self.done += batch.count
            self._running.limit(_MOST_VALUES)
            if self.is_outdated:
                return
            if batch.last is not None:
                yield from self._save(batch.last)

    def _add(self, rows: Sequence[PastRow]) -> Iterator[None]:
        concerned = self._running.concerned
        for start in range(0, len(rows), _PART):
            for row in rows[start : start + _PART]:
                for running in concerned(row.topic, row.category):
                    running.add(row)
            yield

    def _find_needs(self, topic: str, category: str) -> Collection[str] | None:
        concerned = self._running.concerned(topic, category)
        return {need for each in concerned for need in each.needs} if concerned else None

    def _cache(self) -> Iterator[None]:
        # Rules of a series share their counts.
        shared = {(grouping_of(each.chosen), each.text): each for each in self._questions}
        for question in shared.values():
            for filled, found in self._running.results(question.chosen, question.text):
                if self.is_outdated:
                    return
                self._offer.add(filled, question.expression, found)
                self.found += 1
                if self.found % _PART == 0:
                    yield


def _key_by(test: Test) -> KeyOf:
    """Return what lets those messages count that pass a test; as in a query, they have a time."""
    return lambda row: () if row.timestamp is not None and test(row) else None


def _question_of(rule: Rule, criterion: PastMessages) -> CountedQuestion | None:
    """Return what can be counted for everybody; None if it is not cached, or not so simple."""
    expression, chosen = criterion.operation.expression, criterion.filter
    kind = grouping_of(chosen)
    if kind is None or kind.age is not None or kind.fixed.msg_id is not None:
        return None
    if expression is not None:
        if expression.paths or reads_more(expression):
            return None
        folds = expression.fold is not None and chosen.pages.in_order
        if not folds and (expression.test is None or not chosen.pages.everything):
            return None
    fixed = kind.fixed
    parts: list[object] = [fixed.lists, fixed.start, fixed.end, kind.group_by, kind.snippet]
    if "topics" in kind.group_by:
        # Of the topics, only those are counted that trigger the rule.
        parts.append(_required(rule))
    name = repr((*parts, None if expression is None else expression.text))
    return CountedQuestion(rule, chosen, expression, name)


def _required(rule: Rule) -> list[tuple[bool, str]] | None:
    names = required_names(rule.trigger)
    if names is None:
        return None
    return sorted(
        (True, each.suffix) if isinstance(each, Topic) else (False, each.name) for each in names
    )
