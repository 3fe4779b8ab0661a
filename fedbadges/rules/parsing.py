"""Checks that the parsers of all parts of a rule share; each reports what is wrong."""

import re
from collections.abc import Callable, Collection
from typing import TypeVar

from fedbadges.errors import Place, Problem
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode, SequenceNode
from fedbadges.util.text import join_quoted, misspelled, quoted, suggestion

T = TypeVar("T")

#: Finds characters that no database holds.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Problems(list[Problem]):
    """The mistakes of one file; unless ``configured``, what a deployment lacks is no mistake.

    Without ``lambdas``, whatever a rule has in Python is one.
    """

    def __init__(self, *, configured: bool = True, lambdas: bool = True) -> None:
        super().__init__()
        self._configured = configured
        self.lambdas = lambdas

    def add(self, place: Place, text: str) -> None:
        """Add the mistake ``text`` at ``place``."""
        self.append(Problem(place, text))

    def lack(self, place: Place, text: str) -> None:
        """Add what the deployment does not have for the rule, unless there is no deployment."""
        if self._configured:
            self.add(place, text)


def as_mapping(node: Node, what: str, problems: Problems) -> MappingNode | None:
    """Return ``node`` if it is a mapping; report that ``what`` has to be one otherwise."""
    if isinstance(node, MappingNode):
        return node
    problems.add(node.place, f"{what} is a mapping, and this is {_described(node)}")
    return None


def as_text(node: Node, what: str, problems: Problems) -> ScalarNode | None:
    """Return ``node`` if it is text that is not blank; report it as ``what`` otherwise."""
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        problems.add(node.place, f"{what} is text, and this is {_described(node)}")
        return None
    if not node.value.strip():
        problems.add(node.place, f"{what} is empty")
        return None
    return node


def check_keys(
    mapping: MappingNode,
    known: Collection[str],
    what: str,
    problems: Problems,
    *,
    full: bool = True,
) -> bool:
    """Report keys that are not ``known``, which ``full`` lists; return True if there are none."""
    unknown = [key for key, _ in mapping.entries if key.value not in known]
    for key in unknown:
        hint = suggestion(key.text, known, full=full)
        text = f"unknown key {quoted(key.text)} in {what}{hint}"
        meant = misspelled(key.text, known)
        is_clear = meant is not None and mapping.get(meant) is None
        problems.append(Problem(key.place, text, (key.text, meant) if meant and is_clear else None))
    return not unknown


def only_entry(
    node: Node, known: Collection[str], what: str, problems: Problems
) -> tuple[ScalarNode, Node] | None:
    """Return the entry of a mapping that has exactly one of the ``known`` keys, and no other."""
    advice = "; combine several with 'all' or 'any'" if "all" in known else ""
    if isinstance(node, SequenceNode) and advice:
        problems.add(node.place, f"{what} is a mapping, and this is a list{advice}")
        return None
    mapping = as_mapping(node, what, problems)
    if mapping is None:
        return None
    if not mapping.entries:
        text = f"{what} is empty; expected exactly one of {join_quoted(known)}"
        problems.add(mapping.place, text)
        return None
    if is_split_lambda(mapping):
        text = "a lambda with a comma within braces needs quotes around it"
        problems.add(mapping.entries[0][1].place, text)
        return None
    good = check_keys(mapping, known, what, problems)
    if len(mapping.entries) > 1:
        (first, _), (second, _) = mapping.entries[:2]
        beside = f"{quoted(second.text)} stands beside {quoted(first.text)}{advice}"
        problems.add(second.place, f"{what} has exactly one key, and {beside}")
        return None
    return mapping.entries[0] if good else None


def is_split_lambda(mapping: MappingNode) -> bool:
    """Return True for ``{lambda: f(a, b)}``, which YAML splits at the comma."""
    (first, _), *others = mapping.entries
    return (
        first.text == "lambda"
        and bool(others)
        and all(isinstance(value, ScalarNode) and not value.text for _, value in others)
    )


def each_item(
    node: Node, what: str, parse: Callable[[Node], T | None], problems: Problems
) -> tuple[T, ...] | None:
    """Parse every item of a list that has at least one; return None if any is wrong."""
    if not isinstance(node, SequenceNode):
        problems.add(node.place, f"'{what}' takes a list, and this is {_described(node)}")
        return None
    if not node.items:
        problems.add(node.place, f"'{what}' is empty; it takes at least one")
        return None
    parsed = [parse(item) for item in node.items]
    found = tuple(item for item in parsed if item is not None)
    return found if len(found) == len(parsed) else None


def _described(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        return node.kind
    if node.value is None:
        return "empty"
    if isinstance(node.value, str):
        return "text"
    kinds = {bool: "a truth value", int: "a number", float: "a number"}
    kind = kinds.get(type(node.value), f"a {type(node.value).__name__}")
    return f"{kind}, {quoted(node.text)} (quotes make it text)"
