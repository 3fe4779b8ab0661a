"""How the messages that a filter may select are grouped, as by SQL's ``GROUP BY``."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, replace

from fedbadges.errors import MissingValue
from fedbadges.history.matching import MULTI_VALUED, SINGLE_VALUED
from fedbadges.messages import Message
from fedbadges.rules.filters import (
    MAX_TEXT,
    NAMED,
    TIME_KEYS,
    FilledFilter,
    Filter,
    FilterEntry,
    spelled,
    templates_in,
)
from fedbadges.rules.templates import Template, TemplatePath

#: The values of the keys by which messages are grouped.
Group = tuple[str, ...]

#: The keys for which a message has a value, or several.
_COUNTABLE = frozenset(SINGLE_VALUED + MULTI_VALUED)


@dataclass(frozen=True)
class Snippet:
    """A value between two texts, by which ``contains`` selects messages."""

    before: str
    after: str

    @classmethod
    def of(cls, entry: FilterEntry) -> Snippet | None:
        """Return that of a filter by one such text, or None."""
        match templates_in(entry):
            case [Template(parts=[str(before), TemplatePath(), str(after)])]:
                return cls(before, after)
        return None

    def find(self, text: str) -> set[str]:
        """Return the snippets in a text, with what is around the values."""
        found = set()
        start = text.find(self.before)
        while start >= 0:
            begin = start + len(self.before)
            end = text.find(self.after, begin, begin + MAX_TEXT)
            if end >= 0:
                found.add(text[start : end + len(self.after)])
            start = text.find(self.before, start + 1)
        return found

    def is_found(self, text: str) -> bool:
        """Return True if this text is found wherever it stands."""
        value = text[len(self.before) : len(text) - len(self.after)]
        whole = text == f"{self.before}{value}{self.after}"
        return whole and (value + self.after).find(self.after) == len(value)


@dataclass(frozen=True)
class Grouping:
    """How messages are grouped: by what is ``fixed`` and the keys to ``group_by``.

    With ``snippet``, ``contains`` is one of these. Messages older than ``age`` do not matter.
    """

    fixed: FilledFilter
    group_by: Group
    snippet: Snippet | None = None
    age: datetime.timedelta | None = None

    def fill(self, group: Group) -> FilledFilter:
        """Return the filter as a message with the values of a group fills it in."""
        fixed = self.fixed
        lists = dict(fixed.lists)
        for key, value in zip(self.group_by, group, strict=True):
            text = str(value)
            lists[key] = spelled({text}) if key in NAMED else (text,)
        filled = tuple(sorted(lists.items()))
        return FilledFilter(
            filled, fixed.msg_id, fixed.start, fixed.end, fixed.sliding, fixed.pages
        )


def grouping_of(chosen: Filter) -> Grouping | None:
    """Return how the messages of a filter are grouped; None if they cannot be."""
    entries = dict(chosen.entries)
    age = entries.get("start")
    if isinstance(age, datetime.timedelta):
        # A window that ends before the message would have to be kept longer.
        if "end" in entries:
            return None
        del entries["start"]
    fixed = {key: entry for key, entry in entries.items() if _is_fixed(key, entry)}
    group_by = tuple(sorted(entries.keys() - fixed.keys()))
    snippet = Snippet.of(entries["contains"]) if "contains" in group_by else None
    countable = _COUNTABLE if snippet is None else _COUNTABLE | {"contains"}
    if not countable.issuperset(group_by):
        return None
    try:
        filled = replace(chosen, entries=tuple(fixed.items())).fill(Message("", {}, 0.0), None)
    except MissingValue:  # no message can fill it in
        return None
    return Grouping(filled, group_by, snippet, age if isinstance(age, datetime.timedelta) else None)


def _is_fixed(key: str, entry: FilterEntry) -> bool:
    if key in TIME_KEYS:
        return isinstance(entry, datetime.datetime)
    templates = templates_in(entry)
    return bool(templates) and not any(template.paths for template in templates)
