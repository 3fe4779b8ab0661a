"""``fedbadges check --fix``: what is rewritten in rule files, and written back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from fedbadges.cli.errors import CannotRun
from fedbadges.errors import RuleError
from fedbadges.lint.fixes.fixer import Fixed, Fixer
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import read_file
from fedbadges.util.files import replace_file
from fedbadges.util.text import pluralize, printable

_STAYS = "this lambda stays: there is nothing that means the same without Python"


def fix_files(files: Iterable[Path], backends: Backends, *, show: bool, to_stderr: bool) -> int:
    """Rewrite what can be rewritten in rule files, and say so; return how many files that is.

    With ``show`` the files stay as they are, and the difference is printed. Raise CannotRun if a
    file cannot be written.
    """
    fixer, count, changes = Fixer(backends), 0, 0
    for path in files:
        try:
            fixed = fixer.fix(read_file(path), str(path))
        except RuleError:  # it is reported as a mistake
            continue
        if fixed.changes:
            count += 1
            changes += len(fixed.changes)
            if show:
                for line in fixed.diff.splitlines():
                    click.echo(printable(line), err=to_stderr)
            else:
                _write(path, fixed)
        if not show:
            _report(fixed, to_stderr)
    done = "would be fixed" if show else "fixed"
    things = pluralize(changes, "thing")
    click.echo(f"{things} {done} in {pluralize(count, 'file')}", err=True)
    return count


def _write(path: Path, fixed: Fixed) -> None:
    try:
        replace_file(path, fixed.after)
    except OSError as error:
        raise CannotRun(f"{path}: cannot be written: {error.strerror}") from None


def _report(fixed: Fixed, to_stderr: bool) -> None:
    for change in fixed.changes:
        click.echo(f"{change.place}: fixed: {printable(change.text)}", err=to_stderr)
    for place in fixed.left:
        click.echo(f"{place}: left: {_STAYS}", err=to_stderr)
