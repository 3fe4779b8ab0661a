"""Commands by which a workflow on GitHub annotates the lines of a change.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions says how.
"""

import click

from fedbadges.cli.formats.report import ERROR, NOTE, WARNING, Issue, Report
from fedbadges.util.text import printable

_COMMANDS = {ERROR: "error", WARNING: "warning", NOTE: "notice"}

#: What is escaped for GitHub.
_IN_TEXT = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_PROPERTY = _IN_TEXT | str.maketrans({":": "%3A", ",": "%2C"})


def print_github(report: Report) -> None:
    """Print a command for each issue."""
    for issue in report.issues:
        click.echo(_command(issue))


def _command(issue: Issue) -> str:
    place = issue.place
    properties = {
        "file": printable(place.path),
        "line": str(place.line),
        "col": str(place.column),
        "title": f"fedbadges {issue.code}",
    }
    pairs = (f"{key}={value.translate(_IN_PROPERTY)}" for key, value in properties.items())
    text = printable(issue.text).translate(_IN_TEXT)
    return f"::{_COMMANDS[issue.severity]} {','.join(pairs)}::{text}"
