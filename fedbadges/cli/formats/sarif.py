"""SARIF 2.1.0, which GitHub's code scanning and editors read.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html describes it.
"""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fedbadges.cli.formats.report import Issue, Report
from fedbadges.cli.terminal import print_json
from fedbadges.util.text import printable

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def print_sarif(report: Report) -> None:
    """Print a log of one run, with a result for each issue."""
    name = f"fedbadges {report.command}"
    rules = [_rule(code, meaning) for code, meaning in report.meanings.items()]
    indexes = {code: index for index, code in enumerate(report.meanings)}
    run = {
        "tool": {"driver": {"name": name, "version": version("fedbadges"), "rules": rules}},
        # GitHub keeps the results of several runs apart by this.
        "automationDetails": {"id": f"{name.replace(' ', '-')}/"},
        "invocations": [{"executionSuccessful": report.complete}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(issue, indexes[issue.code]) for issue in report.issues],
    }
    print_json({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(code: str, meaning: str) -> dict[str, Any]:
    """Return a kind of result; GitHub asks for all three texts."""
    text = {"text": meaning}
    help_text = {"text": f"{code}: {meaning}. docs/rule-authors.rst of fedbadges has more."}
    return {"id": code, "shortDescription": text, "fullDescription": text, "help": help_text}


def _result(issue: Issue, index: int) -> dict[str, Any]:
    region = {"startLine": issue.place.line, "startColumn": issue.place.column}
    location = {"artifactLocation": _artifact(issue.place.path), "region": region}
    return {
        "ruleId": issue.code,
        "ruleIndex": index,
        "level": issue.severity,
        "message": {"text": printable(issue.text)},
        "locations": [{"physicalLocation": location}],
    }


def _artifact(path: str) -> dict[str, str]:
    """Return the address of a file; relative to the working directory if it is below that."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - a link is shown as it was named
    if not absolute.is_relative_to(Path.cwd()):
        return {"uri": absolute.as_uri()}
    relative = absolute.relative_to(Path.cwd())
    # A name may be any bytes.
    return {"uri": quote(os.fsencode(relative.as_posix())), "uriBaseId": "%SRCROOT%"}
