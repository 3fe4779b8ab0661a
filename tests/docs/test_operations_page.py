"""docs/operations.rst lists every event that is logged, under the heading of its level."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.rst").read_text()
LEVELS = {
    "critical": "CRITICAL",
    "error": "ERROR",
    "exception": "ERROR",
    "warning": "WARNING",
    "info": "INFO",
}


class Event(NamedTuple):
    """An event and the level at which it is logged."""

    level: str
    text: str


class Call(NamedTuple):
    """A call that logs something: where it is, at which level, and its positional arguments."""

    place: str
    level: str
    arguments: list[ast.expr]


def calls(module: Path) -> Iterator[Call]:
    """Yields the calls of a module that log at any level."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("log"), attr=level), args=[*arguments]
            ) if level in {*LEVELS, "debug"}:
                place = f"{module.relative_to(ROOT)}:{node.lineno}"
                yield Call(place, LEVELS.get(level, "DEBUG"), arguments)


CALLS = [call for module in sorted((ROOT / "fedbadges").rglob("*.py")) for call in calls(module)]


def literal(call: Call) -> str | None:
    """Returns the event of a call, if it is a literal without anything to fill in."""
    match call.arguments:
        case [ast.Constant(value=str(text))] if "%" not in text and "{" not in text:
            return text
    return None


LOGGED = {
    Event(call.level, text) for call in CALLS if call.level != "DEBUG" and (text := literal(call))
}


def entries() -> Iterator[Event]:
    """Yields the entries of the page, each with the heading that it stands under."""
    section = PAGE.partition("\nLog messages\n")[2]
    parts = re.split(r"^([A-Z]+)\n~+$", section, flags=re.M)
    for level, text in zip(parts[1::2], parts[2::2], strict=True):
        own = re.split(r"^.+\n[-~]+$", text, flags=re.M)[0]
        yield from (Event(level, event) for event in re.findall(r"^``([^`]+)``$", own, re.M))


ENTRIES = sorted(entries())

OTHERS = re.findall(r"^``(.+)`` \((\w+), of ``(.+)``\)$", PAGE, re.M)


@pytest.mark.parametrize("event", sorted(LOGGED), ids=lambda event: event.text)
def test_logged_event_is_listed_under_its_level(event: Event) -> None:
    assert event in ENTRIES


@pytest.mark.parametrize("event", ENTRIES, ids=lambda event: event.text)
def test_listed_event_is_logged_at_that_level(event: Event) -> None:
    assert event in LOGGED


def test_no_event_is_listed_twice() -> None:
    assert len(ENTRIES) == len(set(ENTRIES))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.place)
def test_event_is_a_literal_of_a_few_words_without_punctuation(call: Call) -> None:
    event = literal(call)

    assert event is not None
    assert re.fullmatch(r"[A-Z][\w',/ -]*\w", event)


def test_every_logger_is_made_by_get_logger() -> None:
    modules = sorted((ROOT / "fedbadges").rglob("*.py"))
    own = [
        str(module.relative_to(ROOT))
        for module in modules
        if "logging.getLogger(__name__)" in module.read_text()
    ]

    assert own == []


@pytest.mark.parametrize(("text", "level", "logger"), OTHERS)
def test_event_of_another_logger_is_in_its_source(text: str, level: str, logger: str) -> None:
    module = importlib.util.find_spec(logger)
    assert module is not None
    assert module.origin is not None
    sources = [path.read_text() for path in Path(module.origin).parent.rglob("*.py")]

    def has_all(source: str) -> bool:
        return all(part in source for part in re.split(r"\s*'?…'?\s*", text))

    assert any(has_all(re.sub(r"'\s+u?'", "", source)) for source in sources)
