"""Running counts and folds of messages that have gone by, for all whom a rule may ask about.

A filter is grouped: by what is fixed in the rule, and the keys whose values come with a message. As
in SQL's ``GROUP BY``, one count of the messages with the fixed values, by the other keys, answers
for every message that fills in the filter. So its size depends on the number of different people,
packages and so on, not of messages. Rules of a series share it. The same is true of folds, which
are kept as far as there is room.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from fedbadges.history.fold_values import NotKept
from fedbadges.history.folds import RunningFold, Taken, take
from fedbadges.history.kept.text import NotPlain
from fedbadges.history.matching import SINGLE_VALUED
from fedbadges.replay.grouping import Group, Grouping, grouping_of
from fedbadges.replay.running import Entry, Running
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import ALWAYS, FilledFilter, Filter
from fedbadges.rules.rule import Rule

#: Returns a key, by which the messages of a group are counted; None for one that does not count.
KeyOf = Callable[[Any], tuple[Any, ...] | None]

#: The values of the templates of an expression.
Values = tuple[Any, ...]

R = TypeVar("R", bound="Running")

#: For how many topics the running counts that they concern are cached.
_MOST_TOPICS = 10_000

#: How many values the counts or the folds of one expression keep in all.
_MOST_VALUES = 1_000_000

#: How inexact the time of a message may be.
_TOLERANCE = datetime.timedelta(seconds=1)

#: How many folds are kept that were asked for, and how many of them for a group.
_MOST_ASKED = 10_000
_MOST_OF_GROUP = 20

_NOTHING = FilledFilter(())


class RunningCount(Running):
    """Counts the messages that have the fixed values, by what else is asked of them."""

    def __init__(self, kind: Grouping, key_of: KeyOf | None) -> None:
        super().__init__(kind, reads_all=key_of is not None)
        self._key_of = key_of
        self._counts: dict[tuple[Any, ...], int] = defaultdict(int)

    def _add_to(self, groups: list[Group], entry: Entry) -> None:
        key = () if self._key_of is None else self._key_of(entry)
        if key:
            groups = [(*group, *key) for group in groups]
        if key is not None:
            self._count(groups, entry)

    def _count(self, groups: list[tuple[Any, ...]], entry: Entry) -> None:
        counts = self._counts
        for group in groups:
            counts[group] += 1
        if len(counts) > _MOST_VALUES:
            self.give_up()

    @property
    def size(self) -> int:
        """Return how many counts there are."""
        return len(self._counts)

    def give_up(self) -> None:
        """Forget all counts, and count nothing from now on."""
        super().give_up()
        self._counts.clear()

    def state(self) -> Iterator[Any]:
        """Yield all that it knows as plain values."""
        return ([*group, count] for group, count in self._counts.items())

    def restore(self, plain: Any) -> None:
        """Add what ``state`` yielded."""
        *group, count = plain
        self._counts[tuple(group)] = count

    def results(self, kind: Grouping) -> Iterator[tuple[FilledFilter, Any]]:
        """Yield each filter that a message may fill in, with its count if that is known."""
        for group, counted in self._counts.items():
            filled = kind.fill(group)
            count = counted if self._is_only(filled) else self.count(filled)
            if count is not None:
                yield filled, count

    def _counted(self, group: tuple[Any, ...], filled: FilledFilter) -> int:
        return self._counts.get(group, 0)

    def count(self, filled: FilledFilter, keys: Sequence[tuple[Any, ...]] = ((),)) -> int | None:
        """Return the count for a filled filter of this group, and these keys.

        None if a message that concerns several people may have been counted several times.
        """
        groups = self._groups_of(filled)
        if groups is None:
            return None
        counts: dict[Group, int] = {}
        for group in groups:
            count = sum(self._counted((*group, *key), filled) for key in keys)
            if not count:
                continue
            # No message is in two groups that differ in a key with one value for each message.
            distinct = tuple(
                value
                for key, value in zip(self._group_by, group, strict=True)
                if key in SINGLE_VALUED
            )
            if distinct in counts:
                return None
            counts[distinct] = count
        return sum(counts.values())


class SlidingCount(RunningCount):
    """Counts those of the messages that are not older than some age."""

    def __init__(self, kind: Grouping, key_of: KeyOf | None) -> None:
        super().__init__(kind, key_of)
        assert kind.age is not None
        self._age = kind.age
        self._times: dict[tuple[Any, ...], deque[datetime.datetime]] = defaultdict(deque)
        self._size = 0

    def _count(self, groups: list[tuple[Any, ...]], entry: Entry) -> None:
        for group in groups:
            times = self._times[group]
            times.append(entry.timestamp)
            self._size += 1
            with contextlib.suppress(OverflowError):
                self._drop(times, entry.timestamp - self._age)
        if self._size > _MOST_VALUES:
            self._is_full = True
            self._times.clear()

    def _counted(self, group: tuple[Any, ...], filled: FilledFilter) -> int:
        times = self._times.get(group)
        if times is None or filled.start is None:
            return 0
        with contextlib.suppress(OverflowError):
            self._drop(times, filled.start)
        # Only few at the beginning may be older.
        older = itertools.takewhile(filled.start.__gt__, times)
        return len(times) - sum(1 for _ in older)

    def _drop(self, times: deque[datetime.datetime], start: datetime.datetime) -> None:
        before = start - _TOLERANCE
        while times and times[0] < before:
            times.popleft()
            self._size -= 1


class RunningFolds(Running):
    """Folds over the messages that have the fixed values.

    Each group has a fold, unless there are templates in the expression. What is asked for beside
    that, of several groups or with values of templates, is kept from the first time on.
    """

    def __init__(self, kind: Grouping, expression: Expression) -> None:
        super().__init__(kind, reads_all=True)
        assert expression.fold is not None, "the expression does not fold"
        self._fold = expression.fold
        self._plain = not expression.paths
        self._folds: dict[Group, RunningFold] = {}
        self._asked: dict[tuple[Any, ...], RunningFold] = {}
        self._asked_of: dict[Group, list[tuple[Values, RunningFold]]] = defaultdict(list)
        self._size = 0

    def _add_to(self, groups: list[Group], entry: Entry) -> None:
        if self._plain:
            taken = take(self._fold, entry, ())
            for group in groups:
                running = self._folds.get(group)
                if running is None:
                    running = self._folds[group] = RunningFold(self._fold)
                self._add_one(running, taken)
        # One may be asked for of several of these groups.
        asked = {id(each[1]): each for group in groups for each in self._asked_of.get(group, ())}
        for values, running in asked.values():
            self._add_one(running, take(self._fold, entry, values))
        if len(self._folds) > _MOST_VALUES:
            self.give_up()

    @property
    def size(self) -> int:
        """Return how many values all folds keep, and how many folds there are."""
        return self._size + len(self._folds)

    def give_up(self) -> None:
        """Forget all folds, and keep none from now on."""
        super().give_up()
        self._folds.clear()
        self._size = 0

    def state(self) -> Iterator[Any]:
        """Yield all that it knows as plain values."""
        for group, running in self._folds.items():
            try:
                yield [*group, running.plain()]
            except NotPlain:
                yield [*group, [self._fold.kind, None]]  # one that is given up

    def restore(self, plain: Any) -> None:
        """Add what ``state`` yielded."""
        *group, fold = plain
        running = self._folds[tuple(group)] = RunningFold.of(self._fold, fold)
        self._size += running.size

    def results(self, kind: Grouping) -> Iterator[tuple[FilledFilter, Any]]:
        """Yield each filter that a message may fill in, with its fold if that is known."""
        for group in self._folds:
            filled = kind.fill(group)
            with contextlib.suppress(NotKept):
                fold = self.find(filled, ())
                if fold is not None and not fold.is_given_up:
                    yield filled, fold

    def _add_one(self, running: RunningFold, taken: Taken) -> None:
        before = running.size
        running.add(taken)
        self._size += running.size - before
        if self._size > _MOST_VALUES and running.size > before:
            self._size -= running.size
            running.give_up()
            self._lacks = True

    def find(self, filled: FilledFilter, values: Values) -> RunningFold | None:
        """Return the fold for a filled filter of this group and values of templates, if it is kept.

        Raises NotKept if it cannot be.
        """
        groups = self._groups_of(filled)
        if groups is None:
            raise NotKept
        if self._plain:
            found = [self._folds[group] for group in groups if group in self._folds]
            if len(found) <= 1:
                return found[0] if found else RunningFold(self._fold)
        return self._asked.get(_key(filled, values))

    def keep(self, filled: FilledFilter, values: Values, running: RunningFold) -> None:
        """Keep a fold from now on, if there is room."""
        groups = self._groups_of(filled) or ()
        too_many = any(len(self._asked_of[group]) >= _MOST_OF_GROUP for group in groups)
        if too_many or len(self._asked) >= _MOST_ASKED:
            return
        self._asked[_key(filled, values)] = running
        self._size += running.size
        for group in groups:
            self._asked_of[group].append((values, running))


def _key(filled: FilledFilter, values: Values) -> tuple[Any, ...]:
    # Equal values, such as of different types, are different texts.
    return filled, repr(values), tuple(map(type, values))


class RunningCounts:
    """The running counts for several filters, found by what a message or a filter has."""

    def __init__(self) -> None:
        #: By how messages are grouped, and the expression's text.
        self._running: dict[tuple[Grouping, str | None], Running] = {}
        #: The same by all the keys of a filter, by how its messages may be grouped but for what is
        #: fixed, and by that with the text.
        self._groupings: dict[Group, dict[Grouping, dict[Any, Running]]] = defaultdict(dict)
        self.concerned = functools.lru_cache(_MOST_TOPICS)(self._concerned)

    def add_count(
        self, chosen: Filter, rule: Rule, text: str | None = None, key_of: KeyOf | None = None
    ) -> None:
        """Add the filter of a rule that counts, and what is asked, unless that is impossible.

        Without ``key_of``, all messages count.
        """
        kind = grouping_of(chosen)
        if kind is not None:
            make = RunningCount if kind.age is None else SlidingCount
            self._serve(kind, text, rule, chosen, lambda: make(kind, key_of))

    def add_fold(self, chosen: Filter, rule: Rule, expression: Expression) -> None:
        """Add the filter of a rule, and an expression that folds, unless it cannot be kept."""
        kind = grouping_of(chosen)
        if kind is not None and kind.age is None:
            make = functools.partial(RunningFolds, kind, expression)
            self._serve(kind, expression.text, rule, chosen, make)

    def limit(self, most: int) -> None:
        """Give up the largest ones until all keep no more than so many values."""
        while sum(each.size for each in self._running.values()) > most:
            max(self._running.values(), key=lambda each: each.size).give_up()

    def lacks_room(self, chosen: Filter, text: str | None) -> bool:
        """Return True if not all is kept that a filter that was added may ask for."""
        kind = grouping_of(chosen)
        running = None if kind is None else self._running.get((kind, text))
        return running is not None and running.lacks_room

    def state(self) -> Iterator[Any]:
        """Yield all that they know as plain values, from which an equal one is restored."""
        for number, running in enumerate(self._running.values()):
            if running.is_given_up:
                yield [number, None]
            else:
                yield from ([number, each] for each in running.state())

    def restore(self, plain: Any) -> None:
        """Add what ``state`` yielded."""
        number, known = plain
        running = list(self._running.values())[number]
        if known is None:
            running.give_up()
        else:
            running.restore(known)

    def results(self, chosen: Filter, text: str | None) -> Iterator[tuple[FilledFilter, Any]]:
        """Yield what is known of a filter that was added: filled in for each group, the result."""
        kind = grouping_of(chosen)
        running = None if kind is None else self._running.get((kind, text))
        if kind is not None and running is not None:
            yield from running.results(kind)

    def count(
        self,
        filled: FilledFilter,
        text: str | None,
        sent: datetime.datetime,
        keys: Sequence[tuple[Any, ...]] = ((),),
    ) -> int | None:
        """Return the count for a filter that a message fills in; None if no running count has it.

        The message was ``sent`` then.
        """
        found = self._find(filled, text, sent, RunningCount)
        counts = (each.count(filled, keys) for each in found)
        return next((count for count in counts if count is not None), None)

    def folds(
        self, filled: FilledFilter, text: str, sent: datetime.datetime
    ) -> RunningFolds | None:
        """Return the folds of which a filled filter asks for one; None if there are none."""
        return next(self._find(filled, text, sent, RunningFolds), None)

    def _serve(
        self,
        kind: Grouping,
        text: str | None,
        rule: Rule,
        chosen: Filter,
        make: Callable[[], Running],
    ) -> None:
        key = kind, text
        if key not in self._running:
            self._running[key] = make()
            keys = tuple(sorted((*dict(kind.fixed.lists), *kind.group_by)))
            found = self._groupings[keys].setdefault(replace(kind, fixed=_NOTHING), {})
            fixed = kind.fixed
            times = fixed.start, fixed.end
            found[fixed.lists, fixed.msg_id, times, fixed.pages, text] = self._running[key]
        self._running[key].serve(rule, chosen)

    def _find(
        self, filled: FilledFilter, text: str | None, sent: datetime.datetime, kind: type[R]
    ) -> Iterator[R]:
        age = None
        if filled.sliding:
            if filled.start is None or filled.end != ALWAYS[1]:
                return
            age = sent - filled.start
        keys = tuple(key for key, _ in filled.lists)
        times = (None, None) if age is not None else (filled.start, filled.end)
        for grouping, found in self._groupings.get(keys, {}).items():
            if grouping.age != age:
                continue
            lists = tuple([each for each in filled.lists if each[0] not in grouping.group_by])
            running = found.get((lists, filled.msg_id, times, filled.pages, text))
            if isinstance(running, kind):
                yield running

    def _concerned(self, topic: str, category: str) -> tuple[Running, ...]:
        """Return those that can look at messages of this topic and category."""
        return tuple(each for each in self._running.values() if each.may_count(topic, category))
