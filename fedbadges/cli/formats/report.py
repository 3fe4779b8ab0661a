"""What a command found, in the form from which every format for machines is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fedbadges.errors import Place
from fedbadges.util.text import printable

#: How much an issue matters. A note is no failure.
ERROR, WARNING, NOTE = "error", "warning", "note"


@dataclass(frozen=True, order=True)
class Issue:
    """One thing that was found; ``code`` names its kind, ``severity`` is one of those above."""

    place: Place
    severity: str
    code: str
    text: str

    def __str__(self) -> str:
        return printable(f"{self.place}: {self.severity}: {self.text} [{self.code}]")


@dataclass(frozen=True)
class Case:
    """What passes or fails as a whole: a rule file that was checked, or one test."""

    name: str
    issues: tuple[Issue, ...] = ()

    @property
    def failures(self) -> tuple[Issue, ...]:
        """Return the issues by which it fails."""
        return tuple(issue for issue in self.issues if issue.severity != NOTE)


@dataclass(frozen=True)
class Suite:
    """The cases of one file."""

    path: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Report:
    """All that the subcommand ``command`` found; ``meanings`` has those of every code.

    It is ``complete`` unless Ctrl-C stopped the command.
    """

    command: str
    meanings: Mapping[str, str]
    suites: tuple[Suite, ...]
    complete: bool = True

    @property
    def issues(self) -> list[Issue]:
        """Return every issue, in the order of the files."""
        return sorted(
            issue for suite in self.suites for case in suite.cases for issue in case.issues
        )
