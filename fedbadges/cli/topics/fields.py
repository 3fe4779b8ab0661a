"""The fields that messages have: their paths as templates name them, types and examples."""

import json
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from fedbadges.rules.names import names_in
from fedbadges.rules.recipients import account

#: How many fields are listed, how deep they are at most, and how many examples each has.
_MOST_FIELDS, _MOST_LEVELS, _MOST_EXAMPLES = 500, 8, 3

#: From so many keys on, these are data rather than fields, and so are their values.
_MANY_KEYS = 30

#: How many items of a value are looked at, and how many characters of it are shown.
_MOST_ITEMS, _MOST_CHARACTERS = 100, 40

#: What a template cannot have in a path.
_NOT_IN_PATHS = "()"

TEXT, NUMBER, TRUTH, NULL, LIST, OBJECT = (
    "text",
    "number",
    "true or false",
    "null",
    "list",
    "object",
)


@dataclass
class Field:
    """What some messages have at a path.

    ``count`` of them have it, and in ``naming`` of these it names one of the message's users.
    ``examples`` are short JSON.
    """

    path: str
    count: int = 0
    naming: int = 0
    types: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def add(self, value: Any, users: Set[str]) -> None:
        """Add a message that has this value, and these users, in lower case."""
        self.count += 1
        self.naming += bool(users) and names_any_of(value, users)
        kind = type_of(value)
        if kind not in self.types:
            self.types.append(kind)
        if kind != OBJECT and len(self.examples) < _MOST_EXAMPLES:
            example = short_json(value)
            if example not in self.examples:
                self.examples.append(example)


def fields_of(messages: Iterable[tuple[Mapping[str, Any], Set[str]]]) -> list[Field]:
    """Return the fields of messages, each with its users, in the order of their paths.

    Of a list, only its first item has fields. An object with many keys has none: its keys are
    data, such as names.
    """
    fields: dict[str, Field] = {}
    keys: dict[str, set[str]] = {}
    for body, users in messages:
        spelled = {name.lower() for name in users}
        for path, value in walk(body):
            if path not in fields and len(fields) == _MOST_FIELDS:
                continue
            fields.setdefault(path, Field(path)).add(value, spelled)
            above, _, key = path.rpartition(".")
            keys.setdefault(above, set()).add(key)
    of_data = [f"{path}." for path, below in keys.items() if len(below) >= _MANY_KEYS]
    found = [each for each in fields.values() if not each.path.startswith(tuple(of_data))]
    return sorted(found, key=lambda each: each.path.split("."))


def walk(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a message with their paths: its content, and who sent it, if known."""
    if body.get("username"):
        yield "username", body["username"]
    yield from _below("msg", body.get("msg"), _MOST_LEVELS)


def _below(path: str, value: Any, levels: int) -> Iterator[tuple[str, Any]]:
    yield path, value
    if not levels:
        return
    if isinstance(value, Mapping):
        for key, each in islice(value.items(), _MANY_KEYS):
            # A key with a dot is found, but for one that stands where another path leads.
            if key and not any(letter in key for letter in _NOT_IN_PATHS):
                yield from _below(f"{path}.{key}", each, levels - 1)
    elif isinstance(value, list) and value:
        yield from _below(f"{path}.0", value[0], levels - 1)


def type_of(value: Any) -> str:
    """Return the type of a value in a word."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return TRUTH
    if isinstance(value, (int, float)):
        return NUMBER
    if isinstance(value, str):
        return TEXT
    return LIST if isinstance(value, list) else OBJECT


def names_any_of(value: Any, users: Set[str]) -> bool:
    """Return True if a value of a message names one of these users, as a recipient does."""
    if isinstance(value, (list, Mapping)):
        # Only the beginning of a long one is looked at.
        value = (
            value[:_MOST_ITEMS]
            if isinstance(value, list)
            else dict(islice(value.items(), _MOST_ITEMS))
        )
    return any(account(name).name in users for name in names_in(value))


def short_json(value: Any) -> str:
    """Return a value as JSON that is short and printable."""
    if isinstance(value, str):
        value = value[: _MOST_CHARACTERS + 1]
    elif isinstance(value, list):
        value = value[:_MOST_CHARACTERS]
    try:
        text = json.dumps(value, ensure_ascii=False)
    except ValueError:  # a number of thousands of digits
        text = "a very long number"
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
