"""``fedbadges convert``: a rule of fedbadges 2.x, written in the other dialect."""

from __future__ import annotations

import ast
import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import yaml

from fedbadges.errors import Problem, RuleError
from fedbadges.lint.fixes.fixer import Fixed, Fixer
from fedbadges.lint.fixes.layout import Edit, Entry, Layout, apply, flow
from fedbadges.rules.criteria import Backends, backend_criteria
from fedbadges.rules.dialect2.expressions import ComputedPath, read_value
from fedbadges.rules.dialect2.filters import constant_time
from fedbadges.rules.dialect2.reading import SingleMessage
from fedbadges.rules.dialect2.writing import NotConvertible, over_msg, over_query, people_of
from fedbadges.rules.dialects import KEY, OF_2, OWN
from fedbadges.rules.filters import ALIASES, PAGE_KEYS, TIME_KEYS
from fedbadges.rules.loader import load_text
from fedbadges.rules.parsing import Problems
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import Template, TemplatePath
from fedbadges.rules.yaml_document import ScalarNode, quote_lambdas
from fedbadges.util.moments import to_age, to_moment

_DEFAULT = {"greater than or equal to": 1}

#: For reading ages.
_SOME_DAY = datetime.datetime(2000, 1, 1)

_COMMENT = "a comment stands within what would be on one line"


@dataclass(frozen=True)
class Converted:
    """A rule file and what it becomes; ``problems`` are why it stays as it is, if it does."""

    fixed: Fixed
    problems: tuple[Problem, ...] = ()

    @property
    def changes(self) -> bool:
        """Return True if the file becomes another one."""
        return self.fixed.after != self.fixed.before


class Converter:
    """Writes rules of fedbadges 2.x in the other dialect.

    ``dialect`` is that of rules in which nothing tells.
    """

    def __init__(self, backends: Backends, dialect: str = OWN) -> None:
        self._backends = backends
        self._dialect = dialect
        self._fixer = Fixer(backends)

    def convert(self, data: bytes, path: str) -> Converted:
        """Return what a rule file becomes; raise RuleError if it has mistakes."""
        unchanged = Fixed(path, data, data)
        rules = load_text(data, path, self._backends, configured=False, dialect=self._dialect)
        if rules[0].dialect != OF_2:
            return Converted(unchanged)
        text = data.decode("utf-8-sig")
        newline = "\r\n" if "\r\n" in text else "\n"
        try:
            layout = _layout(text.replace("\r\n", "\n"))
            conversion = _Conversion(layout, path, rules[0])
            edits = list(conversion.edits())
            if conversion.problems:
                return Converted(unchanged, tuple(sorted(conversion.problems)))
            new = apply(layout.text, edits).replace("\n", newline).encode()
            load_text(new, path, self._backends, configured=False)
        except (RuleError, ValueError, yaml.YAMLError) as error:
            text = f"what it would become has a mistake: {error}"
            return Converted(unchanged, (Problem(rules[0].place, text),))
        fixed = self._fixer.fix(new, path)
        return Converted(replace(fixed, before=data))


def _layout(text: str) -> Layout:
    try:
        return Layout(text)
    except ValueError:
        return Layout(quote_lambdas(text)[0])


@dataclass
class _Conversion:
    """The conversion of one file; ``problems`` are the parts that have no counterpart."""

    layout: Layout
    path: str
    rule: Rule
    problems: list[Problem] = field(default_factory=list)

    def edits(self) -> Iterator[Edit]:
        """Yield the edits, of which those are missing that are impossible."""
        entries = list(self.layout.entries())
        top = {entry.name: entry for entry in entries if not entry.steps}
        for entry in entries:
            yield from self._possible(self._entry(entry, entries))
        yield from self._possible(self._criteria(top))
        yield from self._possible(self._recipient(top))
        if KEY in top:
            yield self._without(top[KEY])

    def _possible(self, edits: Iterator[Edit]) -> Iterator[Edit]:
        try:
            yield from edits
        except NotConvertible as error:
            self.problems.append(Problem(error.place or self.rule.place, str(error)))

    def _entry(self, entry: Entry, entries: list[Entry]) -> Iterator[Edit]:
        """Yield the edit for a lambda or a value of a filter, if the entry is one."""
        if entry.steps[:1] == ("trigger",) and entry.name == "lambda":
            yield self._as_lambda(entry, over_msg(self._node(entry.value)))
        elif entry.steps == ("previous", "filter"):
            edit = self._filter_value(entry)
            if edit is not None:
                yield edit
        elif entry.steps == ("previous", "operation") and entry.name == "lambda":
            (above,) = (each for each in entries if each.value is entry.mapping)
            yield self._operation(entry, above)

    def _node(self, node: yaml.Node) -> ScalarNode:
        place = self.layout.place(node, self.path)
        if not isinstance(node, yaml.ScalarNode):
            raise NotConvertible("it is no single value", place)
        text = str(node.value)
        plain = node.style is None and self.layout.source(node) == text
        return ScalarNode(place, text, text, literal=plain)

    def _criteria(self, top: dict[str, Entry]) -> Iterator[Edit]:
        condition, previous = top.get("condition"), top.get("previous")
        if previous is None:
            if condition is None:
                return
            for criterion in backend_criteria(self.rule.criteria):
                if isinstance(criterion, SingleMessage) and not criterion.condition.holds(1):
                    place = self.layout.place(condition.value, self.path)
                    raise NotConvertible("without 'previous' nobody gets this badge", place)
            yield self._without(condition)
            return
        start = previous.key.start_mark.index
        yield Edit(start, start + len("previous"), "criteria")
        assert isinstance(previous.value, yaml.MappingNode)
        wanted = flow(_DEFAULT) if condition is None else self._inline(condition.value)
        last = self.layout.add_entry(previous.value, {"condition": 0})
        yield last._replace(text=f"{last.text.removesuffix('0')}{wanted}")
        if condition is not None:
            yield self._without(condition)

    def _inline(self, node: yaml.Node) -> str:
        """Return a condition on one line."""
        assert isinstance(node, yaml.MappingNode)
        ((key, value),) = node.value
        text = self.layout.source(value)
        return f"{{{key.value}: {flow(str(value.value)) if key.value == 'lambda' else text}}}"

    def _recipient(self, top: dict[str, Entry]) -> Iterator[Edit]:
        recipient = top.get("recipient")
        if recipient is None:
            yield self.layout.add_entry(self.layout.root, {"recipient": "%(agent)s"})
            return
        yield self.layout.replace_value(recipient.value, people_of(self._node(recipient.value)))

    def _operation(self, entry: Entry, above: Entry) -> Edit:
        node = self._node(entry.value)
        if _is_length(node.text):
            edit = self.layout.pull_up(above, "count")
            if edit is not None:
                return edit
        return self._as_lambda(entry, over_query(node))

    def _as_lambda(self, entry: Entry, text: str) -> Edit:
        """Return the edit that replaces the text of a lambda, in quotes if it needs them."""
        if not entry.mapping.flow_style:
            with contextlib.suppress(yaml.YAMLError):
                if yaml.safe_load(f"lambda: {text}") == {"lambda": text}:
                    return Edit(entry.value.start_mark.index, self.layout.end(entry.value), text)
        return self.layout.replace_entry(entry, {"lambda": text})

    def _filter_value(self, entry: Entry) -> Edit | None:
        """Return the edit for a value of a filter; None if it stays."""
        key, value = ALIASES.get(entry.name, entry.name), entry.value
        if key in PAGE_KEYS:
            return self._page(value)
        if isinstance(value, yaml.ScalarNode) and key in TIME_KEYS:
            text = str(value.value)
            if to_age(text) or to_moment(yaml.safe_load(text), _SOME_DAY):
                return None
            constant = constant_time(text)
            if constant is not None:
                return self.layout.replace_value(value, constant.isoformat(sep=" "))
        listed = isinstance(value, yaml.SequenceNode)
        nodes = [self._node(item) for item in (value.value if listed else [value])]
        templates = [template for node in nodes for template in _templates(node)]
        try:
            written = [_written(template) for template in templates]
        except NotConvertible:
            return self._lambda(entry, nodes, listed=listed)
        alone = len(written) == 1 and not listed
        if alone and (templates[0].paths or key in ("msg_id", *TIME_KEYS)):
            return self.layout.replace_value(value, written[0])
        if isinstance(value, yaml.SequenceNode) and len(written) == len(nodes):
            return self._items(value, written)
        return self.layout.pull_up(entry, flow(written)) or self._refuse(value)

    def _items(self, value: yaml.SequenceNode, written: list[str]) -> Edit:
        """Return the edit for the items of a list, with the comments between them."""
        edits = [
            self.layout.replace_value(item, text)
            for item, text in zip(value.value, written, strict=True)
        ]
        start, end = edits[0].start, edits[-1].end
        text = "".join(
            self.layout.text[before.end : after.start] + after.text
            for before, after in zip([Edit(start, start, ""), *edits], edits, strict=False)
        )
        return Edit(start, end, text)

    def _lambda(self, entry: Entry, nodes: list[ScalarNode], *, listed: bool) -> Edit:
        """Return the edit that computes a value by a lambda over ``msg``."""
        items = []
        for node in nodes:
            (first, *_) = _templates(node)
            items.append(over_msg(node) if first.paths else repr("".join(map(str, first.parts))))
        text = f"[{', '.join(items)}]" if listed else items[0]
        edit = self.layout.pull_up(entry, flow({"lambda": text}))
        return edit or self._refuse(entry.value)

    def _refuse(self, value: yaml.Node) -> Edit:
        raise NotConvertible(_COMMENT, self.layout.place(value, self.path))

    def _page(self, value: yaml.Node) -> Edit | None:
        with contextlib.suppress(SyntaxError, ValueError):
            return self.layout.replace_value(value, ast.literal_eval(self._node(value).text))
        return None

    def _without(self, entry: Entry) -> Edit:
        """Return the edit that takes an entry away; comments beside its value stay."""
        text = self.layout.text
        start, end = entry.key.start_mark.index, self.layout.end(entry.value)
        rest, newline, _ = text[end:].partition("\n")
        if not rest.strip():
            end += len(rest) + len(newline)
        before = text[entry.key.end_mark.index : entry.value.start_mark.index].partition("#")
        lines = "".join(before[1:]).splitlines()
        return Edit(start, end, "".join(f"{line.strip()}\n" for line in lines if line.strip()))


def _templates(node: ScalarNode) -> tuple[Template, ...]:
    found = read_value(node, "a value", Problems())
    if found is None:
        raise NotConvertible("it cannot be read", node.place)
    return found


def _written(template: Template) -> str:
    """Return a template as the other dialect writes it; raise NotConvertible."""
    match template.parts:
        case (str(text),):
            return text.replace("%", "%%")
        case (TemplatePath(dotted=dotted),) if not isinstance(template.parts[0], ComputedPath):
            return f"%({dotted})s"
    raise NotConvertible("no template has this value", template.place)


def _is_length(text: str) -> bool:
    return "".join(text.split()) == "len(results)"
