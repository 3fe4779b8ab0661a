"""``fedbadges progress``: how far somebody is with every badge."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.deployment import Deployment, failing_clearly, with_deployment
from fedbadges.cli.errors import CANNOT_RUN, CannotRun
from fedbadges.cli.terminal.formats import with_format
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
@with_format()
@with_deployment()
def progress(deployment: Deployment, user: str, form: str) -> None:
    """Say how far USER is with every badge.

    Those that are closest to completion come first, those that USER holds last. The daemon's own
    rules decide, for USER's latest messages in datanommer. Nothing is awarded, published or
    written.
    """
    # Not at the top: these take a while to import, and completion and --help want to be fast.
    from fedbadges.criteria.backends import load_backends
    from fedbadges.engine.explanation import Explainer, without_count_cache
    from fedbadges.engine.progress import ProgressSearch
    from fedbadges.messages import fits_databases

    if not fits_databases(user):
        raise CannotRun([f"nobody can have the name {user!r}"])
    # What a rule stumbles over shows in its own line.
    logging.getLogger("fedbadges.engine.engine").setLevel(logging.ERROR)
    with failing_clearly():
        settings = without_count_cache(deployment.settings)
        explainer = Explainer(settings, deployment.rules(load_backends(settings)))
        search = ProgressSearch(settings, explainer, user)
        complete = _work(search)
        found = search.progress()
    if not search.concerns_somebody:
        click.echo(f"datanommer and tahrir know nothing of {user!r}", err=True)
    if form == "json":
        data = {"user": user, "opted_out": search.opted_out, "complete": complete}
        click.echo(json.dumps(data | {"badges": [_data(each) for each in found]}, indent=2))
    else:
        _print(found)
    if search.interrupted:
        raise CannotRun([search.interrupted])
    if not complete:
        click.echo("Stopped: not all was looked at", err=True)
        raise SystemExit(CANNOT_RUN)


def _work(search: ProgressSearch) -> bool:
    """Look and judge; gives whether nobody stopped it."""
    try:
        with advancing(search.batches, "Looking") as batches:
            for batch in batches:
                search.read(batch)
        search.judge()
    except KeyboardInterrupt:
        return False
    return True


def _print(found: Iterable[Progress]) -> None:
    rows = [(each.rule.badge.id, *_words(each)) for each in found]
    if not sys.stdout.isatty():
        width = max((len(badge) for badge, _, _ in rows), default=0)
        for badge, text, _ in rows:
            click.echo(f"{badge:{width}}  {text}")
        return
    # Not at the top: it is slow, and for people only.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("Badge", "Progress")
    for badge, text, style in rows:
        table.add_row(Text(badge), Text(text, style=style))
    Console(highlight=False, emoji=False, markup=False).print(table)


def _words(each: Progress) -> tuple[str, str]:
    """Say how far it is, and give its colour."""
    from fedbadges.cli.explain.output import day
    from fedbadges.engine.progress import ProgressState
    from fedbadges.util.text import printable

    since = "" if each.since is None else f" since {day(each.since)}"
    counted = "" if each.counted is None else f"{each.counted}"
    text, style = {
        ProgressState.EARNED: (
            f"{counted or 'earned'}: the next such message gives it",
            "bold green",
        ),
        ProgressState.COUNTED: (counted, "yellow"),
        ProgressState.UNCOUNTABLE: (f"not countable: {_why(each)}", "dim"),
        ProgressState.NOTHING: ("nothing yet", "dim"),
        ProgressState.OPTED_OUT: ("opted out", "dim"),
        ProgressState.UNKNOWN: ("not looked at", "red"),
        ProgressState.HELD: (f"held{since}", "green"),
    }[each.state]
    return printable(text), style


def _why(each: Progress) -> str:
    """Say why there is nothing to count, in a few words."""
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
