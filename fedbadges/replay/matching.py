"""Whether a filled filter gives a past message, told without the database.

It is what ``questions`` has the database say of the same filter and message.
"""

from __future__ import annotations

from collections.abc import Collection

from fedbadges.replay.chronicle import HistoryEntry
from fedbadges.rules.filters import FilledFilter

_NOT = "not_"

#: What a message has one of, by the keys of filters; and what it has any number of.
ONE_OF_EACH = ("topics", "categories", "agents")
MANY = ("users", "packages")


def values_of(entry: HistoryEntry, kind: str) -> Collection[str]:
    """Give what a message has, of a kind that filters ask for."""
    if kind == "topics":
        return (entry.topic,)
    if kind == "categories":
        return (entry.category,)
    if kind == "agents":
        return () if entry.agent is None else (entry.agent,)
    return entry.known_users if kind == "users" else entry.known_packages


class Matcher:
    """Tells which messages a filled filter gives."""

    def __init__(self, filled: FilledFilter) -> None:
        self._msg_id = filled.msg_id
        self._span = None
        if filled.start is not None and filled.end is not None:
            self._span = filled.start, filled.end
        self._contains = dict(filled.lists).get("contains")
        self._lists = [
            (key.removeprefix(_NOT), key.startswith(_NOT), frozenset(values))
            for key, values in filled.lists
            if key != "contains"
        ]

    def matches(self, entry: HistoryEntry) -> bool:
        """Tell whether the filter gives this message."""
        if self._msg_id is not None and entry.msg_id != self._msg_id:
            return False
        if self._span is not None and not self._span[0] <= entry.timestamp <= self._span[1]:
            return False
        for kind, negated, wanted in self._lists:
            values = values_of(entry, kind)
            if kind == "agents" and not values:
                return False  # a database says neither yes nor no of what is not there
            if wanted.isdisjoint(values) is not negated:
                return False
        return self._contains is None or any(text in entry.text for text in self._contains)

    def may_match(self, topic: str, category: str) -> bool:
        """Tell whether it can give any message of this topic and category."""
        known = {"topics": (topic,), "categories": (category,)}
        return all(
            wanted.isdisjoint(known[kind]) is negated
            for kind, negated, wanted in self._lists
            if kind in known
        )
