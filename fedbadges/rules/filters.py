"""Filters: which past messages a criterion asks about.

The keys are those of ``datanommer.models.Message.grep``, with ``usernames`` for ``users``.
"""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from fedbadges.errors import MissingValue, Place
from fedbadges.messages import Message, MessageValues
from fedbadges.rules.expressions import Expression, parse_message_expression
from fedbadges.rules.grammar import (
    LAMBDA,
    Fields,
    FieldSpec,
    Kind,
    Schema,
    mapping_of,
    number,
    record_of,
    scalar,
)
from fedbadges.rules.names import in_lower_case, names_in
from fedbadges.rules.parsing import UNSTORABLE, Problems, each_item, only_entry
from fedbadges.rules.past_fields import PAST_FIELDS_KIND, PastFields
from fedbadges.rules.templates import (
    RECIPIENT,
    TEMPLATE,
    TEMPLATE_WITH_PATH,
    Template,
    TemplatePath,
    parse_template,
    read_template,
)
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode
from fedbadges.util.moments import to_age, to_moment

_LISTS = ("topics", "users", "packages", "categories", "agents")
TIME_KEYS = ("start", "end")
#: The start and the end of a filter that has only the other one; no rule has these.
ALWAYS = (datetime.datetime.min, datetime.datetime.max)
#: From this many rows on, a page is all there is.
_ALL_ROWS = 1_000_000
#: The greatest number of a page, and of its rows.
_MOST = 2**31 - 1
PAGE_KEYS = ("page", "rows_per_page", "order")

#: Nobody filters by more; databases take hours to look for it in other texts as long.
MAX_TEXT = 2000

#: The keys that take names of people.
NAMED = frozenset(["users", "not_users", "agents", "not_agents"])
# An empty text stands in every message, and is no message's id.
_NEVER_EMPTY = frozenset(["msg_id", "contains"])
_NO_NAMES = {dict: "an object without 'name'", type(None): "nothing", bool: "yes or no"}
_NO_TEXTS = {**_NO_NAMES, dict: "an object", list: "a list within a list"}
#: Other names of keys.
ALIASES = {"usernames": "users", "not_usernames": "not_users"}


@dataclass(frozen=True)
class Pages:
    """Which page of the past messages an operation sees, with 0 rows all; a count sees all."""

    page: int = 1
    rows_per_page: int = 0
    order: str = "asc"

    @property
    def in_order(self) -> bool:
        """Return True if an operation sees every message, the oldest first."""
        return self.everything and self.order == "asc"

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

    def since(self, start: datetime.datetime) -> "FilledFilter":
        """Return the filter for those of its messages that are not older than ``start``."""
        if self.start is not None and self.start >= start:
            return self
        return replace(self, start=start, end=self.end or ALWAYS[1], sliding=self._ends_anew)

    @property
    def _ends_anew(self) -> bool:
        """Return True if the end may differ from message to message."""
        return self.sliding and self.end not in (None, ALWAYS[1])

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # It is looked up several times for a message.
        return hash((self.lists, self.msg_id, self.start, self.end))


#: One value of a filter, as the rule has it.
FilterEntry = Template | Expression | tuple[Template, ...] | datetime.datetime | datetime.timedelta


@dataclass(frozen=True)
class Filter:
    """The filter of a rule; its values are filled in for each message."""

    entries: tuple[tuple[str, FilterEntry], ...]
    place: Place = field(compare=False)
    pages: Pages = Pages()
    #: What the messages must have as well; the operation asks for that.
    fields: PastFields | None = None
    #: Where each key is.
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)

    @property
    def names_recipient(self) -> bool:
        """Return True if it has ``%(recipient)s``, so that each candidate is judged alone."""
        paths = [path for _, entry in self.entries for path in paths_in(entry)]
        paths += () if self.fields is None else self.fields.paths
        return any(path.dotted == RECIPIENT for path in paths)

    @property
    def user_paths(self) -> frozenset[str]:
        """Return the paths of the templates that name users."""
        named = (entry for key, entry in self.entries if key in NAMED)
        return frozenset(path.dotted for entry in named for path in paths_in(entry))

    def fill(self, message: Message, recipient: str | None) -> FilledFilter:
        """Return the filter with the values of ``message`` and the name of the candidate.

        Raise MissingValue if the message has no such value, or no past message can have it.
        """
        source = MessageValues(message, recipient)
        lists: dict[str, tuple[str, ...]] = {}
        others: dict[str, Any] = {}
        sliding = False
        for key, entry in self.entries:
            value = _filled(entry, source, message)
            if key in TIME_KEYS:
                others[key] = to_moment(value, message.sent)
                if others[key] is None:
                    raise MissingValue(f"{key} is no point in time")
                sliding = sliding or not isinstance(entry, datetime.datetime)
            elif key == "msg_id":
                others[key] = _text(key, value)
            elif key in NAMED:
                lists[key] = _names(key, entry, value)
            else:
                lists[key] = _texts(key, value)
        if "start" in others or "end" in others:
            others = dict(zip(TIME_KEYS, ALWAYS, strict=True)) | others
        listed = tuple(sorted(lists.items()))
        return FilledFilter(listed, sliding=sliding, pages=self.pages, **others)


def templates_in(entry: FilterEntry) -> tuple[Template, ...]:
    """Return the templates of a value; none if it has none."""
    if isinstance(entry, Template):
        return (entry,)
    return entry if isinstance(entry, tuple) else ()


def paths_in(entry: FilterEntry) -> tuple[TemplatePath, ...]:
    """Return the paths of the templates in a value."""
    if isinstance(entry, Expression):
        return entry.paths
    return tuple(path for template in templates_in(entry) for path in template.paths)


def _filled(entry: FilterEntry, source: Mapping[str, Any], message: Message) -> Any:
    if isinstance(entry, Expression):
        return entry.evaluate(message, source)
    if isinstance(entry, tuple):
        return [template.fill(source) for template in entry]
    return entry.fill(source) if isinstance(entry, Template) else entry


def _texts(key: str, value: Any) -> tuple[str, ...]:
    """Flatten to texts, sorted, so that equal questions have equal filters."""
    texts = {_text(key, each) for item in _items(value) for each in _items(item)}
    if not texts:
        # datanommer takes an empty list to mean "no such filter": every message.
        raise MissingValue(f"nothing to filter {key} by")
    return tuple(sorted(texts))


def _names(key: str, entry: FilterEntry, value: Any) -> tuple[str, ...]:
    """Return the names of people, as the message has them and in lower case.

    datanommer has them as their senders wrote them, or in lower case where the plugin that named
    them knows better.
    """
    names: set[str] = set()
    each_template = zip(entry, value, strict=True) if isinstance(entry, tuple) else [(entry, value)]
    for source, filled in each_template:
        found: set[str] = set()
        mistake: MissingValue | None = None
        for name in names_in(filled):
            try:
                found.add(_name(key, name, source))
            except MissingValue as error:  # as a recipient, it is about the others
                mistake = mistake or error
        if mistake is not None and not found:
            raise mistake
        names |= found
    if not names:
        raise MissingValue(f"nothing to filter {key} by")
    return spelled(names)


def spelled(names: set[str]) -> tuple[str, ...]:
    """Return the texts by which a filter looks for names."""
    return tuple(sorted({*names, *filter(None, map(in_lower_case, names))}))


def _name(key: str, name: Any, source: FilterEntry) -> str:
    if isinstance(name, bool) or not isinstance(name, (str, int, float)):
        what = _NO_NAMES.get(type(name), "what is none")
        raise MissingValue(f"{key} takes names, and {_described(source)} has {what}")
    return _text(key, name)


def _described(source: FilterEntry) -> str:
    """Return where in the message a value stands, as the rule says it."""
    return source.text if isinstance(source, (Template, Expression)) else "the message"


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple, set, frozenset)) else (value,)


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        what = _NO_TEXTS.get(type(value), "what is none")
        raise MissingValue(f"{key} takes text, and the message has {what}")
    text = str(value)
    if len(text) > MAX_TEXT:
        raise MissingValue(f"{key} is filtered by at most {MAX_TEXT} characters")
    if key in _NEVER_EMPTY and not text:
        raise MissingValue(f"nothing to filter {key} by")
    # No row can have these, and PostgreSQL refuses to be asked.
    if UNSTORABLE.search(text):
        raise MissingValue(f"no past message can have such {key}")
    return text


def _or_lambda(kind: Kind[Any]) -> Kind[Any]:
    """Return the kind of a value that a lambda over ``msg`` may compute instead."""

    def read(node: Node, what: str, problems: Problems) -> FilterEntry | None:
        if not isinstance(node, MappingNode):
            found: FilterEntry | None = kind.read(node, what, problems)
            return found
        entry = only_entry(node, ["lambda"], what, problems)
        return None if entry is None else parse_message_expression(entry[1], problems)

    return Kind(read, {"anyOf": [kind.schema, mapping_of({"lambda": LAMBDA})]})


def _read_item(node: Node, what: str, problems: Problems) -> Template | None:
    # YAML reads some names as numbers and truth values; in a list they are names.
    if isinstance(node, ScalarNode) and isinstance(node.value, int):
        node = replace(node, value=node.text)
    return read_template(node, f"an item of {what}", problems)


def _read_list(node: Node, what: str, problems: Problems) -> FilterEntry | None:
    if not isinstance(node, SequenceNode):
        template = read_template(node, what, problems)
        if template is not None and not template.paths:
            problems.add(template.place, f"{what} takes a list, a template or a lambda")
        return template
    key = what.strip("'")
    return each_item(node, key, lambda item: _read_item(item, what, problems), problems)


def _read_moment(node: Node, what: str, problems: Problems) -> FilterEntry | None:
    if isinstance(node, ScalarNode) and node.value is not None:
        template = parse_template(node, problems)
        if template is None or template.paths:
            return template
        moment = to_moment(node.value, datetime.datetime(2000, 1, 1))
        if moment is not None:
            age = to_age(node.value)
            return moment if age is None else age
    expected = "a date, seconds since 1970, an age such as '30 days ago' or a template"
    problems.add(node.place, f"{what} is {expected}")
    return None


def _read_filter(node: Node, _: str, problems: Problems) -> Filter | None:
    before = len(problems)
    fields = _FILTER.read(node, "a filter", problems)
    if fields is None:
        return None
    found = make_filter(node, fields, problems)
    return found if len(problems) == before else None


def make_filter(node: Node, fields: Fields, problems: Problems) -> Filter:
    """Return the filter of what was read of its keys; report what does not go together."""
    if not fields.places:
        problems.add(fields.place, "a filter is empty; it would count every message there is")
    for alias, name in ALIASES.items():
        if alias in fields.places and name in fields.places:
            place = max(fields.places[alias], fields.places[name])
            problems.add(place, f"'{alias}' says again what '{name}' says")
    if "fields" in fields.places and len(fields.places) == 1:
        text = "a filter by 'fields' alone would read every message there is; add 'topics'"
        problems.add(fields.place, text)
    values = dict(fields.values)
    wanted: PastFields | None = values.pop("fields", None)
    pages = Pages(**{key: values.pop(key) for key in PAGE_KEYS if key in values})
    entries: dict[str, FilterEntry] = {ALIASES.get(key, key): values[key] for key in values}
    assert isinstance(node, MappingNode)
    its_end = node.get("end")
    if its_end is not None and _ends_before_start(entries.get("start"), entries.get("end")):
        problems.add(its_end.place, "'end' is before 'start'; no message was sent between them")
    return Filter(tuple(entries.items()), fields.place, pages, wanted, fields.places)


def _ends_before_start(start: FilterEntry | None, end: FilterEntry | None) -> bool:
    """Return True if both are dates or both are ages, and in the wrong order."""
    if isinstance(start, datetime.timedelta) and isinstance(end, datetime.timedelta):
        return start < end
    if isinstance(start, datetime.datetime) and isinstance(end, datetime.datetime):
        return start > end
    return False


_ITEM: Schema = {"anyOf": [TEMPLATE, {"type": ["integer", "boolean"]}]}
_ITEMS: Schema = {"type": "array", "items": _ITEM, "minItems": 1}
_LIST = _or_lambda(Kind(_read_list, {"anyOf": [_ITEMS, TEMPLATE_WITH_PATH]}))
_MOMENT = _or_lambda(Kind(_read_moment, {"anyOf": [TEMPLATE, {"type": "number"}]}))
_ORDERS = ("asc", "desc")
_ORDER = scalar(_ORDERS.__contains__, "'asc' or 'desc'", {"enum": list(_ORDERS)})

#: Every key of a filter, with what may stand below it.
FILTER_SPECS = {
    **{
        f"{prefix}{key}": FieldSpec(_LIST, f"Messages that have {one} of these {key}.")
        for keys in (("usernames",), _LISTS)
        for prefix, one in (("", "one"), ("not_", "none"))
        for key in keys
    },
    "contains": FieldSpec(_LIST, "Messages whose content has one of these texts."),
    "fields": FieldSpec(PAST_FIELDS_KIND, "Messages that have this at some paths."),
    "msg_id": FieldSpec(_or_lambda(Kind(read_template, TEMPLATE)), "The message of this id."),
    "start": FieldSpec(_MOMENT, "Since: 2014-12-31, 30 days ago or a template."),
    "end": FieldSpec(_MOMENT, "Until: 2014-12-31, 30 days ago or a template."),
    "page": FieldSpec(number(1, _MOST, "at least 1"), "Which page an operation sees."),
    "rows_per_page": FieldSpec(
        number(0, _MOST, "at least 0"), "How many messages a page has; 0 for all."
    ),
    "order": FieldSpec(_ORDER, "The oldest or the latest first."),
}
FILTER_KEYS = tuple(FILTER_SPECS)
_FILTER = record_of("a filter", FILTER_SPECS, full=True)

#: What the schema of a filter says beside its keys.
NOT_EMPTY: Schema = {
    "minProperties": 1,
    "allOf": [{"not": {"required": pair}} for pair in map(list, ALIASES.items())],
}

#: What stands below ``filter:``; none has one key by two names.
FILTER_KIND = Kind(
    _read_filter,
    {
        **_FILTER.schema,
        **NOT_EMPTY,
        "if": {"required": ["fields"]},
        "then": {"minProperties": 2},
    },
)
