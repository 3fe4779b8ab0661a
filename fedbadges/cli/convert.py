"""``fedbadges convert``: rules of fedbadges 2.x, written in the language of docs/rules.rst."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedbadges.cli.deployment import placeholder_settings
from fedbadges.cli.errors import FOUND, CannotRun
from fedbadges.errors import RuleError
from fedbadges.util.files import replace_file
from fedbadges.util.text import pluralize, printable

if TYPE_CHECKING:
    from fedbadges.lint.fixes.conversion import Converted

_EPILOG = """\b
Examples:
  fedbadges convert --diff rules/karma.yml
  fedbadges convert rules
"""


@click.command(epilog=_EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE…"
)
@click.option("--diff", is_flag=True, help="Show what would change, and change nothing.")
def convert(paths: tuple[Path, ...], diff: bool) -> None:
    """Write rules of fedbadges 2.x in the language of this version, where that means the same.

    A FILE is a rule file, or a directory with rule files anywhere below. Comments stay. A rule
    for parts of which there is nothing that surely means the same stays as it is, and these parts
    are listed. Lambdas become fields and operations, where they can.
    """
    from fedbadges.criteria.backends import load_backends
    from fedbadges.lint.fixes.conversion import Converter
    from fedbadges.rules.loader import files_at, read_file

    files, unreadable = files_at(paths)
    lines = [str(problem) for problem in unreadable]
    converter, count = Converter(load_backends(placeholder_settings({}))), 0
    for path in files:
        try:
            converted = converter.convert(read_file(path), str(path))
        except RuleError as error:
            lines += [str(problem) for problem in error.problems]
            continue
        lines += [f"{each.place}: stays: {printable(each.text)}" for each in converted.problems]
        if converted.changes:
            count += 1
            for line in _written(path, converted, show=diff):
                click.echo(printable(line))
    for line in lines:
        click.echo(line)
    done = "would be converted" if diff else "converted"
    click.echo(f"{pluralize(count, 'rule')} {done}", err=True)
    if lines:
        raise SystemExit(FOUND)


def _written(path: Path, converted: Converted, *, show: bool) -> Iterator[str]:
    """Write a rule that was converted, unless its difference is shown; yield what to print."""
    if show:
        yield from converted.fixed.diff.splitlines()
        return
    try:
        replace_file(path, converted.fixed.after)
    except OSError as error:
        raise CannotRun(f"{path}: cannot be written: {error.strerror}") from None
    yield f"{path}: converted"
    for place in converted.fixed.left:
        yield f"{place}: a lambda stays: there is nothing that means the same without Python"
