"""The dialects of the rule language, and which of them a rule is in."""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from fedbadges.errors import Place
from fedbadges.rules.grammar import Kind, Schema
from fedbadges.rules.parsing import Problems
from fedbadges.rules.templates import find_template
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode
from fedbadges.util.text import join_quoted, quoted, suggestion

#: The language of docs/rules.rst, and that of fedbadges 2.x.
OWN, OF_2 = DIALECTS = ("fedbadges-1", "fedbadges-2")

#: The key of a rule that says in which dialect it is.
KEY = "dialect"

#: Keys of a rule that only one dialect has.
_KEYS = {"criteria": OWN, "badges": OWN, "previous": OF_2, "condition": OF_2}

#: What the expressions of only one dialect speak of.
_ARGUMENTS = {"msg": OWN, "query": OWN, "message": OF_2, "results": OF_2}

#: What stands below the key.
KIND: Kind[None] = Kind(lambda *_: None, {"enum": list(DIALECTS)})

_TEMPLATE = re.compile(r"%\([^()]*\)s")
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_NAME = r"(?<![\w.])[^\W\d]\w*"
_LOOP = re.compile(rf"\bfor\s+({_NAME})\s+in\b")


class Sign(NamedTuple):
    """Something in a rule that only one dialect has: where it is, and what."""

    place: Place
    what: str
    dialect: str


def dialect_of(rule: MappingNode, default: str, problems: Problems) -> str | None:
    """Return the dialect of a rule, ``default`` where nothing in it tells.

    If it mixes both, report each place that is not in the dialect of the first, and return None.
    """
    stated = rule.get(KEY)
    if stated is not None and getattr(stated, "value", None) not in DIALECTS:
        found = quoted(stated.text) if isinstance(stated, ScalarNode) else stated.kind
        hint = suggestion(stated.text, DIALECTS) if isinstance(stated, ScalarNode) else ""
        known = hint or f"; there are {join_quoted(DIALECTS)}"
        problems.add(stated.place, f"{found} is no dialect{known}")
        return None
    signs = sorted(_signs(rule))
    if not signs:
        return default
    first = next((sign for sign in signs if sign.what == quoted(KEY)), signs[0])
    mixed = [sign for sign in signs if sign.dialect != first.dialect]
    for sign in mixed:
        problems.add(
            sign.place,
            f"{sign.what} is of the dialect '{sign.dialect}', and {first.what} in line "
            f"{first.place.line} is of '{first.dialect}'; a rule is in one of them",
        )
    return None if mixed else first.dialect


def by_dialect(own: Schema, of_2: Schema) -> Schema:
    """Describe a rule by what describes it in its dialect, as far as a schema sees which it is."""
    template = r"%\("
    message = r"^((?!%\()[\s\S])*\bmessage\b((?!%\()[\s\S])*$"
    signs = {
        dialect: {
            "anyOf": [
                *({"required": [key]} for key, its in _KEYS.items() if its == dialect),
                {"required": [KEY], "properties": {KEY: {"const": dialect}}},
                {
                    "required": ["recipient"],
                    "properties": {"recipient": {"type": "string", "pattern": pattern}},
                },
            ]
        }
        for dialect, pattern in ((OWN, template), (OF_2, message))
    }
    otherwise = {"if": signs[OWN], "then": own, "else": {"anyOf": [own, of_2]}}
    return {"type": "object", "if": signs[OF_2], "then": of_2, "else": otherwise}


def _signs(rule: MappingNode) -> Iterator[Sign]:
    for key, value in rule.entries:
        name = str(key.value)
        if name == KEY and isinstance(value, ScalarNode):
            yield Sign(value.place, quoted(KEY), value.text)
        elif name in _KEYS:
            yield Sign(key.place, quoted(name), _KEYS[name])
        if name in ("trigger", "criteria", "previous"):
            yield from _signs_of_lambdas(value)
        elif name == "recipient":
            yield from _signs_of_recipient(value)


def _signs_of_lambdas(node: Node) -> Iterator[Sign]:
    """Yield what the lambdas at and below a node speak of."""
    if isinstance(node, SequenceNode):
        for item in node.items:
            yield from _signs_of_lambdas(item)
    elif isinstance(node, MappingNode):
        for key, value in node.entries:
            if key.value == "lambda" and isinstance(value, ScalarNode):
                yield from _signs_of_text("a lambda over", value)
            else:
                yield from _signs_of_lambdas(value)


def _signs_of_recipient(node: Node) -> Iterator[Sign]:
    if isinstance(node, ScalarNode):
        signs = list(_signs_of_text("a recipient over", node))
        if not signs and find_template(node.text) is not None:
            signs = [Sign(node.place, "a recipient that is a template", OWN)]
        yield from signs
    elif isinstance(node, (MappingNode, SequenceNode)):
        items = node.items if isinstance(node, SequenceNode) else [each for _, each in node.entries]
        for item in items:
            yield from _signs_of_recipient(item)


def _signs_of_text(what: str, node: ScalarNode) -> Iterator[Sign]:
    used = free_names(node.text)
    for name, dialect in _ARGUMENTS.items():
        if name in used:
            yield Sign(node.place, f"{what} '{name}'", dialect)


def free_names(text: str) -> set[str]:
    """Return the names that an expression uses and does not itself define.

    They are found in a text that does not compile as well; templates are left out.
    """
    text = _TEMPLATE.sub("0", text)
    try:
        tree = ast.parse(f"({text}\n)", "<lambda>", "eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        text = _QUOTED.sub("''", text)
        return set(re.findall(_NAME, text)).difference(_LOOP.findall(text))
    used: set[str] = set()
    own: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else own).add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
    return used - own
