"""``fedbadges test``: run the tests of rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedbadges.cli.deployment import HISTORY
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun, reporting_errors
from fedbadges.cli.options import format_option
from fedbadges.cli.terminal.progress_bar import advancing
from fedbadges.cli.test.output import Results, print_json, print_text, summary

if TYPE_CHECKING:
    from fedbadges.ruletests.runner import RuleTestRunner

_EPILOG = """\b
Examples:
  fedbadges test rules
  fedbadges test rules/git/gardener-i.yml.test
  fedbadges test --filter 'second push' rules
  fedbadges test --format json rules

\b
rules/git/gardener-i.yml.test has the tests of rules/git/gardener-i.yml:
  tests:
  - name: the second push brings it
    incoming:
    - topic: org.fedoraproject.prod.git.receive
      from: alice
      count: 2
      msg: {commit: {username: alice}}
      awards: {alice: gardener-commits-i}
"""


@click.command(epilog=_EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE…"
)
@format_option()
@click.option(
    "--filter",
    "text",
    metavar="TEXT",
    default="",
    help="Run only the tests with this in their name.",
)
def test(paths: tuple[Path, ...], form: str, text: str) -> None:
    """Run the tests of rules in each FILE, on the daemon's own engine and without its databases.

    A FILE is a test file, or a directory with files anywhere below that end in .yml.test or
    .yaml.test. This runs the code of the rules.
    """
    results = Results()
    _test(results, paths, text)
    (print_json if form == "json" else print_text)(results)
    click.echo(summary(results), err=True)
    if results.mistakes:
        raise SystemExit(CANNOT_RUN)
    if results.failed:
        raise SystemExit(FOUND)
    raise SystemExit(GOOD if results.complete else CANNOT_RUN)


def _test(results: Results, paths: tuple[Path, ...], text: str) -> None:
    """Run the tests, and add each outcome to the results at once."""
    from fedbadges.cli.configuration import placeholder_settings
    from fedbadges.rules.loader import TEST_FILES, files_at
    from fedbadges.ruletests.runner import HISTORY_URL, TAHRIR_URL, RuleTestRunner

    files, unreadable = files_at(paths, TEST_FILES)
    if not files and not unreadable:
        where = ", ".join(str(path) for path in paths)
        raise CannotRun(f"{where}: no file there ends in .yml.test or .yaml.test")
    results.mistakes += unreadable
    changes = {HISTORY: HISTORY_URL, "badges.keep_counts": False}
    with reporting_errors():
        runner = RuleTestRunner(placeholder_settings(changes, tahrir_url=TAHRIR_URL))
        try:
            with advancing(files, "Testing") as each:
                for path in each:
                    _run(path, text, runner, results)
        except KeyboardInterrupt:
            results.complete = False
    if text and results.complete and not results.outcomes and not results.mistakes:
        raise CannotRun(f"no test there has {text!r} in its name")


def _run(path: Path, text: str, runner: RuleTestRunner, results: Results) -> None:
    """Run the tests of one file; its mistakes are added to the results."""
    from fedbadges.errors import RuleError

    try:
        suite = runner.load(path)
    except RuleError as error:
        results.mistakes += error.problems
        return
    for each in suite.tests:
        if text in each.name:
            results.outcomes.append(runner.run(suite, each))
