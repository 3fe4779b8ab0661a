"""Filters as groups: what is fixed in the rule, and the keys whose values come with a message.

As in SQL's ``GROUP BY``, one count of the messages with the fixed values, grouped by the other
keys, answers for every message that fills in the filter. Rules of a series share it.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from fedbadges.errors import MissingValue
from fedbadges.history.matching import MULTI_VALUED, SINGLE_VALUED
from fedbadges.messages import Message
from fedbadges.rules.filters import TIME_KEYS, FilledFilter, Filter, FilterEntry, templates_in
from fedbadges.rules.templates import TemplatePath

_TOPIC = (TemplatePath("topic"),)


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

    @property
    def is_sliding(self) -> bool:
        """Return True if the time that it is about differs from message to message."""
        return any(key in TIME_KEYS for key in self.group_by)


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
