"""What running counts and running folds have in common: the messages that they look at."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection, Iterator
from typing import Any

from fedbadges.history.matching import MULTI_VALUED, Matcher, reader_of
from fedbadges.messages import Message
from fedbadges.replay.grouping import Group, Grouping
from fedbadges.replay.history_stream import HistoryEntry
from fedbadges.replay.past_rows import PastRow
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter, Filter, FilterEntry, templates_in
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import TemplatePath

#: A message as the replay or the pass over the past reads it.
Entry = HistoryEntry | PastRow

#: What an expression may read of a message beside its header.
_EVERYTHING = (*MULTI_VALUED, "content")

#: How a filter says that it is about the topic of the message that fills it in.
_TOPIC = (TemplatePath("topic"),)
_TOPIC_LAMBDAS = ("msg['topic']", "[msg['topic']]")


class Running:
    """Looks at the messages that have the fixed values, in groups.

    Only the topics are looked at that a rule can ask for: those that trigger it, if its filter has
    the topic of the message that fills it in, otherwise any.
    """

    def __init__(self, kind: Grouping, *, reads_all: bool = False) -> None:
        self._reads_all = reads_all
        self._group_by = kind.group_by
        self._snippet = kind.snippet
        self._readers = [
            self._find_snippets if key == "contains" else reader_of(key) for key in kind.group_by
        ]
        self._matcher = Matcher(kind.fixed)
        self._rules: list[Rule] = []
        self._covers_all = False
        self._covered: dict[str, bool] = {}
        #: Whether there is more to keep than there is room for, of all, or of some groups.
        self._is_full = self._lacks = False

    def serve(self, rule: Rule, chosen: Filter) -> None:
        """Count what a rule with this filter can ask for as well."""
        self._rules.append(rule)
        entry = dict(chosen.entries).get("topics")
        self._covers_all = self._covers_all or entry is None or not _is_own_topic(entry)

    @property
    def needs(self) -> Collection[str]:
        """Return what it reads of messages beside their headers."""
        if self._reads_all:
            return _EVERYTHING
        keys = self._matcher.keys.union(self._group_by)
        reads_content = self._matcher.reads_more or "contains" in keys
        return {*keys.intersection(MULTI_VALUED), *(("content",) if reads_content else ())}

    def may_count(self, topic: str, category: str) -> bool:
        """Return True if a message of this topic and category can be counted."""
        return self._covers(topic) and self._matcher.may_match(topic, category)

    def add(self, entry: Entry) -> None:
        """Add a message that may be counted, if it has the fixed values."""
        if self._is_full or not self._matcher.matches_rest(entry):
            return
        groups = list(itertools.product(*[read(entry) or () for read in self._readers]))
        if groups:
            self._add_to(groups, entry)

    def _find_snippets(self, entry: Entry) -> Collection[str]:
        return self._snippet.find(entry.text) if self._snippet is not None else ()

    def _add_to(self, groups: list[Group], entry: Entry) -> None:
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Return how many values are kept."""
        raise NotImplementedError

    def give_up(self) -> None:
        """Forget all, and keep nothing from now on."""
        self._is_full = True

    @property
    def is_given_up(self) -> bool:
        """Return True if all was forgotten."""
        return self._is_full

    @property
    def lacks_room(self) -> bool:
        """Return True if anything was forgotten, for there was more than there is room for."""
        return self._is_full or self._lacks

    def state(self) -> Iterator[Any]:
        """Yield all that it knows as plain values."""
        raise NotImplementedError

    def restore(self, plain: Any) -> None:
        """Add what ``state`` yielded."""
        raise NotImplementedError

    def results(self, kind: Grouping) -> Iterator[tuple[FilledFilter, Any]]:
        """Yield each filter that a message may fill in, with its result if that is known."""
        raise NotImplementedError

    def _is_only(self, filled: FilledFilter) -> bool:
        """Return True if the filter of a group that was looked at has no other group."""
        lists = dict(filled.lists)
        return self._snippet is None and all(len(lists[key]) == 1 for key in self._group_by)

    def _groups_of(self, filled: FilledFilter) -> list[Group] | None:
        """Return the groups of a filled filter; None if not all of it is looked at."""
        lists = dict(filled.lists)
        if self._is_full or not all(map(self._covers, lists.get("topics", ()))):
            return None
        if self._snippet is not None and not all(map(self._snippet.is_found, lists["contains"])):
            return None
        return list(itertools.product(*(lists[key] for key in self._group_by)))

    def _covers(self, topic: str) -> bool:
        if self._covers_all or not isinstance(topic, str):
            return self._covers_all
        if topic not in self._covered:
            concerned = RuleSet(self._rules).concerned(Message(topic, {}, 0.0))
            self._covered[topic] = bool(concerned)
        return self._covered[topic]


def _is_own_topic(entry: FilterEntry) -> bool:
    """Return True if these topics are that of the message that fills them in, and no other."""
    if isinstance(entry, Expression):
        if entry.source is None:
            return False
        return ast.unparse(entry.source.parse()) in _TOPIC_LAMBDAS
    templates = templates_in(entry)
    return len(templates) == 1 and templates[0].parts == _TOPIC
