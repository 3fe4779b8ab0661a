"""Running counts of the messages that have gone by, for everybody whom a rule may ask about.

Each is of the messages that have the fixed values of a form, by what they have in place of its
open ones. So it grows with the number of different people, packages and so on, not of messages.
"""

from __future__ import annotations

import datetime
import itertools
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from fedbadges.messages import Message
from fedbadges.replay.chronicle import HistoryEntry
from fedbadges.replay.filter_forms import Form, FormKey, keys_of
from fedbadges.replay.matching import MANY, Matcher, values_of
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.util.caching import BoundedDict

#: Of how many topics it is remembered which counts they concern.
_MOST_TOPICS = 10_000

Passes = Callable[[Any], bool]


class Scope:
    """The topics that the rules of a form can ask for: any, or only those that trigger them."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._any = False
        self._known: dict[str, bool] = {}

    def add(self, rule: Rule, *, own_topic: bool) -> None:
        """Take up a rule; with ``own_topic`` it asks only for the topic of what triggers it."""
        self._rules.append(rule)
        self._any = self._any or not own_topic

    def covers(self, topic: str) -> bool:
        """Tell whether a topic can be asked for."""
        if self._any:
            return True
        if topic not in self._known:
            concerned = RuleSet(self._rules).concerned(Message(topic, {}, 0.0))
            self._known[topic] = bool(concerned)
        return self._known[topic]


class RunningCount:
    """Counts for one form; ``passes`` tells whether a message counts at all."""

    def __init__(self, form: Form, scope: Scope, passes: Passes | None = None) -> None:
        self.form = form
        self._scope = scope
        self._matcher = Matcher(form.fixed)
        self._passes = passes
        self._counts: dict[tuple[str, ...], int] = defaultdict(int)

    def may_count(self, topic: str, category: str) -> bool:
        """Tell whether a message of this topic and category can count."""
        return self._scope.covers(topic) and self._matcher.may_match(topic, category)

    def add(self, entry: HistoryEntry) -> None:
        """Count a message, if it has what is fixed."""
        if not self._matcher.matches(entry):
            return
        keys = list(itertools.product(*(values_of(entry, kind) for kind in self.form.open)))
        if not keys or not (self._passes is None or self._passes(entry)):
            return
        for key in keys:
            self._counts[key] += 1

    def count(self, filled: FilledFilter) -> int | None:
        """Count for a filled filter of this form.

        None where it cannot tell, because messages that concern several people may be counted
        several times.
        """
        asked = dict(filled.lists)
        if not all(map(self._scope.covers, asked.get("topics", ()))):
            return None
        found: dict[tuple[str, ...], int] = {}
        for key in itertools.product(*(asked[kind] for kind in self.form.open)):
            count = self._counts.get(key, 0)
            if not count:
                continue
            # What a message has one of keeps messages apart.
            group = tuple(
                value for kind, value in zip(self.form.open, key, strict=True) if kind not in MANY
            )
            if group in found:
                return None
            found[group] = count
        return sum(found.values())


class RunningCounts:
    """The running counts of several forms, and which of them a message or a question is for."""

    def __init__(self) -> None:
        self._running: dict[FormKey, RunningCount] = {}
        self._masks: dict[tuple[str, ...], dict[frozenset[str], None]] = defaultdict(dict)
        self._concerned: BoundedDict[tuple[str, str], tuple[RunningCount, ...]] = BoundedDict(
            _MOST_TOPICS
        )

    def add(self, form: Form, scope: Scope, passes: Passes | None) -> None:
        """Take up a form that is countable, unless it is there."""
        key = form.key()
        if key in self._running:
            return
        self._running[key] = RunningCount(form, scope, passes)
        keys = tuple(sorted((*dict(form.fixed.lists), *form.open)))
        self._masks[keys][frozenset(form.open)] = None

    def may_count(self, topic: str, category: str) -> bool:
        """Tell whether a message of this topic and category can count."""
        return bool(self._for(topic, category))

    def see(self, entry: HistoryEntry) -> None:
        """Count a message."""
        for running in self._for(entry.topic, entry.category):
            running.add(entry)

    def count(
        self, filled: FilledFilter, now: datetime.datetime, test: str | None
    ) -> tuple[int, datetime.timedelta | None] | None:
        """Count for a filled filter, and give how far it looks back from ``now``, if it does.

        All that were seen are counted, however long ago. None where none can tell.
        """
        keys = tuple(key for key, _ in filled.lists)
        for key in keys_of(filled, self._masks.get(keys, ()), now, test):
            running = self._running.get(key)
            count = None if running is None else running.count(filled)
            if running is not None and count is not None:
                return count, running.form.age
        return None

    def _for(self, topic: str, category: str) -> tuple[RunningCount, ...]:
        known = self._concerned.get((topic, category))
        if known is None:
            known = tuple(
                running for running in self._running.values() if running.may_count(topic, category)
            )
            self._concerned[topic, category] = known
        return known
