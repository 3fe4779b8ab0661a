"""``fedbadges progress``: how far somebody is with every badge."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.deployment import Deployment, with_deployment
from fedbadges.cli.errors import CANNOT_RUN, CannotRun, reporting_errors
from fedbadges.cli.options import format_option
from fedbadges.cli.terminal.progress_bar import advancing

if TYPE_CHECKING:
    from fedbadges.engine.progress import Progress, ProgressSearch

_EPILOG = """\b
Examples:
  fedbadges progress alice
  fedbadges progress --format json alice
  fedbadges progress --rules rules/git alice
"""


@click.command(epilog=_EPILOG)
@click.argument("user")
@format_option()
@with_deployment()
def progress(deployment: Deployment, user: str, form: str) -> None:
    """Show how far USER is with every badge.

    Those that are closest to completion come first, those that USER holds last. The daemon's own
    rules decide, for USER's latest messages in datanommer. Nothing is awarded, published or
    written.
    """
    from fedbadges.criteria.backends import load_backends
    from fedbadges.engine.explanation import Explainer, without_count_cache
    from fedbadges.engine.progress import ProgressSearch
    from fedbadges.messages import fits_databases

    if not fits_databases(user):
        raise CannotRun(f"{user!r} is not a possible account name")
    # Errors of a rule are shown in the line of its badge.
    logging.getLogger("fedbadges.engine.engine").setLevel(logging.ERROR)
    with reporting_errors():
        settings = without_count_cache(deployment.settings)
        explainer = Explainer(settings, deployment.rules(load_backends(settings)))
        search = ProgressSearch(settings, explainer, user)
        complete = _search(search)
        found = search.progress()
    if not search.concerns_somebody:
        click.echo(f"neither datanommer nor tahrir knows {user!r}", err=True)
    if form == "json":
        data = {"user": user, "opted_out": search.opted_out, "complete": complete}
        click.echo(json.dumps(data | {"badges": [_data(each) for each in found]}, indent=2))
    else:
        _print(found)
    if search.interrupted:
        raise CannotRun(search.interrupted)
    if not complete:
        click.echo("Stopped before all messages were read", err=True)
        raise SystemExit(CANNOT_RUN)


def _search(search: ProgressSearch) -> bool:
    """Read the messages and judge them; return False if Ctrl-C stopped it."""
    try:
        with advancing(search.batches, "Reading messages") as batches:
            for batch in batches:
                search.read(batch)
        search.judge()
    except KeyboardInterrupt:
        return False
    return True


def _print(found: Iterable[Progress]) -> None:
    from rich.text import Text

    from fedbadges.cli.terminal.console import make_table, print_lines

    table = make_table()
    for each in found:
        text, style = _describe(each)
        table.add_row(each.rule.badge.id, Text(text, style=style))
    print_lines(table)


def _describe(each: Progress) -> tuple[str, str]:
    """Return the progress in words, and their style."""
    from fedbadges.engine.progress import ProgressState
    from fedbadges.util.text import printable

    since = "" if each.since is None else f" since {each.since:%Y-%m-%d}"
    counted = "" if each.counted is None else f"{each.counted}"
    text, style = {
        ProgressState.EARNED: (
            f"{counted or 'earned'}: the next message awards it",
            "bold green",
        ),
        ProgressState.COUNTED: (counted, "yellow"),
        ProgressState.UNCOUNTABLE: (f"not countable: {_why(each)}", "dim"),
        ProgressState.NOTHING: ("nothing yet", "dim"),
        ProgressState.OPTED_OUT: ("opted out", "dim"),
        ProgressState.UNKNOWN: ("not checked", "red"),
        ProgressState.HELD: (f"held{since}", "green"),
    }[each.state]
    return printable(text), style


def _why(each: Progress) -> str:
    """Return why nothing can be counted, in a few words."""
    from fedbadges.cli.explain.parts import part_of, why_not

    if each.criteria is None:
        return ""
    if each.criteria.answer:
        return "there is no account of this name"
    return why_not(part_of(each.criteria))


def _data(each: Progress) -> dict[str, Any]:
    from fedbadges.engine.progress import ProgressState

    counted, message = each.counted, each.message
    return {
        "badge": each.rule.badge.id,
        "name": each.rule.badge.name,
        "state": each.state.value,
        "count": counted and counted.value,
        "needed": counted and counted.needed,
        "at_least": counted and counted.at_least,
        "since": each.since and each.since.isoformat(),
        "message": message and message.msg_id,
        "why": _why(each) if each.state is ProgressState.UNCOUNTABLE else None,
    }
