"""Fields: what a message must have at some paths, said without Python.

``fields`` stands in triggers, about the message itself, and in filters, about past messages.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fedbadges.errors import Place
from fedbadges.rules.comparison_reader import DEFINITIONS as _COMPARISONS
from fedbadges.rules.comparison_reader import read_check
from fedbadges.rules.comparisons import MISSING, Check, Index, Values
from fedbadges.rules.grammar import Kind, Schema, ref
from fedbadges.rules.parsing import Problems
from fedbadges.rules.templates import PATH, TemplatePath
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode
from fedbadges.util.text import quoted

#: Returns what a source has at a path, or MISSING.
Reader = Callable[[Any], Any]

#: Decides of a source, with the values of the templates; None for "unknown".
Decision = Callable[[Any, Values], bool | None]

_PATH = re.compile(PATH)
_PLAIN_PATH = re.compile(r"[\w.-]+")
_SUBSCRIPTS = re.compile(r"\w+(\[['\"]?[\w-]+['\"]?\])+")
_BRACKETS = re.compile(r"['\"]?\]?\[['\"]?|['\"]?\]")


@dataclass(frozen=True)
class Field:
    """What a message must have at one path."""

    path: TemplatePath
    check: Check

    def __str__(self) -> str:
        return f"{path_text(self.path)}: {self.check}"

    @property
    def place(self) -> Place:
        """Return where the rule has the path."""
        assert self.path.place is not None
        return self.path.place

    def decision(self, read: Reader, index: Index) -> Decision:
        """Return what decides of a source that ``read`` reads."""
        test, when_missing = self.check.test(index), self.check.when_missing

        def decide(source: Any, values: Values) -> bool | None:
            value = read(source)
            return when_missing if value is MISSING else test(value, values)

        return decide


def path_text(path: TemplatePath) -> str:
    """Return a path as a rule may have it before other text: where that begins is clear."""
    plain = _PLAIN_PATH.fullmatch(path.dotted)
    return path.dotted if plain else json.dumps(path.dotted, ensure_ascii=False)


def fields_text(fields: Iterable[Field]) -> str:
    """Return fields as a rule may have them, on one line; others have another text."""
    return f"{{{', '.join(map(str, fields))}}}"


def body_reader(path: TemplatePath) -> Reader:
    """Return what reads a path of a whole message."""
    return lambda source: path.find(source, MISSING)


def resolved(path: TemplatePath, source: Mapping[str, Any]) -> Any:
    """Return what a message has at a path, or MISSING."""
    return path.find(source, MISSING)


def index_of(paths: Iterable[TemplatePath]) -> Index:
    """Return where each path's value is among those of all paths."""
    index: dict[str, int] = {}
    for number, path in enumerate(paths):
        index.setdefault(path.dotted, number)
    return index


def _read_fields(node: Node, _: str, problems: Problems) -> tuple[Field, ...] | None:
    if not isinstance(node, MappingNode):
        text = f"'fields' is a mapping, such as 'msg.minor: 0', and this is {node.kind}"
        problems.add(node.place, text)
        return None
    if not node.entries:
        problems.add(node.place, "'fields' is empty; it takes at least one, such as 'msg.minor: 0'")
        return None
    found = [_read_field(key, value, problems) for key, value in node.entries]
    fields = tuple(field for field in found if field is not None)
    return fields if len(fields) == len(found) else None


def _read_field(key: ScalarNode, node: Node, problems: Problems) -> Field | None:
    path = read_path(key, problems)
    check = read_check(node, key.text.strip(), problems)
    return None if path is None or check is None else Field(path, check)


def read_path(key: ScalarNode, problems: Problems) -> TemplatePath | None:
    """Parse the path of a field; report what is none."""
    text = key.text.strip()
    bare = text.removeprefix("%(").removesuffix(")s").strip()
    if bare != text and _PATH.fullmatch(bare):
        problems.add(key.place, f"a path stands alone here; write '{bare}' for {quoted(text)}")
    elif _SUBSCRIPTS.fullmatch(text):
        dotted = _BRACKETS.sub(".", text).strip(".")
        problems.add(key.place, f"a path is written with dots: '{dotted}' for {quoted(text)}")
    elif not isinstance(key.value, str) or not _PATH.fullmatch(text):
        problems.add(key.place, f"{quoted(text)} is no path; one is written as 'msg.commit.branch'")
    else:
        return TemplatePath(text, key.place)
    return None


#: The definitions of a JSON Schema for fields.
DEFINITIONS: dict[str, Schema] = {
    "fields": {
        "type": "object",
        "propertyNames": {"pattern": rf"^\s*{PATH}\s*$"},
        "additionalProperties": ref("field"),
        "minProperties": 1,
    },
    **_COMPARISONS,
}

#: What stands below ``fields``.
FIELDS_KIND = Kind(_read_fields, ref("fields"))
