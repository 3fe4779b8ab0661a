"""The syntax trees of expressions over ``message``, with the places of their parts."""

import ast
import builtins
import re
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeGuard

from fedbadges.errors import Place
from fedbadges.rules.expressions import MODULES, Source
from fedbadges.rules.message_view import MessageView
from fedbadges.rules.parsing import Problems
from fedbadges.rules.templates import RECIPIENT, TemplatePath, find_template
from fedbadges.rules.yaml_document import ScalarNode
from fedbadges.util.text import quoted, suggestion

#: What expressions call the message that came in.
MESSAGE = "message"

#: What a message has that a template reads by another name.
_PATHS = {
    "topic": "topic",
    "id": "msg_id",
    "body": "msg",
    "agent_name": "agent",
    "usernames": "usernames",
    "packages": "packages",
}

_ATTRIBUTES = sorted(name for name in dir(MessageView) if not name.startswith("__"))


@dataclass(frozen=True)
class Syntax:
    """The syntax tree of an expression, and the text that it was parsed from."""

    node: ScalarNode
    body: ast.expr

    @property
    def text(self) -> str:
        """Return the whole text."""
        return self.node.text

    def span_of(self, part: ast.expr) -> tuple[int, int]:
        """Return where a part begins and ends in the text, in characters."""
        assert part.end_lineno is not None
        assert part.end_col_offset is not None
        return (
            self._offset(part.lineno, part.col_offset),
            self._offset(part.end_lineno, part.end_col_offset),
        )

    def text_of(self, part: ast.expr) -> str:
        """Return the text of a part."""
        begin, end = self.span_of(part)
        return self.text[begin:end]

    def place_of(self, part: ast.expr) -> Place:
        """Return the place in the file of a part."""
        return self.node.place_at(self.span_of(part)[0])

    def _offset(self, line: int, column: int) -> int:
        text = self._lines[line - 1]
        if line == 1 and len(self._lines) > 1:
            column -= 1  # the bracket around an expression of several lines
        before = sum(len(each) + 1 for each in self._lines[: line - 1])
        return self._begin + before + len(text.encode()[:column].decode(errors="ignore"))

    @cached_property
    def _begin(self) -> int:
        return len(self.text) - len(self.text.lstrip())

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.strip().split("\n")


class Cut(NamedTuple):
    """A part of an expression whose value comes from a path: where it begins and ends."""

    begin: int
    end: int
    path: TemplatePath


def parse_syntax(node: ScalarNode, what: str, problems: Problems) -> Syntax | None:
    """Return the syntax of an expression; report why there is none."""
    source = Source(node, node.text, "")
    try:
        body = source.parse()
    except SyntaxError as error:
        start = find_template(node.text)
        if start is not None:
            text = "a template is of another dialect; here write message.body['user'] and the like"
            problems.add(node.place_at(start), text)
            return None
        found = error.msg if error.offset else "it ends too early"
        problems.add(source.place_of_error(error), f"{what} does not compile: {found}")
        return None
    except (ValueError, RecursionError, MemoryError) as error:
        problems.add(node.place, f"{what} does not compile: {error}")
        return None
    return Syntax(node, body)


def check_names(syntax: Syntax, arguments: Iterable[str], what: str, problems: Problems) -> bool:
    """Report names that an expression has not, and what a message has not; return True if none."""
    known = {*arguments, *MODULES, *dir(builtins), *bound_names(syntax.body)}
    good = True
    for node in ast.walk(syntax.body):
        mistake = ""
        if isinstance(node, ast.Name) and node.id not in known:
            hint = suggestion(node.id, sorted(arguments))
            mistake = f"{what} has no name {quoted(node.id)}{hint}"
        elif _is_unknown_attribute(node):
            assert isinstance(node, ast.Attribute)
            mistake = f"a message has no {quoted(node.attr)}{suggestion(node.attr, _PUBLIC)}"
        if mistake:
            assert isinstance(node, ast.expr)
            problems.add(syntax.place_of(node), mistake)
            good = False
    return good


_PUBLIC = [name for name in _ATTRIBUTES if not name.startswith("_")]


def _is_unknown_attribute(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == MESSAGE:
            return attribute not in _ATTRIBUTES
    return False


def bound_names(body: ast.expr) -> Iterator[str]:
    """Yield the names that an expression itself defines."""
    for node in ast.walk(body):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def plain_path(node: ast.expr) -> str | None:
    """Return the path of a template for ``message.body['user']['name']`` and the like, or None."""
    match node:
        case ast.Name(id=name) if name == RECIPIENT:
            return RECIPIENT
        case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name == MESSAGE:
            return _PATHS.get(attribute)
        case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
            above = plain_path(inner)
            if above is not None and above.partition(".")[0] == "msg" and _is_plain_key(key):
                return f"{above}.{key}"
    return None


def _is_plain_key(key: object) -> TypeGuard[str | int]:
    """Return True for what a template's path can have between its dots, in the same meaning."""
    if isinstance(key, str):
        # Digits are an index there, and blanks around a path are none of it.
        odd = not key or key.isdecimal() or key != key.strip() or not key.isprintable()
        return not odd and not any(each in key for each in ".()")
    return isinstance(key, int) and not isinstance(key, bool) and key >= 0


def spans_of_name(syntax: Syntax, name: str) -> Iterator[tuple[int, int]]:
    """Yield where an expression uses a name."""
    # Of what stands within an f-string, Python does not know the column.
    within = set()
    for node in ast.walk(syntax.body):
        if isinstance(node, ast.JoinedStr):
            within |= set(ast.walk(node))
            if any(isinstance(each, ast.Name) and each.id == name for each in within):
                begin, end = syntax.span_of(node)
                for braces in re.compile(r"\{[^{}]*\}").finditer(syntax.text, begin, end):
                    for found in re.finditer(rf"\b{name}\b", braces.group()):
                        yield braces.start() + found.start(), braces.start() + found.end()
    for node in ast.walk(syntax.body):
        if isinstance(node, ast.Name) and node.id == name and node not in within:
            yield syntax.span_of(node)


def with_placeholders(
    syntax: Syntax, cuts: Iterable[Cut]
) -> tuple[Source, tuple[TemplatePath, ...]]:
    """Return an expression with a name of the same length in place of each part that is cut."""
    text = syntax.text
    first, other = [each for each in string.ascii_letters + "ꔀꔁꔂꔃ" if each not in text][:2]
    paths = []
    for number, (begin, end, path) in enumerate(cuts):
        name = f"{first}{number}".ljust(end - begin, other)
        if text[end : end + 1].isidentifier():  # as in ``message.body['a']else``
            name = name[:-1] + " "
        text = text[:begin] + name + text[end:]
        paths.append(path)
    names = rf"{first}(\d+){other}*" if paths else ""
    return Source(syntax.node, text, names), tuple(paths)
