"""docs/operations.rst explains every line that the daemon logs at WARNING and above."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.rst").read_text()
LEVELS = {"warning": "WARNING", "error": "ERROR", "exception": "ERROR", "critical": "CRITICAL"}

#: What is logged as it comes from elsewhere, with how lines of these kinds are explained.
PASSED_ON = {
    ("consumers.py", "CRITICAL"): ["missing key", "malformed key", "cannot be trusted"],
    ("consumers.py", "WARNING"): ["unknown key", "'validate_signatures'", "'crl_location'"],
    ("rulebook.py", "ERROR"): ["``FILE:1:1: … can write it", "``FILE:LINE:COLUMN: …``"],
}


class Line(NamedTuple):
    """A kind of line: its level, and its text, with ``…`` for what differs."""

    level: str
    text: str


def logged(module: Path) -> Iterator[Line]:
    """Gives what a module logs at WARNING and above."""
    tree = ast.parse(module.read_text())
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("log" | "logger"), attr=name), args=[text, *_]
            ) if name in LEVELS:
                template = constants[text.id] if isinstance(text, ast.Name) else text.value
                yield Line(LEVELS[name], re.sub("%[a-z]", "…", template))


MODULES = sorted((ROOT / "fedbadges").rglob("*.py"))
LINES = [(module.name, line) for module in MODULES for line in logged(module)]
ENTRIES = [Line(level, text) for text, level in re.findall(r"^``(.+)`` \((\w+)\)$", PAGE, re.M)]

OTHERS = re.findall(r"^``(.+)`` \((\w+), of ``(.+)``\)$", PAGE, re.M)


def bare(level: str) -> Line:
    """Returns a line of which nothing is known."""
    return Line(level, "…")


def begins(line: Line, entry: Line) -> bool:
    return line.level == entry.level and line.text.startswith(entry.text.removesuffix("…").strip())


def covering(line: Line) -> list[Line]:
    """Returns the entries for a line, those that say most of it first."""
    return sorted((entry for entry in ENTRIES if begins(line, entry)), key=lambda e: -len(e.text))


KNOWN = sorted({line for _, line in LINES} - {bare(level) for level in LEVELS.values()})


@pytest.mark.parametrize("line", KNOWN, ids=lambda line: line.text[:40])
def test_every_line_has_an_entry(line: Line) -> None:
    assert covering(line), "docs/operations.rst does not explain it"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.text[:40])
def test_every_entry_is_that_of_a_line(entry: Line) -> None:
    assert any(covering(line)[:1] == [entry] for _, line in LINES)


def test_what_comes_from_elsewhere_is_explained_by_its_kinds() -> None:
    found = {(module, line.level) for module, line in LINES if line == bare(line.level)}

    assert found == PASSED_ON.keys()
    assert [text for texts in PASSED_ON.values() for text in texts if text not in PAGE] == []


@pytest.mark.parametrize(("text", "level", "logger"), OTHERS)
def test_every_entry_of_another_logger_is_that_of_a_line(
    text: str, level: str, logger: str
) -> None:
    module = importlib.util.find_spec(logger)
    assert module is not None
    assert module.origin is not None
    sources = [path.read_text() for path in Path(module.origin).parent.rglob("*.py")]

    def says_all(source: str) -> bool:
        return all(part in source for part in re.split(r"\s*'?…'?\s*", text))

    assert any(says_all(re.sub(r"'\s+u?'", "", source)) for source in sources)
