"""A YAML text in which pieces are replaced, while everything else stays as it is.

PyYAML knows where each node begins and ends. A library that writes the whole document again would
lose blanks that align values, and would fold long lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml

from fedbadges.errors import Place

#: A step to a node: the key in a mapping, or the number of an item.
Step = str | int

_WIDE = 2**31 - 1


class Edit(NamedTuple):
    """Text that takes the place of what stands from ``start`` to ``end``."""

    start: int
    end: int
    text: str


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with edits, none of which overlap."""
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


@dataclass(frozen=True)
class Entry:
    """A key of a mapping with its value, and the steps that lead to the mapping."""

    steps: tuple[Step, ...]
    mapping: yaml.MappingNode
    key: yaml.ScalarNode
    value: yaml.Node

    @property
    def name(self) -> str:
        """Return the key."""
        return str(self.key.value)


class Layout:
    """The nodes of a text; raise ValueError if it is no mapping, or if nodes are shared."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
            aliases = any(isinstance(each, yaml.AliasEvent) for each in yaml.parse(text))
        except (yaml.YAMLError, RecursionError) as error:
            raise ValueError(str(error)) from None
        if aliases or not isinstance(root, yaml.MappingNode):
            raise ValueError("it has aliases")
        self.root: yaml.MappingNode = root

    def entries(self) -> Iterator[Entry]:
        """Yield every entry of every mapping."""
        yield from _entries(self.root, ())

    def place(self, node: yaml.Node, path: str) -> Place:
        """Return where a node begins."""
        return Place(path, node.start_mark.line + 1, node.start_mark.column + 1)

    def offset(self, place: Place) -> int:
        """Return the index of the character at a place."""
        lines = self.text.splitlines(keepends=True)
        return sum(map(len, lines[: place.line - 1])) + place.column - 1

    def source(self, node: yaml.Node) -> str:
        """Return the text of a node."""
        return self.text[node.start_mark.index : self.end(node)]

    def end(self, node: yaml.Node) -> int:
        """Return where a node ends, without blanks and comments behind it."""
        if not isinstance(node, yaml.CollectionNode) or node.flow_style:
            start, end = node.start_mark.index, node.end_mark.index
            return start + len(self.text[start:end].rstrip())
        last = node.value[-1]
        return self.end(last[1] if isinstance(last, tuple) else last)

    def replace_entry(self, entry: Entry, data: dict[str, Any]) -> Edit:
        """Return the edit that puts other entries in the place of one."""
        start, end = entry.key.start_mark.index, self.end(entry.value)
        if entry.mapping.flow_style:
            return Edit(start, end, flow(data)[1:-1])
        indent = " " * entry.key.start_mark.column
        return Edit(start, end, f"\n{indent}".join(_block(data)))

    def replace_value(self, node: yaml.Node, value: Any) -> Edit:
        """Return the edit that puts a value in the place of another one, on its line."""
        return Edit(node.start_mark.index, self.end(node), flow(value))

    def pull_up(self, entry: Entry, word: str) -> Edit:
        """Return the edit that puts a word on the line of a key, or behind a comment there."""
        start, end = entry.key.end_mark.index, self.end(entry.value)
        begin = entry.value.start_mark.index
        if self.text[start:begin].strip() == ":":
            return Edit(start, end, f": {word}")
        return Edit(begin, end, word)

    def add_entry(self, mapping: yaml.MappingNode, data: dict[str, Any]) -> Edit:
        """Return the edit that adds entries at the end of a mapping."""
        last = self.end(mapping.value[-1][1])
        if mapping.flow_style:
            return Edit(last, last, f", {flow(data)[1:-1]}")
        indent = " " * mapping.value[0][0].start_mark.column
        line_end = self._line_end(last)
        lines = "".join(f"\n{indent}{line}" for line in _block(data))
        return Edit(line_end, line_end, lines)

    def _line_end(self, index: int) -> int:
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found


def flow(value: Any) -> str:
    """Return a value on one line, as it may stand within brackets."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{flow(key)}: {flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, str) and value.startswith("%"):
        return json.dumps(value, ensure_ascii=False)
    dumped = yaml.safe_dump([value], default_flow_style=True, width=_WIDE, allow_unicode=True)
    return dumped.strip()[1:-1]


def _block(data: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a mapping; only what stands below a path is on one line."""
    for key, value in data.items():
        if isinstance(value, dict) and key == "fields":
            yield f"{key}:"
            yield from (f"  {flow(path)}: {flow(check)}" for path, check in value.items())
        elif isinstance(value, list):
            yield f"{key}:"
            for item in value:
                first, *others = _block(item)
                yield f"- {first}"
                yield from (f"  {line}" for line in others)
        else:
            yield f"{flow(key)}: {flow(value)}"


def _entries(node: yaml.Node, steps: tuple[Step, ...]) -> Iterator[Entry]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield Entry(steps, node, key, value)
                yield from _entries(value, (*steps, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _entries(item, (*steps, number))
