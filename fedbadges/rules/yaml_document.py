"""YAML text as nodes that remember their place in the file.

Built from PyYAML's stream of events rather than by its composer, because that neither recurses
into what is deeply nested nor expands what aliases multiply.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Union

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import Reader
from yaml.resolver import Resolver

from fedbadges.errors import Place, RuleError
from fedbadges.rules.problems import Problems
from fedbadges.util.text import quoted

#: A rule file has at most this many bytes, values, characters in values, and levels of nesting.
#: What an alias stands for counts again.
MAX_BYTES = 1024 * 1024
MAX_NODES = 10_000
MAX_CHARACTERS = 50_000
MAX_DEPTH = 50

# Of a value that is not text; Python is slow at reading long numbers.
_MAX_NUMBER = 100

Value = str | int | float | bool | datetime.date | datetime.datetime | bytes | None
Node = Union["ScalarNode", "SequenceNode", "MappingNode"]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class ScalarNode:
    """A single value; ``literal`` means that its text stands in the file as it is, on one line."""

    place: Place
    value: Value
    text: str
    literal: bool

    kind = "a single value"


@dataclass(frozen=True)
class SequenceNode:
    """A list of nodes."""

    place: Place
    items: tuple[Node, ...]

    kind = "a list"


@dataclass(frozen=True)
class MappingNode:
    """Pairs of key and value, in the order of the file; no key stands twice."""

    place: Place
    entries: tuple[tuple[ScalarNode, Node], ...]

    kind = "a mapping"

    def get(self, key: str) -> Node | None:
        """Give the value of ``key``, or None where it is absent."""
        return next((node for name, node in self.entries if name.value == key), None)

    def names(self) -> list[str]:
        """Give the keys, as text."""
        return [name.text for name, _ in self.entries]


def parse_document(data: bytes, path: str, what: str = "rule") -> MappingNode:
    """Parse the one YAML document, a mapping, that a rule file holds.

    ``data`` is the file's content, ``path`` its name for messages and ``what`` the word for what it
    is. Raises RuleError.
    """
    documents = _parse(_decode(data, path), path, what)
    problems = Problems()
    if not documents:
        problems.add(Place(path, 1, 1), f"the file is empty; a {what} is a mapping")
    if len(documents) > 1:
        problems.add(documents[1].place, f"a second document; a {what} file holds exactly one")
    for document in documents[:1]:
        if isinstance(document, MappingNode):
            continue
        problems.add(document.place, f"a {what} is a mapping, and this is {document.kind}")
    if len(problems):
        raise RuleError(problems)
    (document,) = documents
    assert isinstance(document, MappingNode)
    return document


def _decode(data: bytes, path: str) -> str:
    problems = Problems()
    if len(data) > MAX_BYTES:
        problems.add(Place(path, 1, 1), f"the file has more than {MAX_BYTES} bytes")
        raise RuleError(problems)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts without the mark that the data may begin with.
        rest = error.object
        place = _place_after(rest[: error.start].decode(), path)
        problems.add(place, f"byte {rest[error.start]:#04x} is not UTF-8")
        raise RuleError(problems) from None
    odd = Reader.NON_PRINTABLE.search(text)
    if odd:
        code = f"U+{ord(odd.group()):04X}"
        problems.add(_place_after(text[: odd.start()], path), f"YAML does not allow {code} here")
        raise RuleError(problems)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _place_after(before: str, path: str) -> Place:
    return Place(path, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _parse(text: str, path: str, what: str) -> list[Node]:
    try:
        return _Builder(path, what).build(text)
    except yaml.MarkedYAMLError:
        lines = text.split("\n")
        repaired = [_repair_lambda(line) for line in lines]
        changed = frozenset(n for n, line in enumerate(lines) if repaired[n] != line)
        builder = _Builder(path, what, changed)
    try:
        return builder.build("\n".join(repaired))
    except yaml.MarkedYAMLError as error:
        raise RuleError([*builder.problems, *_from_yaml(error, path)]) from None


def _from_yaml(error: yaml.MarkedYAMLError, path: str) -> Problems:
    problems = Problems()
    mark = error.problem_mark or error.context_mark
    place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path, 1, 1)
    what = " ".join(part for part in (error.problem, error.context) if part)
    problems.add(place, f"not valid YAML: {what}")
    return problems


# The documentation has always shown `lambda: "text" in json.dumps(msg)`, which YAML reads as a
# quoted text with something behind it. Such a value is quoted as a whole.
_LAMBDA_LINE = re.compile(r"(?P<key>[ \t]*(?:-[ \t]+)*lambda[ \t]*:[ \t]+)(?P<value>[\"'].*)")
_QUOTED = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')(?P<rest>.*)""")


def _repair_lambda(line: str) -> str:
    found = _LAMBDA_LINE.fullmatch(line)
    quoted = found and _QUOTED.fullmatch(found["value"])
    if not found or not quoted:
        return line
    rest = quoted["rest"].strip()
    if not rest or rest.startswith("#"):
        return line
    # A comment behind it is one for Python too.
    return found["key"] + "'" + found["value"].rstrip().replace("'", "''") + "'"


@dataclass(frozen=True)
class _Size:
    """How many nodes, how many characters in them, how many levels."""

    nodes: int
    characters: int
    depth: int


class _Builder:
    """Turns PyYAML's events into nodes, in one pass.

    ``what`` is the word for what is built. ``repaired`` numbers the lines, from 0, whose value was
    put into quotes.
    """

    def __init__(self, path: str, what: str, repaired: frozenset[int] = frozenset()) -> None:
        self.problems = Problems()
        self._path = path
        self._what = what
        self._repaired = repaired
        self._resolver = Resolver()
        self._constructor = SafeConstructor()
        self._anchors: dict[str, Node] = {}
        self._nodes = 0
        self._characters = 0

    def build(self, text: str) -> list[Node]:
        """Give the documents; raises MarkedYAMLError, and RuleError for what YAML allows."""
        documents: list[Node] = []
        open_: list[tuple[Any, list[Node]]] = []
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.DocumentStartEvent):
                self._anchors = {}
                continue
            if isinstance(event, yaml.CollectionStartEvent):
                self._count(event, _Size(1, 0, len(open_) + 1))
                open_.append((event, []))
                continue
            node = self._node(event, open_)
            if node is None:
                continue
            (open_[-1][1] if open_ else documents).append(node)
        if len(self.problems):
            raise RuleError(self.problems)
        return documents

    def _node(self, event: Any, open_: list[tuple[Any, list[Node]]]) -> Node | None:
        if isinstance(event, yaml.ScalarEvent):
            self._count(event, _Size(1, len(event.value), len(open_)))
            return self._anchored(event, self._scalar(event))
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event, len(open_))
        if isinstance(event, yaml.SequenceEndEvent):
            start, items = open_.pop()
            return self._anchored(start, SequenceNode(self._place(start), tuple(items)))
        if isinstance(event, yaml.MappingEndEvent):
            start, items = open_.pop()
            return self._anchored(start, self._mapping(start, items))
        return None

    def _place(self, event: Any) -> Place:
        mark = event.start_mark
        return Place(self._path, mark.line + 1, mark.column + 1)

    def _count(self, event: Any, size: _Size) -> None:
        self._nodes += size.nodes
        self._characters += size.characters
        if size.depth > MAX_DEPTH:
            self._stop(event, f"nested more than {MAX_DEPTH} levels deep")
        if self._nodes > MAX_NODES:
            self._stop(event, f"more than {MAX_NODES} values in one {self._what}")
        if self._characters > MAX_CHARACTERS:
            self._stop(
                event, f"more than {MAX_CHARACTERS} characters in the values of one {self._what}"
            )

    def _stop(self, event: Any, text: str) -> None:
        self.problems.add(self._place(event), text)
        raise RuleError(self.problems)

    def _anchored(self, event: Any, node: Node) -> Node:
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _aliased(self, event: Any, depth: int) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            self.problems.add(self._place(event), f"no anchor '&{event.anchor}' stands before")
            return ScalarNode(self._place(event), None, "", literal=False)
        size = _size(node)
        self._count(event, replace(size, depth=depth + size.depth))
        return node

    def _scalar(self, event: Any) -> ScalarNode:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._resolver.resolve(  # type: ignore[no-untyped-call]
                yaml.ScalarNode, event.value, event.implicit
            )
        place = self._place(event)
        plain_end = event.end_mark.column - event.start_mark.column
        same_line = event.start_mark.line == event.end_mark.line
        if event.style in ("'", '"'):
            plain_end -= 2
        literal = same_line and plain_end == len(event.value)
        if event.start_mark.line in self._repaired and event.style == "'":
            literal = True
        elif literal and event.style in ("'", '"'):
            place = replace(place, column=place.column + 1)
        if tag == _MERGE:
            return ScalarNode(place, "<<", "<<", literal)
        try:
            value = self._value(tag, event)
        except (yaml.YAMLError, AttributeError, LookupError, OverflowError, TypeError, ValueError):
            self.problems.add(place, f"{quoted(event.value)} is not a valid {_name(tag)}")
            value = None
        return ScalarNode(place, value, event.value, literal)

    def _value(self, tag: str, event: Any) -> Value:
        if tag != _TEXT and len(event.value) > _MAX_NUMBER:
            raise ValueError
        node = yaml.ScalarNode(tag, event.value, event.start_mark, event.end_mark)
        value = self._constructor.construct_object(node)
        if not isinstance(value, Value):
            raise TypeError
        return value

    def _mapping(self, start: Any, items: list[Node]) -> MappingNode:
        place = self._place(start)
        entries: dict[Any, tuple[ScalarNode, Node]] = {}
        merged: list[tuple[ScalarNode, Node]] = []
        for key, value in _pairs(items):
            if not isinstance(key, ScalarNode):
                self.problems.add(key.place, f"a key is a single value, and this is {key.kind}")
                continue
            if key.value == "<<" and key.text == "<<":
                merged.extend(self._merged(value))
                continue
            name = (type(key.value), key.text)
            if name in entries:
                first = entries[name][0].place.line
                self.problems.add(
                    key.place, f"duplicate key {quoted(key.text)}, first in line {first}"
                )
                continue
            entries[name] = (key, value)
        for key, value in merged:
            entries.setdefault((type(key.value), key.text), (key, value))
        return MappingNode(place, tuple(entries.values()))

    def _merged(self, value: Node) -> list[tuple[ScalarNode, Node]]:
        sources = value.items if isinstance(value, SequenceNode) else (value,)
        entries: list[tuple[ScalarNode, Node]] = []
        for source in sources:
            if isinstance(source, MappingNode):
                entries.extend(source.entries)
                continue
            self.problems.add(source.place, f"'<<' merges a mapping, and this is {source.kind}")
        return entries


def _pairs(items: list[Node]) -> Iterator[tuple[Node, Node]]:
    return zip(items[::2], items[1::2], strict=True)


def _size(node: Node) -> _Size:
    """Measure all below, so that aliases of aliases cannot multiply unseen."""
    if isinstance(node, ScalarNode):
        return _Size(1, len(node.text), 0)
    if isinstance(node, SequenceNode):
        sizes = [_size(item) for item in node.items]
    else:
        sizes = [_size(each) for entry in node.entries for each in entry]
    return _Size(
        1 + sum(size.nodes for size in sizes),
        sum(size.characters for size in sizes),
        1 + max((size.depth for size in sizes), default=0),
    )


def _name(tag: str) -> str:
    return tag.rpartition(":")[2] or "value"
