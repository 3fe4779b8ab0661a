"""Expressions over ``message``: values of filters, and recipients.

Most are a plain value of the message, or a literal. These become templates, so that past messages
are counted for them in the same way as for templates.
"""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fedbadges.errors import Place
from fedbadges.messages import MessageValues
from fedbadges.rules.dialect2.syntax import (
    MESSAGE,
    Cut,
    check_names,
    parse_syntax,
    plain_path,
    spans_of_name,
    with_placeholders,
)
from fedbadges.rules.expressions import Expression, are_allowed, compile_source
from fedbadges.rules.message_view import view_of
from fedbadges.rules.parsing import Problems, as_text
from fedbadges.rules.templates import RECIPIENT, Template, TemplatePath
from fedbadges.rules.yaml_document import Node, ScalarNode

#: A plain dotted topic or name, which stands for itself.
_LITERAL = re.compile(r"\w[\w-]*(\.\w[\w-]*)*")

_ROOTS = (MESSAGE, RECIPIENT)


@dataclass(frozen=True)
class ComputedPath(TemplatePath):
    """In the place of a path, an expression that computes the value."""

    expression: Expression = field(kw_only=True)

    computed = True

    def resolve(self, message: Mapping[str, Any]) -> Any:
        """Return the value of the expression; raise what it raises."""
        assert isinstance(message, MessageValues), "only a message has what expressions read"
        return self.expression.evaluate(message.message, message)


@dataclass(frozen=True)
class WholeMessage(TemplatePath):
    """In the place of a path, the whole message."""

    computed = True

    def resolve(self, message: Mapping[str, Any]) -> Any:
        """Return the message as expressions see it."""
        assert isinstance(message, MessageValues), "only a message has what expressions read"
        return view_of(message.message)


def read_value(
    node: Node, what: str, problems: Problems, names: tuple[str, ...] = _ROOTS
) -> tuple[Template, ...] | None:
    """Read an expression over these names as templates: one, or each item of a list.

    Report what is wrong, and then return None.
    """
    if isinstance(node, ScalarNode) and isinstance(node.value, (bool, int, float)):
        node = replace(node, value=node.text)  # a name, in YAML's eyes a number
    found = as_text(node, what, problems)
    if found is None:
        return None
    text = found.text.strip()
    if _LITERAL.fullmatch(text) and text.partition(".")[0] not in _ROOTS:
        return (_literal(text, found.place),)
    syntax = parse_syntax(found, what, problems)
    if syntax is None or not check_names(syntax, names, what, problems):
        return None
    body = syntax.body
    items = body.elts if isinstance(body, (ast.List, ast.Tuple, ast.Set)) else [body]
    templates = [_simple(item, syntax.text_of(item), syntax.place_of(item)) for item in items]
    simple = tuple(template for template in templates if template is not None)
    if simple and len(simple) == len(items):
        return simple
    computed = _computed(found, problems)
    return None if computed is None else (computed,)


def read_recipient(node: Node, what: str, problems: Problems) -> Template | None:
    """Read an expression over ``message`` that names people."""
    before = len(problems)
    found = read_value(node, "a recipient", problems, (MESSAGE,))
    if found is None:
        return None
    if not any(template.paths for template in found):
        problems.add(node.place, "a recipient is an expression such as message.agent_name")
    if len(problems) > before or not isinstance(node, ScalarNode):
        return None
    return found[0] if len(found) == 1 else _computed(node, problems)


def _simple(node: ast.expr, text: str, place: Place) -> Template | None:
    """Return the template for a plain value of the message, or for a literal, if it is one."""
    dotted = plain_path(node)
    if dotted is not None:
        return Template(text, (TemplatePath(dotted, place),), place)
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float)):
        return _literal(str(node.value), place)
    return None


def _literal(text: str, place: Place) -> Template:
    return Template(text.replace("%", "%%"), (text,) if text else (), place)


def _computed(node: ScalarNode, problems: Problems) -> Template | None:
    if not are_allowed(node, MESSAGE, problems):
        return None
    expression = compile_message_expression(node, problems)
    if expression is None:
        return None
    path = ComputedPath(f"({expression.text})", node.place, expression=expression)
    return Template(expression.text, (path,), node.place)


def compile_message_expression(node: ScalarNode, problems: Problems) -> Expression | None:
    """Compile an expression over ``message``; the candidate's name enters as a template's value."""
    syntax = parse_syntax(node, "an expression", problems)
    if syntax is None:
        return None
    cuts = [
        Cut(begin, end, TemplatePath(RECIPIENT, node.place_at(begin)))
        for begin, end in spans_of_name(syntax, RECIPIENT)
    ]
    source, paths = with_placeholders(syntax, cuts)
    return compile_source(source, MESSAGE, paths, problems)
