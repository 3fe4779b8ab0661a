"""Operations of fedbadges 2.x: ``count``, or a lambda over ``message`` and ``results``."""

import ast
from collections.abc import Iterator
from dataclasses import replace

from fedbadges.rules.dialect2.expressions import WholeMessage
from fedbadges.rules.dialect2.syntax import (
    MESSAGE,
    Cut,
    Syntax,
    bound_names,
    check_names,
    parse_syntax,
    plain_path,
    spans_of_name,
    with_placeholders,
)
from fedbadges.rules.expressions import RESULTS, Expression, are_allowed, compile_source
from fedbadges.rules.grammar import LAMBDA, Kind, mapping_of
from fedbadges.rules.operations import Operation
from fedbadges.rules.parsing import Problems, as_text, only_entry
from fedbadges.rules.templates import TemplatePath
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode
from fedbadges.util.text import quoted

#: What may not be computed before the rest: a value that is missing decides nothing there.
_LAZY = (ast.IfExp, ast.Lambda)


def _read_operation(node: Node, _: str, problems: Problems) -> Operation | None:
    if isinstance(node, ScalarNode) and node.value == "count":
        return Operation(None, node.place)
    if not isinstance(node, MappingNode):
        found = quoted(node.text) if isinstance(node, ScalarNode) else node.kind
        expected = "'count' or 'lambda: …' over message and results"
        problems.add(node.place, f"an operation is {expected}, not {found}")
        return None
    entry = only_entry(node, ["lambda"], "an operation", problems)
    text = None if entry is None else as_text(entry[1], "a lambda", problems)
    syntax = None if text is None else parse_syntax(text, "the lambda", problems)
    if syntax is None or not check_names(syntax, (MESSAGE, RESULTS), "an operation", problems):
        return None
    if _is_length(syntax.body):
        return Operation(None, node.place)
    expression = _compile(syntax, problems)
    return None if expression is None else Operation(expression, node.place)


def _is_length(body: ast.expr) -> bool:
    """Return True for ``len(results)``, which a database counts."""
    match body:
        case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=name)], keywords=[]):
            return name == RESULTS
    return False


def _compile(syntax: Syntax, problems: Problems) -> Expression | None:
    """Compile an expression over ``results``; values of the message enter as templates' values."""
    if not are_allowed(syntax.node, RESULTS, problems):
        return None
    parts = list(_values(syntax.body))
    covered = {name for part in parts for name in ast.walk(part)}
    own = MESSAGE in bound_names(syntax.body)
    names = [] if own else [each for each in ast.walk(syntax.body) if _is_message(each)]
    if all(name in covered for name in names):
        cuts = [
            Cut(*syntax.span_of(part), TemplatePath(dotted, syntax.place_of(part)))
            for part in parts
            if (dotted := plain_path(part)) is not None and not own
        ]
        source, paths = with_placeholders(syntax, cuts)
        return compile_source(source, RESULTS, paths, problems)
    cuts = [
        Cut(begin, end, WholeMessage(f"({MESSAGE})", syntax.node.place_at(begin)))
        for begin, end in spans_of_name(syntax, MESSAGE)
    ]
    source, paths = with_placeholders(syntax, cuts)
    expression = compile_source(source, RESULTS, paths, problems)
    # Its result is another one for each message, so nothing of it can be kept.
    return None if expression is None else replace(expression, test=None, join=None, fold=None)


def _values(body: ast.AST) -> Iterator[ast.expr]:
    """Yield the plain values of the message that are needed whatever the past messages are."""
    # The whole content is another one each time.
    if isinstance(body, ast.expr) and plain_path(body) not in (None, "msg"):
        yield body
    elif not isinstance(body, (*_LAZY, ast.JoinedStr)) and not _is_or(body):
        for part in ast.iter_child_nodes(body):
            yield from _values(part)


def _is_or(body: ast.AST) -> bool:
    return isinstance(body, ast.BoolOp) and isinstance(body.op, ast.Or)


def _is_message(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == MESSAGE


#: What stands below ``operation:``.
OPERATION_KIND = Kind(
    _read_operation, {"anyOf": [{"const": "count"}, mapping_of({"lambda": LAMBDA})]}
)
