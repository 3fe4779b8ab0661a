"""What came of the tests of rules, as text and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from fedbadges.errors import Place, Problem
from fedbadges.util.text import pluralize, printable

if TYPE_CHECKING:
    from fedbadges.ruletests.results import Difference, TestResult

#: Pieces of a line, each with its style.
_Line = tuple[tuple[str, str], ...]


@dataclass
class Results:
    """What came of which tests; ``mistakes`` are in files that could not be run.

    Not ``complete`` where somebody stopped it.
    """

    outcomes: list[TestResult] = field(default_factory=list)
    mistakes: list[Problem] = field(default_factory=list)
    complete: bool = True

    @property
    def failed(self) -> int:
        """How many tests failed."""
        return sum(not outcome.passed for outcome in self.outcomes)


def summary(results: Results) -> str:
    """Say it all in one line."""
    passed = len(results.outcomes) - results.failed
    parts = [f"{pluralize(passed, 'test')} passed"]
    if results.failed:
        parts.append(f"{results.failed} failed")
    if results.mistakes:
        parts.append(f"{pluralize(len(results.mistakes), 'mistake')} found")
    said = ", ".join(parts)
    return said if results.complete else f"Stopped: {said}, and not all were run"


def as_text(results: Results) -> None:
    """Print a line for each file, and more for what failed; in colour where somebody looks."""
    if not sys.stdout.isatty():
        for line in _lines(results):
            click.echo("".join(text for text, _ in line))
        return
    # Not at the top: it is slow, and for people only.
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False, emoji=False, markup=False)
    for line in _lines(results):
        console.print(Text.assemble(*line))


def as_json(results: Results) -> None:
    """Print one object with all that is known."""
    whole = {
        "passed": len(results.outcomes) - results.failed,
        "failed": results.failed,
        "complete": results.complete,
        "mistakes": [
            {**_place(mistake.place), "message": mistake.text} for mistake in results.mistakes
        ],
        "tests": [
            {
                **_place(outcome.test.place),
                "name": outcome.test.name,
                "passed": outcome.passed,
                "differences": [
                    {
                        **_place(difference.place),
                        "incoming": difference.incoming,
                        "expected": difference.expected,
                        "got": difference.got,
                    }
                    for difference in outcome.differences
                ],
            }
            for outcome in results.outcomes
        ],
    }
    click.echo(json.dumps(whole, indent=2))


#: How results are shown, by what ``--format`` says.
FORMATS: Mapping[str, Callable[[Results], None]] = {"text": as_text, "json": as_json}


def _lines(results: Results) -> Iterator[_Line]:
    for mistake in results.mistakes:
        yield ((f"{mistake.place}: ", "bold"), ("error: ", "bold red"), (mistake.text, ""))
    for path, outcomes in groupby(results.outcomes, lambda outcome: outcome.test.place.path):
        yield from _of_file(path, list(outcomes))


def _of_file(path: str, outcomes: Iterable[TestResult]) -> Iterator[_Line]:
    passed = sum(outcome.passed for outcome in outcomes)
    if passed:
        yield ((f"{printable(path)}: ", "bold"), (f"{pluralize(passed, 'test')} passed", "green"))
    for outcome in outcomes:
        if not outcome.passed:
            name = printable(outcome.test.name)
            yield ((f"{outcome.test.place}: ", "bold"), ("failed: ", "bold red"), (name, ""))
            for difference in outcome.differences:
                yield from _of_difference(difference)


def _of_difference(difference: Difference) -> Iterator[_Line]:
    yield ((f"  {difference.place}:", "bold"),)
    yield (("    expected: ", ""), (printable(difference.expected), "green"))
    yield (("    got:      ", ""), (printable(difference.got), "red"))


def _place(place: Place) -> dict[str, Any]:
    return {"path": place.path, "line": place.line, "column": place.column}
