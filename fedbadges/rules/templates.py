"""Templates: ``%(dotted.path)s``, filled from the incoming message.

A template alone gives the value itself with its type; within other text it gives its text.
``%%`` stands for a percent sign. List indices work: ``%(msg.authors.0.name)s``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fedbadges.errors import MissingValue, Place
from fedbadges.rules.problems import Problems
from fedbadges.rules.yaml_document import ScalarNode
from fedbadges.util.text import quoted

#: The path that stands for the candidate, within a filter.
RECIPIENT = "recipient"

#: What templates look like, and what has a path in it: regular expressions for JSON Schema, as
#: ECMAScript reads them.
_PATH = r"%\(\s*[^().\s][^().]*(\.[^().]+)*\s*\)s"
TEMPLATE_PATTERN = rf"^(%%|{_PATH}|%(?![(%])|[^%])*$"
WITH_PATH_PATTERN = rf"^(%%|%(?![(%])|[^%])*{_PATH}"

_TOKEN = re.compile(r"%\((?P<path>[^()]*)\)s|%%")
_BROKEN = re.compile(r"%\(")


@dataclass(frozen=True)
class TemplatePath:
    """A dotted path into the message."""

    dotted: str

    def resolve(self, message: Mapping[str, Any]) -> Any:
        """Return what the message has at this path; raise MissingValue if there is nothing."""
        return _resolve(message, self._parts, self.dotted)

    @cached_property
    def _parts(self) -> list[str]:
        return self.dotted.split(".")


@dataclass(frozen=True)
class Template:
    """Text with paths in it, parsed once."""

    text: str
    parts: tuple[str | TemplatePath, ...]
    place: Place = field(compare=False)

    @property
    def paths(self) -> tuple[TemplatePath, ...]:
        """Return the paths that the template reads."""
        return tuple(part for part in self.parts if isinstance(part, TemplatePath))

    def names(self, dotted: str) -> bool:
        """Return True if the template reads exactly this path."""
        return any(path.dotted == dotted for path in self.paths)

    def fill(self, message: Mapping[str, Any]) -> Any:
        """Return the text with the values of ``message`` in it; raise MissingValue.

        A template that is a single path and nothing else returns the value with its type.
        """
        if len(self.parts) == 1 and isinstance(self.parts[0], TemplatePath):
            return self.parts[0].resolve(message)
        return "".join(
            _as_text(part, message) if isinstance(part, TemplatePath) else part
            for part in self.parts
        )


def name_paths(text: str, first: str, other: str) -> str:
    """Return a template's text with a name of the same length in place of each path.

    The name has the letter ``first``, the number of the path, and as many letters ``other`` as fit.
    """
    numbers = itertools.count()

    def name(token: re.Match[str]) -> str:
        if token["path"] is None:
            return "%"
        return f"{first}{next(numbers)}".ljust(len(token.group()), other)

    return _TOKEN.sub(name, text)


def parse_template(node: ScalarNode, problems: Problems) -> Template | None:
    """Parse the text of ``node``; report broken parentheses and empty paths."""
    text = node.text
    before = len(problems)
    parts: list[str | TemplatePath] = []
    position = 0
    for token in _TOKEN.finditer(text):
        _check_plain(node, position, token.start(), problems)
        parts.append(text[position : token.start()])
        parts.append(_part(node, token, problems))
        position = token.end()
    _check_plain(node, position, len(text), problems)
    parts.append(text[position:])
    if len(problems) > before:
        return None
    return Template(text, tuple(part for part in parts if part != ""), node.place)


def _part(node: ScalarNode, token: re.Match[str], problems: Problems) -> str | TemplatePath:
    if token["path"] is None:
        return "%"
    dotted = token["path"].strip()
    if not all(dotted.split(".")):
        problems.add(
            node.place_at(token.start()),
            f"{quoted(token.group())} names no path; write it as %(msg.user)s",
        )
    return TemplatePath(dotted)


def _check_plain(node: ScalarNode, start: int, end: int, problems: Problems) -> None:
    broken = _BROKEN.search(node.text, start, end)
    if broken:
        problems.add(
            node.place_at(broken.start()),
            "a template that does not end in ')s'; write it as %(msg.user)s",
        )


def _as_text(path: TemplatePath, message: Mapping[str, Any]) -> str:
    try:
        return str(path.resolve(message))
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        raise MissingValue(f"the message has no text as {path.dotted}") from None


def _resolve(value: Any, parts: Sequence[str], dotted: str) -> Any:
    start = 0
    while start < len(parts):
        value, start = _step(value, parts, start, dotted)
    return value


def _step(value: Any, parts: Sequence[str], start: int, dotted: str) -> tuple[Any, int]:
    """Return what ``value`` has under the next part or parts, and where the rest begins."""
    # Most are dictionaries, and ``dict`` is checked faster than ``Mapping``.
    if isinstance(value, (dict, Mapping)):
        if parts[start] in value:
            return value[parts[start]], start + 1
        # A key may itself have dots in it.
        for end in range(start + 2, len(parts) + 1):
            key = ".".join(parts[start:end])
            if key in value:
                return value[key], end
    elif isinstance(value, list) and parts[start].isdecimal() and len(parts[start]) < 10:
        index = int(parts[start])
        if index < len(value):
            return value[index], start + 1
    raise MissingValue(f"the message has no {dotted}")
