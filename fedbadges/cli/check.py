"""``fedbadges check``: mistakes in rules, and what in them is probably not meant so."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
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
from fedbadges.cli.terminal import advancing, format_option, make_text, print_json, print_lines
from fedbadges.lint.findings import CODES, ERROR, WARNING, Finding
from fedbadges.util.text import pluralize, printable

if TYPE_CHECKING:
    from fedbadges.lint.linter import Linter

_EPILOG = """\b
Examples:
  fedbadges check rules
  fedbadges check --format json rules/git/gardener-i.yml
  fedbadges check --ignore same-for-all --ignore no-plugin rules
  fedbadges check --history-url postgresql://localhost/datanommer rules
  fedbadges check --messages samples rules

\b
What a line ends with is its code:
""" + "".join(f"  {code:<18}{meaning}\n" for code, meaning in CODES.items())

#: What is escaped for GitHub.
_IN_TEXT = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY = _IN_TEXT | str.maketrans({":": "%3A", ",": "%2C"})


@dataclass
class Report:
    """The findings, and in how many files; ``complete`` unless Ctrl-C stopped the check."""

    files: int = 0
    findings: set[Finding] = field(default_factory=set)
    complete: bool = False

    def number(self, severity: str) -> int:
        """Return the number of errors or warnings."""
        return sum(finding.severity == severity for finding in self.findings)

    def count(self, files: Iterable[Path]) -> Iterator[Path]:
        """Yield the files, and count them."""
        for file in files:
            self.files += 1
            yield file


def _print_text(report: Report) -> None:
    """Print a line for each finding, as compilers do; in colour on a terminal."""
    colours = {ERROR: "bold red", WARNING: "bold yellow"}
    lines = (
        make_text(
            (f"{finding.place}: ", "bold"),
            (f"{finding.severity}: ", colours[finding.severity]),
            f"{finding.text} ",
            (f"[{finding.code}]", "dim"),
        )
        for finding in sorted(report.findings)
    )
    print_lines(*lines, wrap=False)


def _print_json(report: Report) -> None:
    findings = [
        vars(each.place) | {"severity": each.severity, "code": each.code, "message": each.text}
        for each in sorted(report.findings)
    ]
    whole = {
        "files": report.files,
        "errors": report.number(ERROR),
        "warnings": report.number(WARNING),
        "complete": report.complete,
        "findings": findings,
    }
    print_json(whole)


def _print_github(report: Report) -> None:
    """Print commands by which a workflow on GitHub annotates the lines of a change.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions says how.
    """
    for finding in sorted(report.findings):
        place = finding.place
        properties = {
            "file": printable(place.path),
            "line": str(place.line),
            "col": str(place.column),
            "title": f"fedbadges {finding.code}",
        }
        pairs = (f"{key}={value.translate(_IN_PROPERTY)}" for key, value in properties.items())
        text = finding.text.translate(_IN_TEXT)
        click.echo(f"::{finding.severity} {','.join(pairs)}::{text}")


#: How a report is printed, by the value of ``--format``.
_FORMATS: Mapping[str, Callable[[Report], None]] = {
    "text": _print_text,
    "json": _print_json,
    "github": _print_github,
}


@click.command(epilog=_EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH…"
)
@format_option(_FORMATS)
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
@config_option(
    "Check for the deployment that this configuration of fedmsg or fedora-messaging describes."
)
def check(
    paths: tuple[Path, ...],
    form: str,
    ignore: tuple[str, ...],
    history: bool,
    history_url: str | None,
    messages: Path | None,
    config: str | None,
) -> None:
    """Report every mistake in the rules at PATH, and what in them is probably not meant so.

    A PATH is a rule file, or a directory with rule files anywhere below. An error is a
    mistake that keeps the daemon from loading a rule. A warning is about a rule that it does load.
    """
    from fedbadges.lint.linter import list_files

    files, unreadable = list_files(paths)
    if not files and not unreadable:
        raise CannotRun(f"{', '.join(map(str, paths))}: no file there ends in .yml or .yaml")
    report = Report()
    linter = _linter(history, history_url, messages, config)
    with reporting_errors(), suppress(KeyboardInterrupt), advancing(files, "Checking") as each:
        for finding in itertools.chain(unreadable, linter.run(report.count(each))):
            if finding.code not in ignore:
                report.findings.add(finding)
        report.complete = True
    _FORMATS[form](report)
    click.echo(_summary(report), err=True)
    if report.findings:
        raise SystemExit(FOUND)
    raise SystemExit(GOOD if report.complete else CANNOT_RUN)


def _linter(
    history: bool, history_url: str | None, messages: Path | None, config: str | None
) -> Linter:
    """Return the linter; raise CannotRun if the options or the configuration are wrong."""
    from fedbadges.criteria.backends import load_backends
    from fedbadges.lint.linter import Linter
    from fedbadges.lint.samples import MessageFiles
    from fedbadges.lint.stale_topic import TopicHistory

    changes = {HISTORY: history_url}
    configured = config is not None or (history and not history_url)
    deployment = Deployment(config, changes)
    settings = deployment.settings if configured else placeholder_settings(changes)
    topics = TopicHistory(settings.history_url) if history or history_url else None
    samples = None if messages is None else MessageFiles(messages)
    if samples is not None and not samples.topics and not samples.mistakes:
        raise CannotRun(f"{messages}: no message in a file there that ends in .json")
    return Linter(load_backends(settings), settings, configured, topics, samples)


def _summary(report: Report) -> str:
    numbers = ((report.number(severity), severity) for severity in (ERROR, WARNING))
    findings = [pluralize(number, severity) for number, severity in numbers if number]
    files = pluralize(report.files, "file")
    found = f"{' and '.join(findings) or 'nothing'} found in {files}"
    return found if report.complete else f"Stopped before all files were checked: {found}"
