"""YAML text as immutable nodes that know their place in the file."""

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Union

import yaml
from yaml.constructor import SafeConstructor
from yaml.reader import Reader

from fedbadges.errors import Place, Problem, RuleError
from fedbadges.rules.hints import SIGNS, yaml_hint
from fedbadges.util.text import quoted

#: The limits of a file: bytes, nodes (those of an alias count each time), and levels of nesting.
MAX_BYTES = 128 * 1024
MAX_NODES = 10_000
MAX_DEPTH = 50

# Python is slow at reading long numbers.
_MAX_NUMBER = 100

#: Line ends for YAML, once those of Windows and old Macs are replaced.
LINE_ENDS = re.compile("[\n\x85\u2028\u2029]")

_COMMENT = re.compile(r"[ \t]+#.*")

Value = str | int | float | bool | datetime.date | datetime.datetime | bytes | None
Node = Union["ScalarNode", "SequenceNode", "MappingNode"]

#: libyaml's, where PyYAML was built with it.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class ScalarNode:
    """A single value; ``literal`` means that its text stands in the file as it is, on one line.

    ``comment`` is what follows a value without quotes up to the end of the line, with blanks.
    """

    place: Place
    value: Value
    text: str
    literal: bool
    comment: str = ""

    kind = "a single value"

    def __str__(self) -> str:
        return self.text

    def place_at(self, offset: int) -> Place:
        """Return the place of a character of the text; the node's own where text was folded."""
        if not self.literal:
            return self.place
        return replace(self.place, column=self.place.column + offset)


@dataclass(frozen=True)
class SequenceNode:
    """A list of nodes."""

    place: Place
    items: tuple[Node, ...]

    kind = "a list"

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.items))}]"


@dataclass(frozen=True)
class MappingNode:
    """Pairs of key and value, in the order of the file; no key stands twice."""

    place: Place
    entries: tuple[tuple[ScalarNode, Node], ...]

    kind = "a mapping"

    def __str__(self) -> str:
        return f"{{{', '.join(f'{key}: {value}' for key, value in self.entries)}}}"

    def get(self, key: str) -> Node | None:
        """Return the value of ``key``, or None where it is absent."""
        return next((node for name, node in self.entries if name.value == key), None)


def parse_document(data: bytes, path: str, what: str = "rule") -> MappingNode:
    """Parse the one YAML mapping that a file of the kind ``what`` holds; raise RuleError."""
    text = decode_document(data, path)
    documents, quoted_lines = _compose(text, path)
    if not documents:
        raise _error(Place(path, 1, 1), f"the file is empty; a {what} is a mapping")
    if len(documents) > 1:
        mistake = f"a second document; a {what} file holds exactly one"
        raise _error(_place_of(documents[1], path), mistake)
    reader = _NodeReader(path, what, text, quoted_lines)
    document = reader.read(documents[0])
    if reader.problems:
        raise RuleError(reader.problems)
    if not isinstance(document, MappingNode):
        raise _error(document.place, f"a {what} is a mapping, and this is {document.kind}")
    return document


def _error(place: Place, text: str) -> RuleError:
    return RuleError([Problem(place, text)])


def decode_document(data: bytes, path: str) -> str:
    """Return the text of a file, with line ends of one kind; raise RuleError if it is none."""
    if len(data) > MAX_BYTES:
        raise _error(Place(path, 1, 1), f"the file has more than {MAX_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The codec counts without the byte order mark.
        rest = error.object
        place = _place_after(rest[: error.start].decode(), path)
        raise _error(place, f"byte {rest[error.start]:#04x} is not UTF-8") from None
    odd = Reader.NON_PRINTABLE.search(text)
    if odd:
        place = _place_after(text[: odd.start()], path)
        raise _error(place, f"YAML does not allow U+{ord(odd.group()):04X} here")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _place_after(before: str, path: str) -> Place:
    return Place(path, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _place_of(node: yaml.Node, path: str) -> Place:
    return Place(path, node.start_mark.line + 1, node.start_mark.column + 1)


def _compose(text: str, path: str) -> tuple[list[yaml.Node], frozenset[int]]:
    """Return PyYAML's nodes, and the numbers of the lines whose lambda had to be quoted."""
    try:
        return list(yaml.compose_all(text, Loader=LOADER)), frozenset()
    except (yaml.YAMLError, RecursionError):
        quoted_text, changed = quote_lambdas(text)
    try:
        return list(yaml.compose_all(quoted_text, Loader=LOADER)), changed
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(path, mark.line + 1, mark.column + 1) if mark else Place(path, 1, 1)
        what = " ".join(part for part in (error.problem, error.context) if part)
        # The mark may be behind the end.
        line = "".join(LINE_ENDS.split(text)[mark.line : mark.line + 1]) if mark else ""
        hint = yaml_hint(error, line, mark.column if mark else 0)
        raise _error(place, f"not valid YAML: {what}{hint}") from None
    except RecursionError:
        raise _error(Place(path, 1, 1), f"nested more than {MAX_DEPTH} levels deep") from None


# The documentation has always shown `lambda: "text" in json.dumps(msg)`, which YAML reads as a
# quoted text with something behind it. Such a value is quoted as a whole.
_LAMBDA_LINE = re.compile(r"(?P<key>[ \t]*(?:-[ \t]+)*lambda[ \t]*:[ \t]+)(?P<value>[\"'].*)")
_QUOTED = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')(?P<rest>.*)""")


def quote_lambdas(text: str) -> tuple[str, frozenset[int]]:
    """Return a text with every such lambda quoted, and the numbers of these lines, from 0."""
    lines = text.split("\n")
    quoted_lines = [_quote_lambda(line) for line in lines]
    changed = frozenset(n for n, line in enumerate(lines) if quoted_lines[n] != line)
    return "\n".join(quoted_lines), changed


def _quote_lambda(line: str) -> str:
    found = _LAMBDA_LINE.fullmatch(line)
    beginning = found and _QUOTED.fullmatch(found["value"])
    if not found or not beginning:
        return line
    rest = beginning["rest"].strip()
    if not rest or rest.startswith("#"):
        return line
    # A comment behind it is one for Python too.
    return found["key"] + "'" + found["value"].rstrip().replace("'", "''") + "'"


class _NodeReader:
    """Turns PyYAML's nodes into ours; ``quoted_lines`` numbers, from 0, the lines put in quotes."""

    def __init__(self, path: str, what: str, text: str, quoted_lines: frozenset[int]) -> None:
        self.problems: list[Problem] = []
        self._path = path
        self._what = what
        self._lines = LINE_ENDS.split(text)
        self._quoted_lines = quoted_lines
        self._constructor = SafeConstructor()
        self._count = 0

    def read(self, node: yaml.Node, depth: int = 1) -> Node:
        """Return the node with all below; raise RuleError where that is too much."""
        place = _place_of(node, self._path)
        self._count += 1
        if self._count > MAX_NODES:
            text = f"more than {MAX_NODES} values in one {self._what}"
            raise RuleError([*self.problems, Problem(place, text)])
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        # An alias may stand for what it is part of, which never ends.
        if depth > MAX_DEPTH:
            text = f"nested more than {MAX_DEPTH} levels deep"
            raise RuleError([*self.problems, Problem(place, text)])
        if isinstance(node, yaml.SequenceNode):
            return SequenceNode(place, tuple(self.read(item, depth + 1) for item in node.value))
        return MappingNode(place, self._entries(node, depth))

    def _add(self, place: Place, text: str) -> None:
        self.problems.append(Problem(place, text))

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> ScalarNode:
        text = node.value
        start, end = node.start_mark, node.end_mark
        in_quotes = node.style in ("'", '"')
        width = end.column - start.column - 2 * in_quotes
        literal = start.line == end.line and width == len(text)
        if node.style == "'" and start.line in self._quoted_lines:
            literal = True
        elif literal and in_quotes:
            place = replace(place, column=place.column + 1)
        try:
            value = self._value(node)
        except (yaml.YAMLError, AttributeError, LookupError, OverflowError, TypeError, ValueError):
            kind = node.tag.rpartition(":")[2] or "value"
            mistake = f"{quoted(text)} is not a valid {kind}"
            if node.tag.startswith("!="):  # YAML reads it as a tag
                mistake = f"unknown key '!=' in a condition; did you mean '{SIGNS['!=']}'?"
            self._add(place, mistake)
            value = None
        comment = None
        if text and not node.style:
            comment = _COMMENT.match(self._lines[end.line], end.column)
        return ScalarNode(place, value, text, literal, comment.group() if comment else "")

    def _value(self, node: yaml.ScalarNode) -> Value:
        if node.tag in (_TEXT, _MERGE):
            return str(node.value)
        if len(node.value) > _MAX_NUMBER:
            raise ValueError
        value = self._constructor.construct_object(node)
        if not isinstance(value, Value):
            raise TypeError
        return value

    def _entries(self, node: yaml.Node, depth: int) -> tuple[tuple[ScalarNode, Node], ...]:
        entries: dict[object, tuple[ScalarNode, Node]] = {}
        merged: list[tuple[ScalarNode, Node]] = []
        for its_key, its_value in node.value:
            key, value = self.read(its_key, depth + 1), self.read(its_value, depth + 1)
            if not isinstance(key, ScalarNode):
                self._add(key.place, f"a key is a single value, and this is {key.kind}")
            elif its_key.tag == _MERGE:
                merged.extend(self._merged(value))
            else:
                first, _ = entries.setdefault((type(key.value), key.text), (key, value))
                if first is not key:
                    text = f"duplicate key {quoted(key.text)}, first in line {first.place.line}"
                    self._add(key.place, text)
        for key, value in merged:
            entries.setdefault((type(key.value), key.text), (key, value))
        return tuple(entries.values())

    def _merged(self, value: Node) -> Iterator[tuple[ScalarNode, Node]]:
        for source in value.items if isinstance(value, SequenceNode) else (value,):
            if isinstance(source, MappingNode):
                yield from source.entries
            else:
                self._add(source.place, f"'<<' merges a mapping, and this is {source.kind}")
