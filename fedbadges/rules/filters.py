"""Filters: which past messages a criterion asks about.

The keys are those of ``datanommer.models.Message.grep``, with ``usernames`` for ``users``.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fedbadges.errors import MissingValue, Place
from fedbadges.messages import Message
from fedbadges.rules.expressions import Expression, parse_expression
from fedbadges.rules.parsing import as_mapping, as_text, check_keys, only_entry
from fedbadges.rules.problems import Problems
from fedbadges.rules.templates import RECIPIENT, Template, parse_template
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode

_LISTS = ("topics", "users", "packages", "categories", "agents")
LIST_KEYS = (*_LISTS, *(f"not_{key}" for key in _LISTS), "contains")
TEXT_KEYS = ("msg_id",)
TIME_KEYS = ("start", "end")
#: From this many rows on, a page is all there is.
_ALL_ROWS = 1_000_000
#: Whole numbers, with the least that each takes, and the most that all take.
NUMBER_KEYS = {"page": 1, "rows_per_page": 0}
MOST = 2**31 - 1
ORDERS = ("asc", "desc")
PAGE_KEYS = (*NUMBER_KEYS, "order")
FILTER_KEYS = ("usernames", "not_usernames", *LIST_KEYS, *TEXT_KEYS, *TIME_KEYS, *PAGE_KEYS)

#: Nobody filters by more; databases take hours to look for it in other texts as long.
MAX_TEXT = 2000

_NAMED = frozenset(["users", "not_users", "agents", "not_agents"])
# An empty text stands in every message, and is no message's id.
_NEVER_EMPTY = frozenset(["msg_id", "contains"])
#: Other names of keys.
ALIASES = {"usernames": "users", "not_usernames": "not_users"}

_AGE = re.compile(r"\s*(\d{1,6})\s+(second|minute|hour|day|week|month|year)s?\s+ago\s*")
#: What ages are counted in.
AGE_UNITS = {
    "second": datetime.timedelta(seconds=1),
    "minute": datetime.timedelta(minutes=1),
    "hour": datetime.timedelta(hours=1),
    "day": datetime.timedelta(days=1),
    "week": datetime.timedelta(weeks=1),
    "month": datetime.timedelta(days=30),
    "year": datetime.timedelta(days=365),
}


@dataclass(frozen=True)
class Pages:
    """Which of the past messages an operation sees; a count sees all.

    ``rows_per_page`` 0 means all messages.
    """

    page: int = 1
    rows_per_page: int = 0
    order: str = "asc"

    @property
    def everything(self) -> bool:
        """Return True if no message is left out; rules use a very large number for that."""
        return self.page == 1 and (self.rows_per_page == 0 or self.rows_per_page >= _ALL_ROWS)


@dataclass(frozen=True)
class FilledFilter:
    """A filter with its values; hashable, so that answers can be cached.

    ``lists`` has the keys of ``Message.make_query`` with their texts, sorted by key;
    ``start`` and ``end`` are naive UTC and come both or not at all; they are ``sliding`` where they
    differ from message to message.
    """

    lists: tuple[tuple[str, tuple[str, ...]], ...]
    msg_id: str | None = None
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None
    sliding: bool = False
    pages: Pages = Pages()


#: One value of a filter, as the rule has it.
FilterEntry = Template | Expression | tuple[Template, ...] | datetime.datetime


@dataclass(frozen=True)
class Filter:
    """The filter of a rule; its values are filled in for each message."""

    entries: tuple[tuple[str, FilterEntry], ...]
    place: Place = field(compare=False)
    pages: Pages = Pages()

    @property
    def names_recipient(self) -> bool:
        """Return True if it has ``%(recipient)s``, so that each candidate is judged alone."""
        templates = (each for _, entry in self.entries for each in templates_in(entry))
        return any(template.names(RECIPIENT) for template in templates)

    @property
    def _slides(self) -> bool:
        return any(
            key in TIME_KEYS and not isinstance(entry, datetime.datetime)
            for key, entry in self.entries
        )

    def fill(self, message: Message, recipient: str | None) -> FilledFilter:
        """Return the filter with the values of ``message`` and the name of the candidate.

        Raise MissingValue if the message has no such value, or no past message can have it.
        """
        source = _Source(message.body, recipient)
        lists: dict[str, tuple[str, ...]] = {}
        others: dict[str, Any] = {}
        for key, entry in self.entries:
            value = _filled(entry, source, message)
            if key in TIME_KEYS:
                others[key] = _moment(key, value, message)
            elif key in TEXT_KEYS:
                others[key] = _text(key, value)
            else:
                lists[key] = _texts(key, value)
        if "start" in others or "end" in others:
            others.setdefault("start", datetime.datetime(1970, 1, 1))
            others.setdefault("end", datetime.datetime(9999, 1, 1))
            others["sliding"] = self._slides
        return FilledFilter(tuple(sorted(lists.items())), pages=self.pages, **others)


def parse_filter(node: Node, problems: Problems) -> Filter | None:
    """Parse the mapping below ``filter:``."""
    mapping = as_mapping(node, "a filter", problems)
    if mapping is None:
        return None
    before = len(problems)
    if not mapping.entries:
        problems.add(mapping.place, "a filter is empty; it would count every message there is")
    check_keys(mapping, FILTER_KEYS, "a filter", problems)
    entries: dict[str, FilterEntry] = {}
    for key, value in mapping.entries:
        name = ALIASES.get(key.text, key.text)
        if name in entries:
            problems.add(key.place, f"'{key.text}' says again what '{name}' says")
        entry = _parse_entry(name, value, problems)
        if entry is not None:
            entries[name] = entry
    _check_times(mapping, entries, problems)
    pages = _parse_pages(mapping, problems)
    if len(problems) > before:
        return None
    return Filter(tuple(entries.items()), mapping.place, pages)


def templates_in(entry: FilterEntry) -> tuple[Template, ...]:
    """Return the templates of a value; none if it has none."""
    if isinstance(entry, Template):
        return (entry,)
    return entry if isinstance(entry, tuple) else ()


class _Source(Mapping[str, Any]):
    """The message, with the candidate as ``recipient``."""

    def __init__(self, body: Mapping[str, Any], recipient: str | None) -> None:
        self._body = body
        self._recipient = recipient

    def __getitem__(self, key: str) -> Any:
        if key != RECIPIENT:
            return self._body[key]
        if self._recipient is None:
            raise KeyError(key)
        return self._recipient

    def __iter__(self) -> Any:
        return iter(self._body)

    def __len__(self) -> int:
        return len(self._body)


def _filled(entry: FilterEntry, source: _Source, message: Message) -> Any:
    if isinstance(entry, Template):
        return entry.fill(source)
    if isinstance(entry, Expression):
        return entry(message.body)
    if isinstance(entry, tuple):
        return [template.fill(source) for template in entry]
    return entry


def _texts(key: str, value: Any) -> tuple[str, ...]:
    """Flatten to texts, sorted, so that equal questions have equal filters."""
    texts: set[str] = set()
    for item in value if isinstance(value, (list, tuple, set, frozenset)) else [value]:
        if isinstance(item, (list, tuple, set, frozenset)):
            texts.update(_text(key, each) for each in item)
        else:
            texts.add(_text(key, item))
    if not texts:
        # datanommer takes an empty list to mean "no such filter": every message.
        raise MissingValue(f"nothing to filter {key} by")
    if key in _NAMED:
        # Usernames are compared in lower case; datanommer has them as their senders wrote them,
        # or in lower case where the plugin that named them knows better.
        texts |= {text.lower() for text in texts}
    return tuple(sorted(texts))


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise MissingValue(f"{key} is filtered by text, and the message has {type(value).__name__}")
    text = str(value)
    if len(text) > MAX_TEXT:
        raise MissingValue(f"{key} is filtered by at most {MAX_TEXT} characters")
    if key in _NEVER_EMPTY and not text:
        raise MissingValue(f"nothing to filter {key} by")
    # No row can have these, and PostgreSQL refuses to be asked.
    if "\x00" in text or not _encodable(text):
        raise MissingValue(f"no past message can have such {key}")
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _moment(key: str, value: Any, message: Message) -> datetime.datetime:
    moment = to_moment(value, message.sent)
    if moment is None:
        raise MissingValue(f"{key} is no point in time")
    return moment


def to_moment(value: Any, now: datetime.datetime) -> datetime.datetime | None:
    """Return a point in time as naive UTC, or None if ``value`` is not one.

    That is a date, seconds since 1970, text in ISO 8601, or an age before ``now``.
    """
    try:
        if isinstance(value, datetime.datetime):
            return _naive(value)
        if isinstance(value, datetime.date):
            return datetime.datetime(value.year, value.month, value.day)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _naive(datetime.datetime.fromtimestamp(value, datetime.timezone.utc))
        if not isinstance(value, str):
            return None
        age = _AGE.fullmatch(value)
        if age:
            return now - int(age[1]) * AGE_UNITS[age[2]]
        return _naive(datetime.datetime.fromisoformat(value.strip().replace("Z", "+00:00")))
    except (ValueError, OverflowError, OSError):
        return None


def _naive(moment: datetime.datetime) -> datetime.datetime:
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(datetime.timezone.utc).replace(tzinfo=None)


def _parse_entry(name: str, node: Node, problems: Problems) -> FilterEntry | None:
    if name in PAGE_KEYS or name not in FILTER_KEYS:
        return None
    if isinstance(node, MappingNode):
        entry = only_entry(node, ["lambda"], f"'{name}'", problems)
        return None if entry is None else parse_expression(entry[1], "msg", problems)
    if name in TIME_KEYS:
        return _parse_moment(name, node, problems)
    if isinstance(node, SequenceNode) and name in LIST_KEYS:
        return _parse_list(name, node, problems)
    text = as_text(node, f"'{name}'", problems)
    template = None if text is None else parse_template(text, problems)
    if text is None or template is None:
        return None
    if name in LIST_KEYS and not template.paths:
        problems.add(text.place, f"'{name}' takes a list, a template or a lambda")
    return template


def _parse_list(name: str, node: SequenceNode, problems: Problems) -> tuple[Template, ...]:
    if not node.items:
        problems.add(node.place, f"'{name}' is empty; it takes at least one")
    templates = []
    for item in node.items:
        if isinstance(item, ScalarNode) and isinstance(item.value, int):
            item = replace(item, value=item.text)
        text = as_text(item, f"an item of '{name}'", problems)
        template = None if text is None else parse_template(text, problems)
        if template is not None:
            templates.append(template)
    return tuple(templates)


def _parse_moment(name: str, node: Node, problems: Problems) -> FilterEntry | None:
    expected = f"'{name}' is a date, seconds since 1970, an age such as '30 days ago' or a template"
    if not isinstance(node, ScalarNode) or node.value is None:
        problems.add(node.place, expected)
        return None
    template = parse_template(node, problems)
    if template is None:
        return None
    if template.paths:
        return template
    moment = to_moment(node.value, datetime.datetime(2000, 1, 1))
    if moment is None:
        problems.add(node.place, expected)
    return template if _AGE.fullmatch(node.text) else moment


def _check_times(
    mapping: MappingNode, entries: Mapping[str, FilterEntry], problems: Problems
) -> None:
    """Report an end before the start if both are dates or both are ages."""
    node = mapping.get("end")
    start, end = _known_moment(entries.get("start")), _known_moment(entries.get("end"))
    if node is None or start is None or end is None:
        return
    if start[0] == end[0] and start[1] > end[1]:
        problems.add(node.place, "'end' is before 'start'; no message was sent between them")


def _known_moment(entry: FilterEntry | None) -> tuple[str, datetime.datetime] | None:
    """Return the kind and the moment of a date or an age; None if only a message has it."""
    if isinstance(entry, datetime.datetime):
        return "date", entry
    if not isinstance(entry, Template) or entry.paths:
        return None
    moment = to_moment(entry.text, datetime.datetime(2000, 1, 1))
    return None if moment is None else ("age", moment)


def _parse_pages(mapping: MappingNode, problems: Problems) -> Pages:
    return Pages(
        page=_parse_number(mapping, "page", 1, problems),
        rows_per_page=_parse_number(mapping, "rows_per_page", 0, problems),
        order=_parse_order(mapping, problems),
    )


def _parse_number(mapping: MappingNode, name: str, default: int, problems: Problems) -> int:
    node, least = mapping.get(name), NUMBER_KEYS[name]
    if node is None:
        return default
    if (
        isinstance(node, ScalarNode)
        and isinstance(node.value, int)
        and not isinstance(node.value, bool)
        and least <= node.value <= MOST
    ):
        return node.value
    problems.add(node.place, f"'{name}' is a whole number, at least {least}")
    return default


def _parse_order(mapping: MappingNode, problems: Problems) -> str:
    node = mapping.get("order")
    if node is None:
        return "asc"
    if isinstance(node, ScalarNode) and node.value in ORDERS:
        return str(node.value)
    problems.add(node.place, "'order' is 'asc' or 'desc'")
    return "asc"
