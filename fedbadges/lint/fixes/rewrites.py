"""Finding the lambdas of a rule file, and what may stand in their place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from fedbadges.errors import Place
from fedbadges.lint.fixes.lambdas import ExpressionReader, message_root
from fedbadges.lint.fixes.layout import Edit, Entry, Layout, flow
from fedbadges.lint.fixes.operations import (
    read_condition,
    read_filter_value,
    read_operation,
    templates_of,
)
from fedbadges.lint.fixes.predicates import Predicate, known_paths, trigger_of, without_gaps
from fedbadges.lint.fixes.syntax import NotRewritable
from fedbadges.rules.expressions import Expression, parse_expression, parse_message_expression
from fedbadges.rules.filters import ALIASES
from fedbadges.rules.parsing import Problems
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import TemplatePath
from fedbadges.rules.yaml_document import ScalarNode

_LITERALS = (int, float, str, bytes)
_IS = re.compile(r"\s*\bis(?P<not>\s+not)?\b\s*")
#: Keys of filters that take one value.
_SINGLE = ("msg_id", "start", "end")
_PAGES = ("page", "rows_per_page")


@dataclass(frozen=True)
class Rewrite:
    """What is written anew at a place, and the edits that do it.

    ``readers`` know the fields that the lambda compared, and with what. ``otherwise`` is what may
    be done if that changes what the rule means.
    """

    place: Place
    text: str
    edits: tuple[Edit, ...]
    readers: tuple[ExpressionReader, ...] = ()
    otherwise: Rewrite | None = None


@dataclass
class Rewriter:
    """Finds what can be rewritten in a rule file; ``left`` are the places of other lambdas."""

    layout: Layout
    path: str
    rule: Rule
    left: list[Place] = field(default_factory=list)

    def rewrites(self) -> Iterator[Rewrite]:
        """Yield what can be rewritten, in the order of the file."""
        entries = list(self.layout.entries())
        triggers = self._triggers(entries)
        for entry in entries:
            if entry.name != "lambda" or not isinstance(entry.value, yaml.ScalarNode):
                continue
            mended = self._without_is(entry)
            try:
                yield replace(self._rewrite(entry, entries, triggers), otherwise=mended)
            except NotRewritable:
                if mended is not None:
                    yield mended
                self.left.append(self._place(entry))

    @property
    def known(self) -> frozenset[str]:
        """Return the paths without which a message names nobody."""
        recipient = self.rule.recipient
        if recipient is None or len(recipient.templates) != 1:
            return frozenset()
        parts = recipient.templates[0].parts
        if len(parts) == 1 and isinstance(parts[0], TemplatePath):
            return frozenset([parts[0].dotted])
        return frozenset()

    def _place(self, entry: Entry) -> Place:
        return self.layout.place(entry.value, self.path)

    def _rewrite(
        self,
        entry: Entry,
        entries: list[Entry],
        triggers: dict[int, tuple[Predicate, ExpressionReader]],
    ) -> Rewrite:
        above = entry.steps[-1] if entry.steps else ""
        if entry.steps[:1] == ("trigger",):
            return self._trigger(entry, entries, triggers)
        if above == "operation":
            return self._operation(entry, entries)
        if above == "condition":
            condition = read_condition(_expression(entry, "value"))
            return self._replaced(entry, condition)
        if entry.steps[-2:-1] == ("filter",):
            return self._filter_value(entry, entries, str(above))
        raise NotRewritable

    def _replaced(self, entry: Entry, data: dict[str, Any], *readers: ExpressionReader) -> Rewrite:
        text = f"a lambda is '{flow(data)[1:-1]}'"
        edit = self.layout.replace_entry(entry, data)
        return Rewrite(self._place(entry), text, (edit,), readers)

    def _triggers(self, entries: list[Entry]) -> dict[int, tuple[Predicate, ExpressionReader]]:
        """Return the predicates of the lambdas in the trigger, by where they begin."""
        found: dict[int, tuple[Predicate, ExpressionReader]] = {}
        for entry in entries:
            if entry.name == "lambda" and entry.steps[:1] == ("trigger",):
                try:
                    expression = _expression(entry, "msg")
                    reader = ExpressionReader(message_root, templates_of(expression))
                    assert expression.source is not None
                    predicate = reader.read(expression.source.parse())
                except NotRewritable:
                    continue
                found[entry.key.start_mark.index] = predicate, reader
        return found

    def _trigger(
        self,
        entry: Entry,
        entries: list[Entry],
        triggers: dict[int, tuple[Predicate, ExpressionReader]],
    ) -> Rewrite:
        place = entry.key.start_mark.index
        if place not in triggers:
            raise NotRewritable
        predicate, reader = triggers[place]
        known = set(self.known) | set(known_paths(predicate))
        if entry.steps[-2:-1] == ("all",):
            for other in entries:
                begin = other.key.start_mark.index
                if begin != place and other.steps[:-1] == entry.steps[:-1] and begin in triggers:
                    known.update(known_paths(triggers[begin][0]))
        data = trigger_of(without_gaps(predicate, frozenset(known)))
        others = {str(key.value) for key, _ in entry.mapping.value} - {"lambda"}
        if others and (others & data.keys() or not data.keys() <= {"fields", "topic"}):
            raise NotRewritable
        return self._replaced(entry, data, reader)

    def _operation(self, entry: Entry, entries: list[Entry]) -> Rewrite:
        new, reader = read_operation(_expression(entry, "query"))
        beside = {each.name: each for each in entries if each.steps == entry.steps[:-1]}
        chosen = beside.get("filter")
        if chosen is None or not isinstance(chosen.value, yaml.MappingNode):
            raise NotRewritable
        keys = {str(key.value) for key, _ in chosen.value.value}
        if not keys or (new.fields and "fields" in keys) or self._is_paged(chosen.value):
            raise NotRewritable
        edits = []
        if isinstance(new.operation, str):
            edits.append(self.layout.pull_up(beside["operation"], new.operation))
        else:
            edits.append(self.layout.replace_entry(entry, new.operation))
        if new.fields:
            edits.append(self.layout.add_entry(chosen.value, {"fields": new.fields}))
        operation = new.operation if isinstance(new.operation, str) else flow(new.operation)[1:-1]
        text = f"a lambda is '{operation}'"
        if new.fields:
            text += f", and its filter has 'fields: {flow(new.fields)}'"
        readers = () if reader is None else (reader,)
        return Rewrite(self._place(entry), text, tuple(edits), readers)

    def _is_paged(self, node: yaml.MappingNode) -> bool:
        """Return True if an operation sees only some messages, which 'count' does not know of."""
        values = {str(key.value): str(value.value) for key, value in node.value}
        rows = values.get("rows_per_page", "0").replace("_", "")
        everything = rows.isdecimal() and (int(rows) == 0 or int(rows) >= 1_000_000)
        return values.get("page", "1") != "1" or not everything

    def _filter_value(self, entry: Entry, entries: list[Entry], key: str) -> Rewrite:
        expression = _expression(entry, "msg")
        listed = ALIASES.get(key, key) not in _SINGLE
        value, reader = read_filter_value(expression, listed=listed)
        text = f"a lambda is '{flow(value)}'"
        if isinstance(value, list) and not entry.mapping.flow_style:
            start, end = entry.key.start_mark.index, self.layout.end(entry.value)
            indent = " " * entry.key.start_mark.column
            items = f"\n{indent}".join(f"- {flow(item)}" for item in value)
            return Rewrite(self._place(entry), text, (Edit(start, end, items),), (reader,))
        if entry.mapping.flow_style:
            edit = self.layout.replace_value(entry.mapping, value)
        else:
            (parent,) = (
                each
                for each in entries
                if each.steps == entry.steps[:-1] and each.value is entry.mapping
            )
            edit = self.layout.pull_up(parent, flow(value))
        return Rewrite(self._place(entry), text, (edit,), (reader,))

    def _without_is(self, entry: Entry) -> Rewrite | None:
        """Return what writes ``is 1`` as ``== 1`` in a lambda on one line."""
        raw, text = self.layout.source(entry.value), str(entry.value.value).strip()
        begin = raw.find(text)
        if begin < 0 or "\n" in text or "%%" in text:
            return None
        try:
            body = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        edits = []
        start = entry.value.start_mark.index + begin
        for node in ast.walk(body):
            if not isinstance(node, ast.Compare):
                continue
            operands = [node.left, *node.comparators]
            for op, one, two in zip(node.ops, operands, operands[1:], strict=False):
                literal = any(_is_literal(each) for each in (one, two))
                if not literal or not isinstance(op, (ast.Is, ast.IsNot)):
                    continue
                first = len(text.encode()[: one.end_col_offset].decode())
                last = len(text.encode()[: two.col_offset].decode())
                found = _IS.fullmatch(text[first:last])
                if found is None:
                    return None
                sign = " != " if found["not"] else " == "
                edits.append(Edit(start + first, start + last, sign))
        if not edits:
            return None
        what = "'is' with a number or a text is '=='"
        return Rewrite(self._place(entry), what, tuple(edits))


def _is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in _LITERALS


def _expression(entry: Entry, argument: str) -> Expression:
    """Return the expression of a lambda; raise NotRewritable if it does not compile."""
    mark, text = entry.value.start_mark, str(entry.value.value)
    node = ScalarNode(Place("", mark.line + 1, mark.column + 1), text, text, literal=False)
    problems = Problems()
    if argument == "msg":
        found = parse_message_expression(node, problems)
    else:
        found = parse_expression(node, argument, problems, templates=argument == "query")
    if found is None:
        raise NotRewritable
    return found
