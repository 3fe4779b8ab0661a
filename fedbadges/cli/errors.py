"""Why a command cannot run: lines on standard error, and the exit code that says so."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import click

#: Exit codes: all is well, something was found, it could not be found out.
GOOD, FOUND, CANNOT_RUN = 0, 1, 2


class CannotRun(click.ClickException):
    """Something that whoever called the command must mend; each line says one thing."""

    exit_code = CANNOT_RUN

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(self.lines))

    def show(self, file: object = None) -> None:
        """Say it; called by click."""
        for line in self.lines:
            click.echo(line, file=sys.stderr)
