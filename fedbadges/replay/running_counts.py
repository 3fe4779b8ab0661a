"""Running counts of the messages that have gone by, for everybody whom a rule may ask about.

A filter is grouped: by what is fixed in the rule, and the keys whose values come with a message. As
in SQL's ``GROUP BY``, one count of the messages with the fixed values, by the other keys, answers
for every message that fills in the filter. So its size depends on the number of different people,
packages and so on, not of messages. Rules of a series share it.
"""

import datetime
import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedbadges.errors import MissingValue
from fedbadges.history.matching import MULTI_VALUED, SINGLE_VALUED, Matcher, values_of
from fedbadges.messages import Message
from fedbadges.replay.history_stream import HistoryEntry
from fedbadges.rules.filters import TIME_KEYS, FilledFilter, Filter, FilterEntry, templates_in
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import TemplatePath
from fedbadges.util.caching import BoundedDict

_TOPIC = (TemplatePath("topic"),)

#: For how many topics the running counts that they concern are cached.
_MOST_TOPICS = 10_000

#: Decides whether a message counts.
Passes = Callable[[Any], bool]


@dataclass(frozen=True)
class GroupedFilter:
    """The fixed values of a filter, and the keys to group by, sorted.

    ``test`` is the text of the operation's test, if it has one.
    """

    fixed: FilledFilter
    group_by: tuple[str, ...] = ()
    test: str | None = None

    @property
    def is_countable(self) -> bool:
        """Return True if a message has a value, or several, for each key to group by."""
        return all(key in SINGLE_VALUED or key in MULTI_VALUED for key in self.group_by)


def group(chosen: Filter, test: str | None = None) -> GroupedFilter | None:
    """Return the grouped filter of a rule's filter; None if no message can fill it in."""
    fixed = [(key, entry) for key, entry in chosen.entries if _is_fixed(key, entry)]
    group_by = sorted({key for key, _ in chosen.entries} - {key for key, _ in fixed})
    try:
        filled = Filter(tuple(fixed), chosen.place, chosen.pages).fill(Message("", {}, 0.0), None)
    except MissingValue:
        return None
    return GroupedFilter(filled, tuple(group_by), test)


def group_filled(
    filled: FilledFilter, group_by: tuple[str, ...], test: str | None
) -> GroupedFilter:
    """Return the grouped filter that a filled filter belongs to, if these are its keys."""
    lists = tuple((key, values) for key, values in filled.lists if key not in group_by)
    fixed = FilledFilter(lists, filled.msg_id, filled.start, filled.end, pages=filled.pages)
    return GroupedFilter(fixed, group_by, test)


def asks_for_own_topic(chosen: Filter) -> bool:
    """Return True if the filter's only topic is that of the message that fills it in."""
    entry = dict(chosen.entries).get("topics")
    templates = () if entry is None else templates_in(entry)
    return len(templates) == 1 and templates[0].parts == _TOPIC


def _is_fixed(key: str, entry: FilterEntry) -> bool:
    if key in TIME_KEYS:
        return isinstance(entry, datetime.datetime)
    templates = templates_in(entry)
    return bool(templates) and not any(template.paths for template in templates)


class TopicScope:
    """The topics that the rules of a grouped filter can ask for: any, or those they trigger on."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._any = False
        self._known: dict[str, bool] = {}

    def add(self, rule: Rule, *, own_topic: bool) -> None:
        """Add a rule; with ``own_topic`` it only asks for the topic of what triggers it."""
        self._rules.append(rule)
        self._any = self._any or not own_topic

    def covers(self, topic: str) -> bool:
        """Return True if a rule can ask for this topic."""
        if self._any:
            return True
        if topic not in self._known:
            concerned = RuleSet(self._rules).concerned(Message(topic, {}, 0.0))
            self._known[topic] = bool(concerned)
        return self._known[topic]


class RunningCount:
    """The running count of a grouped filter; only messages that pass the test are counted."""

    def __init__(
        self, grouped: GroupedFilter, scope: TopicScope, passes: Passes | None = None
    ) -> None:
        self._group_by = grouped.group_by
        self._scope = scope
        self._matcher = Matcher(grouped.fixed)
        self._passes = passes
        self._counts: dict[tuple[str, ...], int] = defaultdict(int)

    def may_count(self, topic: str, category: str) -> bool:
        """Return True if a message of this topic and category can be counted."""
        return self._scope.covers(topic) and self._matcher.may_match(topic, category)

    def add(self, entry: HistoryEntry) -> None:
        """Count a message, if it has the fixed values."""
        if not self._matcher.matches(entry):
            return
        groups = list(itertools.product(*(values_of(entry, key) for key in self._group_by)))
        if not groups or not (self._passes is None or self._passes(entry)):
            return
        for group in groups:
            self._counts[group] += 1

    def count(self, filled: FilledFilter) -> int | None:
        """Return the count for a filled filter of this group.

        None if a message that concerns several people may have been counted several times.
        """
        lists = dict(filled.lists)
        if not all(map(self._scope.covers, lists.get("topics", ()))):
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


class RunningCounts:
    """The running counts of several grouped filters, found by what a message or a filter has."""

    def __init__(self) -> None:
        self._running: dict[GroupedFilter, RunningCount] = {}
        #: By all the keys of a filter, the keys that it may be grouped by.
        self._group_by: dict[tuple[str, ...], dict[tuple[str, ...], None]] = defaultdict(dict)
        self._by_topic: BoundedDict[tuple[str, str], tuple[RunningCount, ...]] = BoundedDict(
            _MOST_TOPICS
        )

    def add(self, grouped: GroupedFilter, scope: TopicScope, passes: Passes | None) -> None:
        """Add a grouped filter that is countable, unless it is there."""
        if grouped in self._running:
            return
        self._running[grouped] = RunningCount(grouped, scope, passes)
        keys = tuple(sorted((*dict(grouped.fixed.lists), *grouped.group_by)))
        self._group_by[keys][grouped.group_by] = None

    def may_count(self, topic: str, category: str) -> bool:
        """Return True if a message of this topic and category can be counted."""
        return bool(self._concerned(topic, category))

    def see(self, entry: HistoryEntry) -> None:
        """Count a message."""
        for running in self._concerned(entry.topic, entry.category):
            running.add(entry)

    def count(self, filled: FilledFilter, test: str | None) -> int | None:
        """Return the count for a filled filter; None if no running count has it."""
        if filled.sliding:
            return None
        keys = tuple(key for key, _ in filled.lists)
        for group_by in self._group_by.get(keys, ()):
            running = self._running.get(group_filled(filled, group_by, test))
            count = None if running is None else running.count(filled)
            if count is not None:
                return count
        return None

    def _concerned(self, topic: str, category: str) -> tuple[RunningCount, ...]:
        known = self._by_topic.get((topic, category))
        if known is None:
            known = tuple(
                running for running in self._running.values() if running.may_count(topic, category)
            )
            self._by_topic[topic, category] = known
        return known
