"""Running counts and folds of messages that have gone by, for all whom a rule may ask about.

A filter is grouped: by what is fixed in the rule, and the keys whose values come with a message. As
in SQL's ``GROUP BY``, one count of the messages with the fixed values, by the other keys, answers
for every message that fills in the filter. So its size depends on the number of different people,
packages and so on, not of messages. Rules of a series share it. The same is true of folds, which
are kept as far as there is room.
"""

import datetime
import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from fedbadges.errors import MissingValue
from fedbadges.history.folds import RunningFold, take
from fedbadges.history.matching import MULTI_VALUED, SINGLE_VALUED, Matcher, values_of
from fedbadges.history.past_messages import Test
from fedbadges.messages import Message
from fedbadges.replay.history_stream import HistoryEntry
from fedbadges.rules.expressions import Fold
from fedbadges.rules.filters import TIME_KEYS, FilledFilter, Filter, FilterEntry, templates_in
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import TemplatePath

#: The values of the keys by which messages are grouped.
Group = tuple[str, ...]

R = TypeVar("R", bound="Running")

_TOPIC = (TemplatePath("topic"),)

#: The keys for which a message has a value, or several.
_COUNTABLE = frozenset(SINGLE_VALUED + MULTI_VALUED)

#: For how many topics the running counts that they concern are cached.
_MOST_TOPICS = 10_000

#: How many values the folds of one expression keep in all.
_MOST_VALUES = 1_000_000


class Running:
    """Looks at the messages that have the fixed values, in groups.

    Only the topics are looked at that a rule can ask for: those that trigger it, if its filter has
    the topic of the message that fills it in, otherwise any.
    """

    def __init__(self, fixed: FilledFilter, group_by: tuple[str, ...]) -> None:
        self._group_by = group_by
        self._matcher = Matcher(fixed)
        self._rules: list[Rule] = []
        self._covers_all = False
        self._covered: dict[str, bool] = {}

    def serve(self, rule: Rule, chosen: Filter) -> None:
        """Count what a rule with this filter can ask for as well."""
        self._rules.append(rule)
        entry = dict(chosen.entries).get("topics")
        templates = () if entry is None else templates_in(entry)
        own_topic = len(templates) == 1 and templates[0].parts == _TOPIC
        self._covers_all = self._covers_all or not own_topic

    def may_count(self, topic: str, category: str) -> bool:
        """Return True if a message of this topic and category can be counted."""
        return self._covers(topic) and self._matcher.may_match(topic, category)

    def add(self, entry: HistoryEntry) -> None:
        """Add a message, if it has the fixed values."""
        if not self._matcher.matches(entry):
            return
        groups = list(itertools.product(*(values_of(entry, key) for key in self._group_by)))
        if groups:
            self._add_to(groups, entry)

    def _add_to(self, groups: list[Group], entry: HistoryEntry) -> None:
        raise NotImplementedError

    def _groups_of(self, filled: FilledFilter) -> list[Group] | None:
        """Return the groups of a filled filter; None if a topic of it is not looked at."""
        lists = dict(filled.lists)
        if not all(map(self._covers, lists.get("topics", ()))):
            return None
        return list(itertools.product(*(lists[key] for key in self._group_by)))

    def _covers(self, topic: str) -> bool:
        if self._covers_all:
            return True
        if topic not in self._covered:
            concerned = RuleSet(self._rules).concerned(Message(topic, {}, 0.0))
            self._covered[topic] = bool(concerned)
        return self._covered[topic]


class RunningCount(Running):
    """Counts the messages that have the fixed values, and pass the test if there is one."""

    def __init__(self, fixed: FilledFilter, group_by: tuple[str, ...], test: Test | None) -> None:
        super().__init__(fixed, group_by)
        self._test = test
        self._counts: dict[Group, int] = defaultdict(int)

    def _add_to(self, groups: list[Group], entry: HistoryEntry) -> None:
        if self._test is None or self._test(entry):
            for group in groups:
                self._counts[group] += 1

    def count(self, filled: FilledFilter) -> int | None:
        """Return the count for a filled filter of this group.

        None if a message that concerns several people may have been counted several times.
        """
        groups = self._groups_of(filled)
        if groups is None:
            return None
        counts: dict[Group, int] = {}
        for group in groups:
            count = self._counts.get(group, 0)
            if not count:
                continue
            # No message is in two groups that differ in a key with one value for each message.
            distinct = tuple(
                value
                for key, value in zip(self._group_by, group, strict=True)
                if key not in MULTI_VALUED
            )
            if distinct in counts:
                return None
            counts[distinct] = count
        return sum(counts.values())


class RunningFolds(Running):
    """Folds over the messages that have the fixed values."""

    def __init__(self, fixed: FilledFilter, group_by: tuple[str, ...], fold: Fold) -> None:
        super().__init__(fixed, group_by)
        self._fold = fold
        self._folds: dict[Group, RunningFold] = {}
        self._size = 0

    def _add_to(self, groups: list[Group], entry: HistoryEntry) -> None:
        taken = take(self._fold, entry, ())
        for group in groups:
            running = self._folds.get(group)
            if running is None:
                running = self._folds[group] = RunningFold(self._fold)
            before = running.size
            running.add(taken)
            self._size += running.size - before
            if self._size > _MOST_VALUES and running.size > before:
                self._size -= running.size
                running.give_up()

    def find(self, filled: FilledFilter) -> RunningFold | None:
        """Return the fold for a filled filter of this group.

        None if it is in several groups: their messages may be the same, or in another order.
        """
        groups = self._groups_of(filled)
        if groups is None:
            return None
        found = [self._folds[group] for group in groups if group in self._folds]
        if len(found) > 1:
            return None
        return found[0] if found else RunningFold(self._fold)


class RunningCounts:
    """The running counts for several filters, found by what a message or a filter has."""

    def __init__(self) -> None:
        #: By the fixed part of a filter, the keys that it is grouped by, and the expression's text.
        self._running: dict[tuple[FilledFilter, Group, str | None], Running] = {}
        #: By all the keys of a filter, the keys that it may be grouped by.
        self._group_by: dict[tuple[str, ...], dict[tuple[str, ...], None]] = defaultdict(dict)
        self.concerned = functools.lru_cache(_MOST_TOPICS)(self._concerned)

    def add(self, chosen: Filter, rule: Rule) -> None:
        """Add the filter of a rule that counts, unless that is impossible."""
        self._add(chosen, rule, None, lambda fixed, keys: RunningCount(fixed, keys, None))

    def add_test(self, chosen: Filter, rule: Rule, text: str, test: Test) -> None:
        """Add the filter of a rule, and a test with its text, unless it cannot be counted."""
        self._add(chosen, rule, text, lambda fixed, keys: RunningCount(fixed, keys, test))

    def add_fold(self, chosen: Filter, rule: Rule, text: str, fold: Fold) -> None:
        """Add the filter of a rule, and a fold with its text, unless it cannot be kept."""
        self._add(chosen, rule, text, lambda fixed, keys: RunningFolds(fixed, keys, fold))

    def count(self, filled: FilledFilter, text: str | None) -> int | None:
        """Return the count for a filled filter; None if no running count has it."""
        counts = (each.count(filled) for each in self._find(filled, text, RunningCount))
        return next((count for count in counts if count is not None), None)

    def fold(self, filled: FilledFilter, text: str) -> RunningFold | None:
        """Return the fold for a filled filter; None if it is not kept."""
        folds = (each.find(filled) for each in self._find(filled, text, RunningFolds))
        return next((fold for fold in folds if fold is not None), None)

    def _add(
        self,
        chosen: Filter,
        rule: Rule,
        text: str | None,
        make: Callable[[FilledFilter, Group], Running],
    ) -> None:
        fixed = [(key, entry) for key, entry in chosen.entries if _is_fixed(key, entry)]
        group_by = tuple(sorted({key for key, _ in chosen.entries} - dict(fixed).keys()))
        if not _COUNTABLE.issuperset(group_by):
            return
        try:
            filled = replace(chosen, entries=tuple(fixed)).fill(Message("", {}, 0.0), None)
        except MissingValue:  # no message can fill it in
            return
        key = filled, group_by, text
        if key not in self._running:
            self._running[key] = make(filled, group_by)
            keys = tuple(sorted((*dict(filled.lists), *group_by)))
            self._group_by[keys][group_by] = None
        self._running[key].serve(rule, chosen)

    def _find(self, filled: FilledFilter, text: str | None, kind: type[R]) -> Iterator[R]:
        if filled.sliding:
            return
        keys = tuple(key for key, _ in filled.lists)
        for group_by in self._group_by.get(keys, ()):
            lists = tuple((key, values) for key, values in filled.lists if key not in group_by)
            fixed = FilledFilter(lists, filled.msg_id, filled.start, filled.end, pages=filled.pages)
            running = self._running.get((fixed, group_by, text))
            if isinstance(running, kind):
                yield running

    def _concerned(self, topic: str, category: str) -> tuple[Running, ...]:
        """Return those that can look at messages of this topic and category."""
        return tuple(each for each in self._running.values() if each.may_count(topic, category))


def _is_fixed(key: str, entry: FilterEntry) -> bool:
    if key in TIME_KEYS:
        return isinstance(entry, datetime.datetime)
    templates = templates_in(entry)
    return bool(templates) and not any(template.paths for template in templates)
