"""``fedbadges check``: mistakes in rules, and what in them is probably not meant so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedbadges.cli.check.output import FORMATS, Report, summary
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun
from fedbadges.cli.options import config_option, database_option, format_option
from fedbadges.cli.terminal.progress_bar import advancing
from fedbadges.lint.findings import CODES

if TYPE_CHECKING:
    from fedbadges.lint.linter import Linter

_URL = "datanommer.sqlalchemy.url"

_EPILOG = """\b
Examples:
  fedbadges check rules
  fedbadges check --format json rules/git/gardener-i.yml
  fedbadges check --ignore same-for-all --ignore no-plugin rules
  fedbadges check --history-url postgresql://localhost/datanommer rules

\b
What a line ends with is its code:
""" + "".join(f"  {code:<15}{meaning}\n" for code, meaning in CODES.items())


@click.command(epilog=_EPILOG)
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH…"
)
@format_option(FORMATS)
@click.option(
    "--ignore",
    multiple=True,
    type=click.Choice(list(CODES)),
    metavar="CODE",
    help="Say nothing of this kind; may be given several times.",
)
@click.option("--history", is_flag=True, help="Ask datanommer which topics are still sent.")
@database_option("--history-url", "Ask the datanommer at this URL.")
@config_option("Check for the deployment that this configuration of fedmsg describes.")
def check(
    paths: tuple[Path, ...],
    form: str,
    ignore: tuple[str, ...],
    history: bool,
    history_url: str | None,
    config: str | None,
) -> None:
    """Report every mistake in the rules at PATH, and what in them is probably not meant so.

    A PATH is a rule file, or a directory with rule files anywhere below. An error is a
    mistake that keeps the daemon from loading a rule. A warning is about a rule that it does load.
    """
    report = Report()
    try:
        _check(report, paths, frozenset(ignore), partial(_linter, history, history_url, config))
    except KeyboardInterrupt:
        report.complete = False
    FORMATS[form](report)
    click.echo(summary(report), err=True)
    if report.findings:
        raise SystemExit(FOUND)
    raise SystemExit(GOOD if report.complete else CANNOT_RUN)


def _linter(history: bool, history_url: str | None, config: str | None) -> Linter:
    """Make the linter; raise CannotRun if the options or the configuration are wrong."""
    # Not at the top: these take a while to import, and completion and --help want to be fast.
    from fedbadges.cli.configuration import configured_settings, placeholder_settings
    from fedbadges.criteria.backends import load_backends
    from fedbadges.lint.linter import Linter
    from fedbadges.lint.stale_topic import TopicHistory

    changes = {_URL: history_url} if history_url else {}
    configured = config is not None or (history and not history_url)
    settings = configured_settings(config, changes) if configured else placeholder_settings(changes)
    topics = TopicHistory(settings.history_url) if history or history_url else None
    return Linter(load_backends(settings), settings, configured, topics)


def _check(
    report: Report,
    paths: tuple[Path, ...],
    ignore: frozenset[str],
    make_linter: Callable[[], Linter],
) -> None:
    """Check, and add each finding to the report as soon as it is found."""
    from sqlalchemy.exc import SQLAlchemyError

    from fedbadges.errors import Unavailable
    from fedbadges.lint.linter import list_files
    from fedbadges.util.text import describe_error

    files, unreadable = list_files(paths)
    if not files and not unreadable:
        where = ", ".join(str(path) for path in paths)
        raise CannotRun(f"{where}: no file there ends in .yml or .yaml")
    report.add(unreadable, ignore)
    linter = make_linter()
    try:
        with advancing(files, "Checking") as each:
            report.add(linter.run(_counted(each, report)), ignore)
    except Unavailable as unavailable:
        raise CannotRun(str(unavailable)) from unavailable
    except SQLAlchemyError as error:
        raise CannotRun(f"datanommer: {describe_error(error)}") from error


def _counted(files: Iterable[Path], report: Report) -> Iterator[Path]:
    for file in files:
        report.files += 1
        yield file
