"""Findings as text, as JSON and as annotations of GitHub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import click

from fedbadges.lint.findings import ERROR, WARNING, Finding
from fedbadges.util.text import pluralize, printable


@dataclass
class Report:
    """The findings, and in how many files; not ``complete`` if the check was interrupted."""

    files: int = 0
    findings: set[Finding] = field(default_factory=set)
    complete: bool = True

    def add(self, found: Iterable[Finding], ignored: frozenset[str] = frozenset()) -> None:
        """Add findings as they come, without those of ``ignored`` codes."""
        for finding in found:
            if finding.code not in ignored:
                self.findings.add(finding)

    def number(self, severity: str) -> int:
        """Return the number of errors or warnings."""
        return sum(finding.severity == severity for finding in self.findings)


def summary(report: Report) -> str:
    """Return the summary, one line."""
    files = pluralize(report.files, "file")
    findings = [
        pluralize(report.number(severity), severity)
        for severity in (ERROR, WARNING)
        if report.number(severity)
    ]
    found = f"{' and '.join(findings) or 'nothing'} found in {files}"
    return found if report.complete else f"Stopped: {found}, and not all was looked at"


def as_text(report: Report) -> None:
    """Print a line for each finding, as compilers do; in colour on a terminal."""
    # Not at the top: these are slow to import.
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False, emoji=False, markup=False)
    for finding in sorted(report.findings):
        colour = "red" if finding.severity == ERROR else "yellow"
        console.print(
            Text.assemble(
                (f"{finding.place}: ", "bold"),
                (f"{finding.severity}: ", f"bold {colour}"),
                f"{finding.text} ",
                (f"[{finding.code}]", "dim"),
            )
        )


def as_json(report: Report) -> None:
    """Print one JSON object with everything."""
    findings = [
        {
            **vars(finding.place),
            "severity": finding.severity,
            "code": finding.code,
            "message": finding.text,
        }
        for finding in sorted(report.findings)
    ]
    whole = {
        "files": report.files,
        "errors": report.number(ERROR),
        "warnings": report.number(WARNING),
        "complete": report.complete,
        "findings": findings,
    }
    click.echo(json.dumps(whole, indent=2))


def as_github(report: Report) -> None:
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
        shown = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
        click.echo(f"::{finding.severity} {shown}::{_data(finding.text)}")


#: How a report is printed, by the value of ``--format``.
FORMATS: Mapping[str, Callable[[Report], None]] = {
    "text": as_text,
    "json": as_json,
    "github": as_github,
}


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
