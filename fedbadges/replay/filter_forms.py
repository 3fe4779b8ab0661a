"""Forms: what can be said of a rule's filter before any message fills it in.

Some of its values stand in the rule: they are fixed. The keys whose values come with each message
are open. So the rules of a series, and everybody whom they ask about, share one form.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from fedbadges.errors import MissingValue
from fedbadges.messages import Message
from fedbadges.replay.matching import MANY, ONE_OF_EACH
from fedbadges.rules.filters import (
    TIME_KEYS,
    FilledFilter,
    Filter,
    FilterEntry,
    templates_in,
    to_moment,
)
from fedbadges.rules.templates import Template, TemplatePath

_SOME_DAY = datetime.datetime(2000, 1, 1)
#: The end of time, where a filter has a start only.
_NEVER = datetime.datetime(9999, 1, 1)

_TOPIC = (TemplatePath("topic"),)


@dataclass(frozen=True)
class Form:
    """The fixed values of a filter, and its open keys, sorted.

    ``age`` is how far it looks back from the message that fills it in, where that is fixed.
    ``test`` is the text of the operation's test, if it has one.
    """

    fixed: FilledFilter
    open: tuple[str, ...] = ()
    age: datetime.timedelta | None = None
    test: str | None = None

    @property
    def countable(self) -> bool:
        """Whether a running count can tell what is asked."""
        return all(key in ONE_OF_EACH or key in MANY for key in self.open)

    def key(self) -> FormKey:
        """Give what a filled filter of this form has in common with all others."""
        lists = dict(self.fixed.lists) | dict.fromkeys(self.open)
        span = self.age if self.age is not None else (self.fixed.start, self.fixed.end)
        return self.test, tuple(sorted(lists.items())), self.fixed.msg_id, span


#: The values of open keys are None here.
FormKey = tuple[object, ...]


def form_of(chosen: Filter, test: str | None = None) -> Form | None:
    """Give the form of a filter; None where no message can fill it in."""
    age = _age(chosen)
    fixed: list[tuple[str, FilterEntry]] = []
    open_keys: list[str] = []
    for key, entry in chosen.entries:
        if key == "start" and age is not None:
            continue
        if _is_fixed(key, entry):
            fixed.append((key, entry))
        else:
            open_keys.append(key)
    try:
        filled = Filter(tuple(fixed), chosen.place).fill(Message("", {}, 0.0), None)
    except MissingValue:
        return None
    return Form(replace(filled, sliding=False), tuple(sorted(open_keys)), age, test)


def keys_of(
    filled: FilledFilter, masks: Iterable[frozenset[str]], now: datetime.datetime, test: str | None
) -> Iterator[FormKey]:
    """Give the keys of the forms that a filled filter may have, for each set of open keys."""
    span: object = (filled.start, filled.end)
    if filled.sliding:
        if filled.start is None or filled.end != _NEVER:
            return
        span = now - filled.start
    for mask in masks:
        lists = tuple((key, None if key in mask else values) for key, values in filled.lists)
        yield test, lists, filled.msg_id, span


def asks_for_own_topic(chosen: Filter) -> bool:
    """Tell whether the only topic that is asked for is that of the message that comes."""
    entry = dict(chosen.entries).get("topics")
    templates = () if entry is None else templates_in(entry)
    return len(templates) == 1 and templates[0].parts == _TOPIC


def _is_fixed(key: str, entry: FilterEntry) -> bool:
    if key in TIME_KEYS:
        return isinstance(entry, datetime.datetime)
    templates = templates_in(entry)
    return bool(templates) and not any(template.paths for template in templates)


def _age(chosen: Filter) -> datetime.timedelta | None:
    entries = dict(chosen.entries)
    start = entries.get("start")
    if "end" in entries or not isinstance(start, Template) or start.paths:
        return None
    moment = to_moment(start.text, _SOME_DAY)
    return None if moment is None else _SOME_DAY - moment
