"""``fedbadges test``: run the tests of rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.deployment import HISTORY, TAHRIR, placeholder_settings
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun, reporting_errors
from fedbadges.cli.formats.printers import PRINTERS
from fedbadges.cli.formats.report import ERROR, NOTE, Case, Issue, Report, Suite
from fedbadges.cli.terminal import advancing, format_option, make_text, print_json, print_lines
from fedbadges.cli.watching import Outcome, run_repeatedly, watch_option
from fedbadges.errors import Problem, RuleError
from fedbadges.util.text import pluralize

if TYPE_CHECKING:
    from rich.text import Text

    from fedbadges.cli.coverage import Covered
    from fedbadges.ruletests.runner import Difference
    from fedbadges.ruletests.suite import RuleTest

_EPILOG = """\b
Examples:
  fedbadges test rules
  fedbadges test rules/git/gardener.yml.test
  fedbadges test --filter 'second push' rules
  fedbadges test --coverage-min 90 rules
  fedbadges test --watch rules
  fedbadges test --format json rules
  fedbadges test --format junit rules > test.xml

\b
rules/git/gardener.yml.test has the tests of rules/git/gardener.yml:
  tests:
  - name: the second push brings it
    incoming:
    - topic: org.fedoraproject.prod.git.receive
      from: alice
      count: 2
      msg: {commit: {username: alice}}
      awards: {alice: gardener-commits-i}
"""

#: What the formats for machines tell apart, with what it means.
CODES = {
    "mistake": "a test file, or a rule that it tests, cannot be used",
    "failed-test": "a rule does something else than its test says",
    "uncovered": "no test reaches this",
}


@dataclass
class Results:
    """Each test with its differences; ``mistakes`` are in files that could not be run.

    They are ``complete`` unless Ctrl-C stopped the command.
    """

    outcomes: list[tuple[RuleTest, tuple[Difference, ...]]] = field(default_factory=list)
    mistakes: list[Problem] = field(default_factory=list)
    complete: bool = False
    covered: Covered | None = None

    @property
    def failed(self) -> int:
        """Return how many tests failed."""
        return sum(bool(differences) for _, differences in self.outcomes)


@click.command(epilog=_EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE…"
)
@format_option(("text", "json", *PRINTERS))
@click.option(
    "--filter",
    "text",
    metavar="TEXT",
    default="",
    help="Run only the tests with this in their name.",
)
@click.option(
    "--coverage", is_flag=True, help="Show what no test reaches of rules, below directories of all."
)
@click.option(
    "--coverage-min",
    "least",
    type=click.IntRange(0, 100),
    metavar="PERCENT",
    help="Do the same, and fail if less is covered.",
)
@watch_option
def test(
    paths: tuple[Path, ...],
    form: str,
    text: str,
    coverage: bool,
    least: int | None,
    watch: bool,
) -> None:
    """Run the tests of rules in each FILE, on the daemon's own engine and without its databases.

    A FILE is a test file, or a directory with files anywhere below that end in .yml.test or
    .yaml.test. This runs the code of the rules.
    """

    def run() -> Outcome:
        results = _test(paths, text, coverage or least is not None)
        _print(form, results)
        click.echo(_summary(results), err=True)
        return Outcome(_exit_code(results, least), results.complete)

    # The rules of a test file are beside it.
    watched = [path if path.is_dir() else path.parent for path in paths]
    raise SystemExit(run_repeatedly(run, watched) if watch else run().exit_code)


def _print(form: str, results: Results) -> None:
    if form in PRINTERS:
        PRINTERS[form](_report(results))
    elif form == "json":
        print_json(_data(results))
    else:
        print_lines(*_lines(results), wrap=False)


def _exit_code(results: Results, least: int | None) -> int:
    if results.mistakes:
        return CANNOT_RUN
    covered = results.covered
    too_little = least is not None and covered is not None and covered.percent < least
    if results.failed or too_little:
        return FOUND
    return GOOD if results.complete else CANNOT_RUN


def _test(paths: tuple[Path, ...], text: str, with_coverage: bool) -> Results:
    """Run the tests with this text in their names, until their end or Ctrl-C."""
    from fedbadges.cli.coverage import add_untested, covered
    from fedbadges.rules.loader import TEST_FILES, files_at
    from fedbadges.ruletests.coverage import Coverage
    from fedbadges.ruletests.runner import HISTORY_URL, TAHRIR_URL, RuleTestRunner

    files, unreadable = files_at(paths, TEST_FILES)
    if not files and not unreadable:
        where = ", ".join(map(str, paths))
        raise CannotRun(f"{where}: no file there ends in .yml.test or .yaml.test")
    results = Results(mistakes=unreadable)
    coverage = Coverage() if with_coverage else None
    changes = {HISTORY: HISTORY_URL, TAHRIR: TAHRIR_URL, "badges.keep_counts": False}
    with reporting_errors(), suppress(KeyboardInterrupt):
        runner = RuleTestRunner(placeholder_settings(changes))
        with suppress(KeyboardInterrupt), advancing(files, "Testing") as each:
            for path in each:
                try:
                    suite = runner.load(path)
                except RuleError as error:
                    results.mistakes += error.problems
                    continue
                for one in suite.tests:
                    if text in one.name:
                        results.outcomes.append((one, runner.run(suite, one, coverage)))
            results.complete = True
        if coverage is not None:
            add_untested(coverage, runner, paths)
            results.covered = covered(coverage)
    if text and results.complete and not results.outcomes and not results.mistakes:
        raise CannotRun(f"no test there has {text!r} in its name")
    return results


def _summary(results: Results) -> str:
    counts = f"{pluralize(len(results.outcomes) - results.failed, 'test')} passed"
    if results.failed:
        counts += f", {results.failed} failed"
    if results.mistakes:
        counts += f", {pluralize(len(results.mistakes), 'mistake')} found"
    if results.covered is not None:
        counts += f"; {results.covered}"
    return counts if results.complete else f"Stopped before all tests were run: {counts}"


def _data(results: Results) -> dict[str, Any]:
    data = {
        "passed": len(results.outcomes) - results.failed,
        "failed": results.failed,
        "complete": results.complete,
        "mistakes": [{**asdict(each.place), "message": each.text} for each in results.mistakes],
        "tests": [
            {
                **asdict(test.place),
                "name": test.name,
                "passed": not differences,
                "differences": [each.pop("place") | each for each in map(asdict, differences)],
            }
            for test, differences in results.outcomes
        ],
    }
    if results.covered is not None:
        data["coverage"] = {
            "branches": results.covered.branches,
            "covered": results.covered.reached,
            "missing": [
                {**asdict(place), "message": text} for place, text in results.covered.missing
            ],
        }
    return data


def _report(results: Results) -> Report:
    """Return the report for machines: a case for each test, and for each file with mistakes."""
    cases: dict[str, list[Case]] = {}
    for path, mistakes in groupby(sorted(results.mistakes), lambda mistake: mistake.place.path):
        issues = tuple(Issue(each.place, ERROR, "mistake", each.text) for each in mistakes)
        cases[path] = [Case(path, issues)]
    for test, differences in results.outcomes:
        issues = tuple(
            Issue(each.place, ERROR, "failed-test", _sentence(test, each)) for each in differences
        )
        cases.setdefault(test.place.path, []).append(Case(test.name, issues))
    for place, text in results.covered.missing if results.covered else ():
        issue = Issue(place, NOTE, "uncovered", text)
        cases.setdefault(place.path, []).append(Case(text, (issue,)))
    suites = (Suite(path, tuple(some)) for path, some in cases.items())
    return Report("test", CODES, tuple(suites), results.complete)


def _sentence(test: RuleTest, difference: Difference) -> str:
    return f"{test.name}: expected: {difference.expected}; got: {difference.got}"


def _lines(results: Results) -> Iterator[Text]:
    """Yield a line for each file, and more for each test that failed."""
    for mistake in results.mistakes:
        yield make_text((f"{mistake.place}: ", "bold"), ("error: ", "bold red"), mistake.text)
    for path, group in groupby(results.outcomes, lambda outcome: outcome[0].place.path):
        outcomes = list(group)
        passed = sum(not differences for _, differences in outcomes)
        if passed:
            yield make_text((f"{path}: ", "bold"), (f"{pluralize(passed, 'test')} passed", "green"))
        for test, differences in outcomes:
            if differences:
                yield make_text((f"{test.place}: ", "bold"), ("failed: ", "bold red"), test.name)
            for difference in differences:
                yield make_text((f"  {difference.place}:", "bold"))
                yield make_text("    expected: ", (difference.expected, "green"))
                yield make_text("    got:      ", (difference.got, "red"))
    for place, text in results.covered.missing if results.covered else ():
        yield make_text((f"{place}: ", "bold"), ("uncovered: ", "bold yellow"), text)
