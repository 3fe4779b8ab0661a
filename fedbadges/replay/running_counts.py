"""Running counts of the messages that have gone by, for everybody whom a rule may ask about.

A filter is grouped: by what is fixed in the rule, and the keys whose values come with a message. As
in SQL's ``GROUP BY``, one count of the messages with the fixed values, by the other keys, answers
for every message that fills in the filter. So its size depends on the number of different people,
packages and so on, not of messages. Rules of a series share it.
"""

import datetime
import functools
import itertools
from collections import defaultdict
from dataclasses import replace

from fedbadges.errors import MissingValue
from fedbadges.history.matching import MULTI_VALUED, SINGLE_VALUED, Matcher, values_of
from fedbadges.history.past_messages import Test
from fedbadges.messages import Message
from fedbadges.replay.history_stream import HistoryEntry
from fedbadges.rules.filters import TIME_KEYS, FilledFilter, Filter, FilterEntry, templates_in
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import TemplatePath

_TOPIC = (TemplatePath("topic"),)

#: The keys for which a message has a value, or several.
_COUNTABLE = frozenset(SINGLE_VALUED + MULTI_VALUED)

#: For how many topics the running counts that they concern are cached.
_MOST_TOPICS = 10_000


class RunningCount:
    """Counts the messages that have the fixed values, and pass the test if there is one.

    Only the topics are counted that a rule can ask for: those that trigger it, if its filter has
    the topic of the message that fills it in, otherwise any.
    """

    def __init__(self, fixed: FilledFilter, group_by: tuple[str, ...], test: Test | None) -> None:
        self._group_by = group_by
        self._matcher = Matcher(fixed)
        self._test = test
        self._rules: list[Rule] = []
        self._covers_all = False
        self._covered: dict[str, bool] = {}
        self._counts: dict[tuple[str, ...], int] = defaultdict(int)

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
        """Count a message, if it has the fixed values."""
        if not self._matcher.matches(entry):
            return
        groups = list(itertools.product(*(values_of(entry, key) for key in self._group_by)))
        if not groups or not (self._test is None or self._test(entry)):
            return
        for group in groups:
            self._counts[group] += 1

    def count(self, filled: FilledFilter) -> int | None:
        """Return the count for a filled filter of this group.

        None if a message that concerns several people may have been counted several times.
        """
        lists = dict(filled.lists)
        if not all(map(self._covers, lists.get("topics", ()))):
            return None
        counts: dict[tuple[str, ...], int] = {}
        for group in itertools.product(*(lists[key] for key in self._group_by)):
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

    def _covers(self, topic: str) -> bool:
        if self._covers_all:
            return True
        if topic not in self._covered:
            concerned = RuleSet(self._rules).concerned(Message(topic, {}, 0.0))
            self._covered[topic] = bool(concerned)
        return self._covered[topic]


class RunningCounts:
    """The running counts for several filters, found by what a message or a filter has."""

    def __init__(self) -> None:
        #: By the fixed part of a filter, the keys that it is grouped by, and the text of the test.
        self._running: dict[tuple[FilledFilter, tuple[str, ...], str | None], RunningCount] = {}
        #: By all the keys of a filter, the keys that it may be grouped by.
        self._group_by: dict[tuple[str, ...], dict[tuple[str, ...], None]] = defaultdict(dict)
        self.concerned = functools.lru_cache(_MOST_TOPICS)(self._concerned)

    def add(
        self, chosen: Filter, rule: Rule, text: str | None = None, test: Test | None = None
    ) -> None:
        """Add the filter of a rule, and the test with its text, unless it cannot be counted."""
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
            self._running[key] = RunningCount(filled, group_by, test)
            keys = tuple(sorted((*dict(filled.lists), *group_by)))
            self._group_by[keys][group_by] = None
        self._running[key].serve(rule, chosen)

    def count(self, filled: FilledFilter, text: str | None) -> int | None:
        """Return the count for a filled filter; None if no running count has it."""
        if filled.sliding:
            return None
        keys = tuple(key for key, _ in filled.lists)
        for group_by in self._group_by.get(keys, ()):
            lists = tuple((key, values) for key, values in filled.lists if key not in group_by)
            fixed = FilledFilter(lists, filled.msg_id, filled.start, filled.end, pages=filled.pages)
            running = self._running.get((fixed, group_by, text))
            count = None if running is None else running.count(filled)
            if count is not None:
                return count
        return None

    def _concerned(self, topic: str, category: str) -> tuple[RunningCount, ...]:
        """Return those that can count messages of this topic and category."""
        return tuple(each for each in self._running.values() if each.may_count(topic, category))


def _is_fixed(key: str, entry: FilterEntry) -> bool:
    if key in TIME_KEYS:
        return isinstance(entry, datetime.datetime)
    templates = templates_in(entry)
    return bool(templates) and not any(template.paths for template in templates)
