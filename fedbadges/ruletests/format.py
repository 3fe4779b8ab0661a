"""The format of test files: their keys, and the kinds of their values."""

import datetime
from collections.abc import Callable
from typing import Any, TypeVar

from fedbadges.rules.grammar import (
    DIALECT,
    TEXT,
    TEXTUAL,
    YES_NO,
    Fields,
    FieldSpec,
    Kind,
    Schema,
    number,
    record_of,
    several,
)
from fedbadges.rules.parsing import Problems, as_mapping, as_text
from fedbadges.rules.recipients import account
from fedbadges.rules.templates import Template, parse_template
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode
from fedbadges.util.moments import AGE_UNITS, to_moment
from fedbadges.util.text import quoted, suggestion

T = TypeVar("T")

#: The maximum number of messages of a test.
MAX_MESSAGES = 10_000
#: The names that the templates of a message can use.
FROM, NUMBER = "from", "number"
#: When the first incoming message is sent, unless a test says otherwise.
NOW = datetime.datetime(2024, 1, 1, 12, 0)


def _one_or_several(kind: Kind[T], what: str, *, least: int = 1) -> Kind[tuple[T, ...]]:
    """Return the kind of one value or a list; with ``least`` 0 the list may be empty."""
    many = several(kind, what)

    def read(node: Node, name: str, problems: Problems) -> tuple[T, ...] | None:
        if isinstance(node, SequenceNode):
            return many.read(node, name, problems) if node.items or least else ()
        found = kind.read(node, name, problems)
        return None if found is None else (found,)

    return Kind(read, {"anyOf": [kind.schema, {**many.schema, "minItems": least}]})


def _by_name(
    kind: Kind[T], to_name: Callable[[ScalarNode, Problems], str | None], *, least: int = 0
) -> Kind[tuple[tuple[str, T], ...]]:
    """Return the kind of a mapping; ``to_name`` reads its keys, or reports what is wrong."""

    def read(node: Node, what: str, problems: Problems) -> tuple[tuple[str, T], ...] | None:
        mapping = as_mapping(node, what, problems)
        if mapping is None:
            return None
        if len(mapping.entries) < least:
            problems.add(mapping.place, f"{what} is empty; it takes at least one")
        found = []
        for key, value in mapping.entries:
            name = to_name(key, problems)
            one = kind.read(value, quoted(key.text), problems)
            if name is not None and one is not None:
                found.append((name, one))
        return tuple(found)

    schema: Schema = {"type": "object", "additionalProperties": kind.schema}
    return Kind(read, {**schema, "minProperties": least} if least else schema)


def _or_empty(kind: Kind[Fields]) -> Kind[Fields]:
    """Return the kind of a mapping that may be empty."""

    def read(node: Node, what: str, problems: Problems) -> Fields | None:
        if isinstance(node, ScalarNode) and node.value is None:
            return Fields(node.place, {}, {})
        return kind.read(node, what, problems)

    return Kind(read, {"anyOf": [{"type": "null"}, kind.schema]})


def _text(parse: Callable[[ScalarNode, Problems], T | None]) -> Kind[T]:
    """Return the kind of text that is not blank; ``parse`` reads it."""

    def read(node: Node, what: str, problems: Problems) -> T | None:
        text = as_text(node, what, problems)
        return None if text is None else parse(text, problems)

    return Kind(read, TEXT)


def _account_name(node: ScalarNode, problems: Problems) -> str | None:
    found = account(node.text)
    if found.name is None:
        problems.add(node.place, f"{quoted(node.text)} cannot be an account: it {found.dropped}")
    return found.name


def _read_moment(node: Node, what: str, problems: Problems) -> ScalarNode | None:
    if isinstance(node, ScalarNode) and to_moment(node.value, NOW) is not None:
        return node
    problems.add(node.place, f"{what} is a date, seconds since 1970 or an age such as '3 days ago'")
    return None


def _read_created(node: Node, what: str, problems: Problems) -> datetime.datetime | None:
    moment = _read_moment(node, what, problems)
    return None if moment is None else to_moment(moment.value, NOW)


def _read_interval(node: Node, what: str, problems: Problems) -> datetime.timedelta | None:
    moment = to_moment(f"{node.text} ago", NOW) if isinstance(node, ScalarNode) else None
    if moment is None:
        problems.add(node.place, f"{what} is a length of time, such as '1 day' or '90 minutes'")
    return None if moment is None else NOW - moment


def _read_data(node: Node, what: str, problems: Problems) -> Any:
    """Read what JSON can hold; texts become templates."""
    if isinstance(node, SequenceNode):
        return [_read_data(item, what, problems) for item in node.items]
    if isinstance(node, MappingNode):
        return {key.text: _read_data(value, what, problems) for key, value in node.entries}
    value = node.value
    if isinstance(value, float) and value - value != 0:
        problems.add(node.place, f"{quoted(node.text)} is not a number that a message can have")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _template(node, problems)


def _template(node: ScalarNode, problems: Problems) -> Template | None:
    """Parse a template that can only use the sender and the number of a message."""
    before = len(problems)
    template = parse_template(node, problems)
    for path in () if template is None else template.paths:
        if path.dotted not in (FROM, NUMBER):
            hint = suggestion(path.dotted, (FROM, NUMBER))
            problems.add(node.place, f"nothing to fill in for %({path.dotted})s{hint}")
    return template if len(problems) == before else None


_TEMPLATE = _text(_template)
_MOMENT = Kind(_read_moment, {"anyOf": [TEXT, {"type": "number"}]})
_CREATED = Kind(_read_created, {"anyOf": [TEXT, {"type": "number"}]})
_INTERVAL = Kind(
    _read_interval,
    {"type": "string", "pattern": rf"^\s*[0-9]{{1,6}}\s+({'|'.join(AGE_UNITS)})s?\s*$"},
)
_DATA: Kind[Any] = Kind(_read_data, {})
_OBJECT: Kind[Any] = Kind(
    lambda *args: None if as_mapping(*args) is None else _read_data(*args), {"type": "object"}
)
_TEXTS = _one_or_several(TEXTUAL, "a name")
_STRIPPED = _text(lambda node, _: node.text.strip())
_STRIPPED_TEXTS = _one_or_several(_STRIPPED, "a name")
_NAMES = _one_or_several(_TEMPLATE, "a name", least=0)
_BADGES = _one_or_several(TEXTUAL, "a badge")

#: The keys of a message itself.
MESSAGE_KEYS = {
    "topic": FieldSpec(_TEMPLATE, "The whole topic, such as org.fedoraproject.prod.git.receive."),
    "msg": FieldSpec(_OBJECT, "What the message says."),
    "usernames": FieldSpec(
        _NAMES, "Whom it concerns; without, whom it is from, or else whom fedmsg.meta names."
    ),
    "packages": FieldSpec(
        _NAMES, "The packages that it concerns; without, those that fedmsg.meta names."
    ),
    "agent": FieldSpec(_TEMPLATE, "Who did it; without, whom fedmsg.meta names."),
    "timestamp": FieldSpec(
        _MOMENT,
        "When it was sent, or the first of several: a date, seconds or an age such as 3 days ago.",
    ),
    "msg_id": FieldSpec(_TEMPLATE, "Its id; without, one of its own."),
    "username": FieldSpec(_TEMPLATE, "The envelope's own: the account that ran what sent it."),
    "i": FieldSpec(number(0, 2**31 - 1), "The envelope's own: the sender's count."),
    "headers": FieldSpec(_OBJECT, "The envelope's own."),
    **{
        name: FieldSpec(_DATA, "The envelope's own; takes part in nothing.")
        for name in ("source_name", "source_version", "crypto", "certificate", "signature")
    },
}
_SEVERAL = {
    "like": FieldSpec(TEXTUAL, "The message under 'messages' that says what this one does not."),
    "from": FieldSpec(_TEXTS, "Whom it is from: one message from each; fills in %(from)s."),
    "count": FieldSpec(
        number(1, MAX_MESSAGES), "How many there are, of each sender; they fill in %(number)s."
    ),
    "every": FieldSpec(_INTERVAL, "How long after one the next is sent, such as 1 day; a minute."),
}
#: The keys of expectations.
EXPECTED_KEYS = {
    "awards": FieldSpec(
        _by_name(_BADGES, _account_name),
        "Who gets which badges, by their ids; and nobody anything else. {} for nobody.",
    ),
    "no_awards": FieldSpec(
        _by_name(_BADGES, _account_name, least=1), "Who does not get which badges, by their ids."
    ),
}
_ACCOUNT = record_of(
    "an account",
    {
        "nicks": FieldSpec(_STRIPPED_TEXTS, "IRC nicks."),
        "emails": FieldSpec(_STRIPPED_TEXTS, "E-mail addresses."),
        "github": FieldSpec(_STRIPPED_TEXTS, "Names on GitHub."),
        "groups": FieldSpec(
            _STRIPPED_TEXTS, "Groups that the account is in, for criteria that ask."
        ),
        "created": FieldSpec(
            _CREATED,
            "When it was created, for rules of fedbadges 2.x, which count no older messages.",
        ),
        "avatar": FieldSpec(YES_NO, "Yes, if Libravatar has one, for criteria that ask."),
    },
)
_WORLD = {
    "accounts": FieldSpec(
        _by_name(_or_empty(_ACCOUNT), _account_name),
        "Who has an account, and what else the accounts service says; without, everybody has.",
    ),
    "opted_out": FieldSpec(
        _one_or_several(_text(_account_name), "a name", least=0), "Who wants no badges."
    ),
    "holds": FieldSpec(
        _by_name(_BADGES, _account_name), "Who has which badges already, by their ids."
    ),
    "now": FieldSpec(_MOMENT, "When the first incoming message is sent; 2024-01-01 12:00:00 else."),
}
_TEST = record_of(
    "a test",
    {
        "name": FieldSpec(_STRIPPED, "What it shows.", required=True),
        "past": FieldSpec(
            several(record_of("a past message", {**_SEVERAL, **MESSAGE_KEYS}), "a past message"),
            "Messages of before, which datanommer has.",
        ),
        "incoming": FieldSpec(
            several(
                record_of("an incoming message", {**_SEVERAL, **MESSAGE_KEYS, **EXPECTED_KEYS}),
                "an incoming message",
            ),
            "Messages that come in, one after the other, with what is expected of each.",
            required=True,
        ),
        **EXPECTED_KEYS,
        **_WORLD,
    },
)
#: A whole test file.
FILE: Kind[Fields] = record_of(
    "a test file",
    {
        "rules": FieldSpec(_TEXTS, "The rule files, as seen from here; without, the one beside."),
        "messages": FieldSpec(
            _by_name(record_of("a message", MESSAGE_KEYS), lambda key, _: key.text),
            "Messages to be 'like', by names.",
        ),
        "tests": FieldSpec(several(_TEST, "a test"), "The tests.", required=True),
        **_WORLD,
    },
)


def suite_schema() -> Schema:
    """Return a JSON Schema of test files."""
    return {"$schema": DIALECT, "title": "Tests of rules of fedbadges", **FILE.schema}
