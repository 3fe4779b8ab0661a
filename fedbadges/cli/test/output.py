"""The results of rule tests as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.terminal.console import print_lines
from fedbadges.errors import Problem
from fedbadges.util.text import pluralize, printable

if TYPE_CHECKING:
    from rich.text import Text

    from fedbadges.ruletests.runner import Difference
    from fedbadges.ruletests.suite import RuleTest


@dataclass
class Results:
    """Each test with its differences; ``mistakes`` are in files that could not be run.

    They are not ``complete`` if Ctrl-C stopped the command.
    """

    outcomes: list[tuple[RuleTest, tuple[Difference, ...]]] = field(default_factory=list)
    mistakes: list[Problem] = field(default_factory=list)
    complete: bool = True

    @property
    def failed(self) -> int:
        """Return how many tests failed."""
        return sum(bool(differences) for _, differences in self.outcomes)


def summary(results: Results) -> str:
    """Return the results in one line."""
    passed = len(results.outcomes) - results.failed
    parts = [f"{pluralize(passed, 'test')} passed"]
    if results.failed:
        parts.append(f"{results.failed} failed")
    if results.mistakes:
        parts.append(f"{pluralize(len(results.mistakes), 'mistake')} found")
    counts = ", ".join(parts)
    return counts if results.complete else f"Stopped before all tests were run: {counts}"


def print_text(results: Results) -> None:
    """Print a line for each file, and more for each test that failed."""
    print_lines(*_lines(results), wrap=False)


def print_json(results: Results) -> None:
    """Print the results as one object."""
    whole = {
        "passed": len(results.outcomes) - results.failed,
        "failed": results.failed,
        "complete": results.complete,
        "mistakes": [{**asdict(each.place), "message": each.text} for each in results.mistakes],
        "tests": [_test(*outcome) for outcome in results.outcomes],
    }
    click.echo(json.dumps(whole, indent=2))


def _test(test: RuleTest, differences: tuple[Difference, ...]) -> dict[str, Any]:
    return {
        **asdict(test.place),
        "name": test.name,
        "passed": not differences,
        "differences": [each.pop("place") | each for each in map(asdict, differences)],
    }


def _lines(results: Results) -> Iterator[Text]:
    from rich.text import Text

    for mistake in results.mistakes:
        yield Text.assemble((f"{mistake.place}: ", "bold"), ("error: ", "bold red"), mistake.text)
    for path, group in groupby(results.outcomes, lambda outcome: outcome[0].place.path):
        outcomes = list(group)
        passed = sum(not differences for _, differences in outcomes)
        if passed:
            text = f"{pluralize(passed, 'test')} passed"
            yield Text.assemble((f"{printable(path)}: ", "bold"), (text, "green"))
        for test, differences in outcomes:
            if differences:
                failed = (f"{test.place}: ", "bold"), ("failed: ", "bold red")
                yield Text.assemble(*failed, printable(test.name))
            for difference in differences:
                yield Text(f"  {difference.place}:", "bold")
                yield Text.assemble("    expected: ", (printable(difference.expected), "green"))
                yield Text.assemble("    got:      ", (printable(difference.got), "red"))
