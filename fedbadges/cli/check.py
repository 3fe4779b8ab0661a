"""``fedbadges check``: mistakes in rules, and what in them is probably not meant so."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedbadges.cli.deployment import (
    HISTORY,
    Deployment,
    config_option,
    database_option,
    placeholder_settings,
)
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun, reporting_errors
from fedbadges.cli.formats.printers import PRINTERS
from fedbadges.cli.formats.report import Case, Issue, Report, Suite
from fedbadges.cli.terminal import advancing, format_option, make_text, print_json, print_lines
from fedbadges.cli.watching import Outcome, run_repeatedly, watch_option
from fedbadges.lint.findings import CODES, ERROR, WARNING, Finding
from fedbadges.util.text import pluralize

if TYPE_CHECKING:
    from fedbadges.lint.linter import Linter
    from fedbadges.rules.criteria import Backends

_EPILOG = """\b
Examples:
  fedbadges check rules
  fedbadges check --format json rules/git/gardener.yml
  fedbadges check --format sarif rules > check.sarif
  fedbadges check --no-lambdas rules
  fedbadges check --ignore same-for-all --ignore no-plugin rules
  fedbadges check --history-url postgresql://localhost/datanommer rules
  fedbadges check --messages samples rules
  fedbadges check --fix rules
  fedbadges check --watch rules

\b
What a line ends with is its code:
""" + "".join(f"  {code:<18}{meaning}\n" for code, meaning in CODES.items())


@dataclass
class Found:
    """The files that were checked, and the findings; ``complete`` unless Ctrl-C stopped it."""

    files: list[Path] = field(default_factory=list)
    findings: set[Finding] = field(default_factory=set)
    complete: bool = False

    def number(self, severity: str) -> int:
        """Return the number of errors or warnings."""
        return sum(finding.severity == severity for finding in self.findings)

    def note(self, files: Iterable[Path]) -> Iterator[Path]:
        """Yield the files, and note which came."""
        for file in files:
            self.files.append(file)
            yield file


def _print_text(found: Found) -> None:
    """Print a line for each finding, as compilers do; in colour on a terminal."""
    colours = {ERROR: "bold red", WARNING: "bold yellow"}
    lines = (
        make_text(
            (f"{finding.place}: ", "bold"),
            (f"{finding.severity}: ", colours[finding.severity]),
            f"{finding.text} ",
            (f"[{finding.code}]", "dim"),
        )
        for finding in sorted(found.findings)
    )
    print_lines(*lines, wrap=False)


def _print_json(found: Found) -> None:
    findings = [
        vars(each.place) | {"severity": each.severity, "code": each.code, "message": each.text}
        for each in sorted(found.findings)
    ]
    whole = {
        "files": len(found.files),
        "errors": found.number(ERROR),
        "warnings": found.number(WARNING),
        "complete": found.complete,
        "findings": findings,
    }
    print_json(whole)


def _report(found: Found) -> Report:
    """Return the report for machines: a case for each file, good or not."""
    issues: dict[str, list[Issue]] = {str(file): [] for file in found.files}
    for each in sorted(found.findings):
        issue = Issue(each.place, each.severity, each.code, each.text)
        issues.setdefault(each.place.path, []).append(issue)
    suites = (Suite(path, (Case(path, tuple(some)),)) for path, some in issues.items())
    return Report("check", CODES, tuple(suites), found.complete)


@click.command(epilog=_EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH…"
)
@format_option(("text", "json", *PRINTERS))
@click.option(
    "--ignore",
    multiple=True,
    type=click.Choice(list(CODES)),
    metavar="CODE",
    help="Say nothing of this kind; may be given several times.",
)
@click.option(
    "--history", is_flag=True, help="Ask datanommer what is still sent, and what messages have."
)
@database_option("--history-url", "Ask the datanommer at this URL.")
@click.option(
    "--messages",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR",
    help="Look at the sample messages in the .json files below DIR.",
)
@click.option("--no-lambdas", is_flag=True, help="Take Python in a rule for a mistake.")
@click.option(
    "--fix", is_flag=True, help="First rewrite, in the files, what can be said without Python."
)
@click.option("--diff", is_flag=True, help="Only show what --fix would change.")
@config_option(
    "Check for the deployment that this configuration of fedmsg or fedora-messaging describes."
)
@watch_option
def check(
    paths: tuple[Path, ...],
    form: str,
    ignore: tuple[str, ...],
    history: bool,
    history_url: str | None,
    messages: Path | None,
    no_lambdas: bool,
    fix: bool,
    diff: bool,
    config: str | None,
    watch: bool,
) -> None:
    """Report every mistake in the rules at PATH, and what in them is probably not meant so.

    A PATH is a rule file, or a directory with rule files anywhere below. An error is a
    mistake that keeps the daemon from loading a rule. A warning is about a rule that it does load.

    --fix rewrites lambdas that only compare fields or count messages, 'is 1' in the others, and
    misspelled keys. The rules mean the same afterwards, and their comments and layout stay.
    """
    if (fix or diff) and watch:
        raise click.UsageError("--watch checks files, and cannot be combined with --fix or --diff")

    make_linter = partial(_linter, history, history_url, messages, config, no_lambdas)
    if fix or diff:
        changed = _fix(paths, make_linter().backends, show=diff, to_stderr=form != "text")
        if diff:
            raise SystemExit(FOUND if changed else GOOD)

    def run() -> Outcome:
        found = _check(paths, ignore, make_linter)
        _print(form, found)
        click.echo(_summary(found), err=True)
        incomplete = GOOD if found.complete else CANNOT_RUN
        return Outcome(FOUND if found.findings else incomplete, found.complete)

    raise SystemExit(run_repeatedly(run, paths) if watch else run().exit_code)


def _fix(paths: tuple[Path, ...], backends: Backends, *, show: bool, to_stderr: bool) -> int:
    """Rewrite what can be, or show it; return how many files that is."""
    from fedbadges.cli.fixing import fix_files
    from fedbadges.lint.linter import list_files

    files, _ = list_files(paths)
    with reporting_errors():
        return fix_files(files, backends, show=show, to_stderr=to_stderr)


def _check(
    paths: tuple[Path, ...], ignore: tuple[str, ...], make_linter: Callable[[], Linter]
) -> Found:
    """Check the rules at these paths, until the end or Ctrl-C."""
    from fedbadges.lint.linter import list_files

    files, unreadable = list_files(paths)
    if not files and not unreadable:
        raise CannotRun(f"{', '.join(map(str, paths))}: no file there ends in .yml or .yaml")
    found = Found()
    linter = make_linter()
    with reporting_errors(), suppress(KeyboardInterrupt), advancing(files, "Checking") as each:
        for finding in itertools.chain(unreadable, linter.run(found.note(each))):
            if finding.code not in ignore:
                found.findings.add(finding)
        found.complete = True
    return found


def _print(form: str, found: Found) -> None:
    if form in PRINTERS:
        PRINTERS[form](_report(found))
    elif form == "json":
        _print_json(found)
    else:
        _print_text(found)


def _linter(
    history: bool,
    history_url: str | None,
    messages: Path | None,
    config: str | None,
    no_lambdas: bool,
) -> Linter:
    """Return the linter; raise CannotRun if the options or the configuration are wrong."""
    from fedbadges.criteria.backends import load_backends
    from fedbadges.history.topics import TopicHistory
    from fedbadges.lint.linter import Linter
    from fedbadges.lint.samples import MessageFiles

    changes = {HISTORY: history_url}
    configured = config is not None or (history and not history_url)
    deployment = Deployment(config, changes)
    settings = deployment.settings if configured else placeholder_settings(changes)
    if no_lambdas:
        settings = replace(settings, lambdas=False)
    topics = TopicHistory(settings.history_url) if history or history_url else None
    samples = None if messages is None else MessageFiles(messages)
    if samples is not None and not samples.topics and not samples.mistakes:
        raise CannotRun(f"{messages}: no message in a file there that ends in .json")
    return Linter(load_backends(settings), settings, configured, topics, samples)


def _summary(found: Found) -> str:
    numbers = ((found.number(severity), severity) for severity in (ERROR, WARNING))
    findings = [pluralize(number, severity) for number, severity in numbers if number]
    files = pluralize(len(found.files), "file")
    text = f"{' and '.join(findings) or 'nothing'} found in {files}"
    return text if found.complete else f"Stopped before all files were checked: {text}"
