"""The kinds of values that only a test file has, beside those of the rule language."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, TypeVar

from fedbadges.rules.grammar import TEXT, Fields, Kind, Schema, several
from fedbadges.rules.moments import AGE_UNITS, to_moment
from fedbadges.rules.parsing import as_mapping, as_text
from fedbadges.rules.problems import Problems
from fedbadges.rules.recipients import account
from fedbadges.rules.templates import Template, parse_template
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode
from fedbadges.util.text import quoted, suggestion

T = TypeVar("T")

#: When the first incoming message is sent, unless a test says otherwise.
NOW = datetime.datetime(2024, 1, 1, 12, 0)


def one_or_several(kind: Kind[T], what: str, *, least: int = 1) -> Kind[tuple[T, ...]]:
    """Return the kind of one, or a list of them; with ``least`` 0 it may be empty."""
    many = several(kind, what)

    def read(node: Node, name: str, problems: Problems) -> tuple[T, ...] | None:
        if isinstance(node, SequenceNode):
            return many.read(node, name, problems) if node.items or least else ()
        found = kind.read(node, name, problems)
        return None if found is None else (found,)

    return Kind(read, {"anyOf": [kind.schema, {**many.schema, "minItems": least}]})


def by_name(
    kind: Kind[T], check: Callable[[ScalarNode, Problems], str | None], *, least: int = 0
) -> Kind[tuple[tuple[str, T], ...]]:
    """Return the kind of a mapping from names; what is read has each name with its value.

    ``check`` returns the name that a key stands for, or reports that it cannot be one.
    """

    def read(node: Node, what: str, problems: Problems) -> tuple[tuple[str, T], ...] | None:
        mapping = as_mapping(node, what, problems)
        if mapping is None:
            return None
        if len(mapping.entries) < least:
            problems.add(mapping.place, f"{what} is empty; it takes at least one")
        found = []
        for key, value in mapping.entries:
            name = check(key, problems)
            one = kind.read(value, quoted(key.text), problems)
            if name is not None and one is not None:
                found.append((name, one))
        return tuple(found)

    schema: Schema = {"type": "object", "additionalProperties": kind.schema}
    return Kind(read, {**schema, "minProperties": least} if least else schema)


def or_empty(kind: Kind[Fields]) -> Kind[Fields]:
    """Return the kind of a mapping that may be missing behind its name."""

    def read(node: Node, what: str, problems: Problems) -> Fields | None:
        if isinstance(node, ScalarNode) and node.value is None:
            return Fields(node.place, {}, {})
        return kind.read(node, what, problems)

    return Kind(read, {"anyOf": [{"type": "null"}, kind.schema]})


def any_name(key: ScalarNode, problems: Problems) -> str | None:
    """Return the text of a key, any of which is a name."""
    return key.text


def account_name(node: ScalarNode, problems: Problems) -> str | None:
    """Return the name of an account in lower case, or report that it cannot be one."""
    found = account(node.text)
    if found.name is None:
        problems.add(node.place, f"{quoted(node.text)} can be no account: it {found.dropped}")
    return found.name


def _read_template(node: Node, what: str, problems: Problems) -> Template | None:
    text = as_text(node, what, problems)
    return None if text is None else _template(text, problems)


def _read_account(node: Node, what: str, problems: Problems) -> str | None:
    text = as_text(node, what, problems)
    return None if text is None else account_name(text, problems)


def _read_moment(node: Node, what: str, problems: Problems) -> ScalarNode | None:
    if isinstance(node, ScalarNode) and to_moment(node.value, NOW) is not None:
        return node
    problems.add(node.place, f"{what} is a date, seconds since 1970 or an age such as '3 days ago'")
    return None


def _read_interval(node: Node, what: str, problems: Problems) -> datetime.timedelta | None:
    moment = to_moment(f"{node.text} ago", NOW) if isinstance(node, ScalarNode) else None
    if moment is None:
        problems.add(node.place, f"{what} is a length of time, such as '1 day' or '90 minutes'")
        return None
    return NOW - moment


def _read_data(node: Node, what: str, problems: Problems) -> Any:
    """Read what JSON can hold; texts become templates."""
    if isinstance(node, SequenceNode):
        return [_read_data(item, what, problems) for item in node.items]
    if isinstance(node, MappingNode):
        return {key.text: _read_data(value, what, problems) for key, value in node.entries}
    value = node.value
    if isinstance(value, float) and value - value != 0:
        problems.add(node.place, f"{quoted(node.text)} is no number that a message can have")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _template(node, problems)


def _read_object(node: Node, what: str, problems: Problems) -> Any:
    mapping = as_mapping(node, what, problems)
    return None if mapping is None else _read_data(mapping, what, problems)


def _template(node: ScalarNode, problems: Problems) -> Template | None:
    """Parse text in which the sender and the number of a message may stand, and nothing else."""
    before = len(problems)
    template = parse_template(node, problems)
    for path in () if template is None else template.paths:
        if path.dotted not in PLACEHOLDERS:
            hint = suggestion(path.dotted, PLACEHOLDERS)
            problems.add(node.place, f"nothing to fill in for %({path.dotted})s{hint}")
    return template if len(problems) == before else None


#: What texts of a message are filled in with, where it stands for several.
FROM, NUMBER = "from", "number"
PLACEHOLDERS = (FROM, NUMBER)

TEMPLATE = Kind(_read_template, TEXT)
ACCOUNT = Kind(_read_account, TEXT)
MOMENT = Kind(_read_moment, {"anyOf": [TEXT, {"type": "number"}]})
INTERVAL = Kind(
    _read_interval,
    {"type": "string", "pattern": rf"^\s*[0-9]{{1,6}}\s+({'|'.join(AGE_UNITS)})s?\s*$"},
)
DATA: Kind[Any] = Kind(_read_data, {})
OBJECT: Kind[Any] = Kind(_read_object, {"type": "object"})
