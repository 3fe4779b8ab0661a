"""Templates: ``%(dotted.path)s``, filled from the incoming message.

A template alone gives the value itself with its type; within other text it gives its text.
``%%`` stands for a percent sign. List indices work: ``%(msg.authors.0.name)s``.
"""

import itertools
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from fedbadges.errors import MissingValue, Place
from fedbadges.rules.parsing import Problems, as_text
from fedbadges.rules.yaml_document import Node, ScalarNode
from fedbadges.util.text import quoted

#: The path that stands for the candidate, within a filter.
RECIPIENT = "recipient"

# Regular expressions for JSON Schema, as ECMAScript reads them.
#: A dotted path.
PATH = r"[^().\s][^().]*(\.[^().]+)*"
_PATH = rf"%\(\s*{PATH}\s*\)s"
_WHOLE = {"pattern": rf"^(%%|{_PATH}|%(?![(%])|[^%])*$"}

#: JSON Schemas of any text with templates or without, of a template that is not blank, of one that
#: has a path, and of a path alone.
TEXT_TEMPLATE: dict[str, Any] = {"type": "string", **_WHOLE}
TEMPLATE: dict[str, Any] = {"type": "string", "allOf": [_WHOLE, {"pattern": r"\S"}]}
TEMPLATE_WITH_PATH: dict[str, Any] = {
    "type": "string",
    "allOf": [_WHOLE, {"pattern": rf"^(%%|%(?![(%])|[^%])*{_PATH}"}],
}
PATH_ALONE: dict[str, Any] = {"type": "string", "pattern": rf"^{_PATH}$"}

_NOTHING: Any = object()

_BEGINNING = re.compile(r"%\(\s*[A-Za-z_]")
_TOKEN = re.compile(r"%\((?P<path>[^()]*)\)s|%%|(?P<broken>%\()")


@dataclass(frozen=True)
class TemplatePath:
    """A dotted path into the message, and where the rule has it."""

    dotted: str
    place: Place | None = field(default=None, compare=False)

    #: Whether an expression stands in the place of the path.
    computed: ClassVar[bool] = False

    def resolve(self, message: Mapping[str, Any]) -> Any:
        """Return what the message has at this path; raise MissingValue if there is nothing."""
        value = self.find(message, _NOTHING)
        if value is _NOTHING:
            raise self.missing()
        return value

    def find(self, message: Mapping[str, Any], default: Any) -> Any:
        """Return what the message has at this path, or else ``default``."""
        value: Any = message
        start = 0
        while start < len(self._parts):
            value, start = self._step(value, start)
            if value is _NOTHING:
                return default
        return value

    def missing(self) -> MissingValue:
        """Return the error that the message has nothing at this path."""
        return MissingValue(f"the message has no {self.dotted}", self.dotted)

    @cached_property
    def _parts(self) -> list[str]:
        return self.dotted.split(".")

    def _step(self, value: Any, start: int) -> tuple[Any, int]:
        """Return what ``value`` has under the next part or parts, and where the rest begins.

        If there is nothing, return _NOTHING.
        """
        parts = self._parts
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
        return _NOTHING, start


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
        """Return the text with values of ``message``, or the typed value of a path alone."""
        if len(self.parts) == 1 and isinstance(self.parts[0], TemplatePath):
            return self.parts[0].resolve(message)
        return "".join(
            _as_text(part, message) if isinstance(part, TemplatePath) else part
            for part in self.parts
        )


def find_template(text: str) -> int | None:
    """Return where in a lambda's text something begins that is meant as a template."""
    found = _BEGINNING.search(text)
    return None if found is None else found.start()


def name_paths(text: str) -> tuple[str, str]:
    """Return a template's text with a name of the same length in place of each path.

    The second result is a regular expression of the names, with the number of the path as its
    group; nothing else in the text matches it.
    """
    # Python takes letters of the Vai script in names as they are.
    first, other = [each for each in string.ascii_letters + "ꔀꔁꔂꔃ" if each not in text][:2]
    numbers = itertools.count()

    def name(token: re.Match[str]) -> str:
        if token["path"] is None:
            return "%"
        return f"{first}{next(numbers)}".ljust(len(token.group()), other)

    return _TOKEN.sub(name, text), rf"{first}(\d+){other}*"


def parse_template(node: ScalarNode, problems: Problems) -> Template | None:
    """Parse the text of ``node``; report broken parentheses and empty paths."""
    text, before = node.text, len(problems)
    parts: list[str | TemplatePath] = []
    position = 0
    for token in _TOKEN.finditer(text):
        dotted, place = (token["path"] or "").strip(), node.place_at(token.start())
        if token.group() != "%%" and not all(dotted.split(".")):
            mistake = f"{quoted(token.group())} names no path"
            if token["broken"]:
                mistake = "a template that does not end in ')s'"
            problems.add(place, f"{mistake}; write it as %(msg.user)s")
        parts.append(text[position : token.start()])
        parts.append("%" if token.group() == "%%" else TemplatePath(dotted, place))
        position = token.end()
    parts.append(text[position:])
    if len(problems) > before:
        return None
    return Template(text, tuple(part for part in parts if part != ""), node.place)


def read_template(node: Node, what: str, problems: Problems) -> Template | None:
    """Parse a template, or report that ``what`` is not one."""
    text = as_text(node, what, problems)
    return None if text is None else parse_template(text, problems)


def _as_text(path: TemplatePath, message: Mapping[str, Any]) -> str:
    try:
        return str(path.resolve(message))
    except (RecursionError, ValueError):  # nested too deeply, or a number of thousands of digits
        raise MissingValue(f"the message has no text as {path.dotted}") from None
