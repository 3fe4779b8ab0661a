"""The results of rule tests as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.terminal.console import print_lines
from fedbadges.errors import Problem
from fedbadges.util.text import pluralize, printable

if TYPE_CHECKING:
    from fedbadges.ruletests.runner import TestResult

#: The parts of a line, each with its style.
_Line = tuple[tuple[str, str], ...]


@dataclass
class Results:
    """The outcomes of tests; ``mistakes`` are in files that could not be run.

    They are not ``complete`` if Ctrl-C stopped the command.
    """

    outcomes: list[TestResult] = field(default_factory=list)
    mistakes: list[Problem] = field(default_factory=list)
    complete: bool = True

    @property
    def failed(self) -> int:
        """Return how many tests failed."""
        return sum(not outcome.passed for outcome in self.outcomes)


def summary(results: Results) -> str:
    """Return the results in one line."""
    passed = len(results.outcomes) - results.failed
    parts = [f"{pluralize(passed, 'test')} passed"]
    if results.failed:
        parts.append(f"{results.failed} failed")
    if results.mistakes:
        parts.append(f"{pluralize(len(results.mistakes), 'mistake')} found")
    said = ", ".join(parts)
    return said if results.complete else f"Stopped: {said}, and not all were run"


def as_text(results: Results) -> None:
    """Print a line for each file, and more for each test that failed."""
    from rich.text import Text

    print_lines(*(Text.assemble(*line) for line in _lines(results)), wrap=False)


def as_json(results: Results) -> None:
    """Print the results as one object."""
    whole = {
        "passed": len(results.outcomes) - results.failed,
        "failed": results.failed,
        "complete": results.complete,
        "mistakes": [{**asdict(each.place), "message": each.text} for each in results.mistakes],
        "tests": [_test(outcome) for outcome in results.outcomes],
    }
    click.echo(json.dumps(whole, indent=2))


#: What prints the results, by the value of ``--format``.
FORMATS: Mapping[str, Callable[[Results], None]] = {"text": as_text, "json": as_json}


def _test(outcome: TestResult) -> dict[str, Any]:
    differences = [asdict(each) for each in outcome.differences]
    return {
        **asdict(outcome.test.place),
        "name": outcome.test.name,
        "passed": outcome.passed,
        "differences": [each.pop("place") | each for each in differences],
    }


def _lines(results: Results) -> Iterator[_Line]:
    for mistake in results.mistakes:
        yield ((f"{mistake.place}: ", "bold"), ("error: ", "bold red"), (mistake.text, ""))
    for path, group in groupby(results.outcomes, lambda outcome: outcome.test.place.path):
        outcomes = list(group)
        passed = pluralize(sum(outcome.passed for outcome in outcomes), "test")
        if any(outcome.passed for outcome in outcomes):
            yield ((f"{printable(path)}: ", "bold"), (f"{passed} passed", "green"))
        for outcome in outcomes:
            if not outcome.passed:
                name = printable(outcome.test.name)
                yield ((f"{outcome.test.place}: ", "bold"), ("failed: ", "bold red"), (name, ""))
            for difference in outcome.differences:
                yield ((f"  {difference.place}:", "bold"),)
                yield (("    expected: ", ""), (printable(difference.expected), "green"))
                yield (("    got:      ", ""), (printable(difference.got), "red"))
