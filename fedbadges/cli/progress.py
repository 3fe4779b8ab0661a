"""``fedbadges progress``: how far somebody is with every badge."""

from __future__ import annotations

import logging
from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.deployment import Deployment, with_deployment
from fedbadges.cli.errors import FOUND, GOOD, CannotRun
from fedbadges.cli.revocations import revocation_data
from fedbadges.cli.terminal import (
    advancing,
    format_option,
    make_table,
    make_text,
    print_json,
    print_lines,
)

if TYPE_CHECKING:
    from fedbadges.engine.progress import Progress

_EPILOG = """\b
Examples:
  fedbadges progress alice
  fedbadges progress --format json alice
  fedbadges progress --rules rules/git alice

\b
The exit code is 0, 1 if nobody knows USER, and 2 if the result is incomplete.
"""


@click.command(epilog=_EPILOG)
@click.argument("user")
@format_option()
@with_deployment()
def progress(deployment: Deployment, user: str, form: str) -> None:
    """Show how far USER is with every badge.

    Those that are closest to completion come first, those that USER holds last; the badges of a
    series that one file gives stay together. The daemon's own rules decide, as if USER's latest
    messages in datanommer came again now. Nothing is awarded, published or written.
    """
    from fedbadges.criteria.backends import load_backends
    from fedbadges.engine.explanation import Explainer, without_count_cache
    from fedbadges.engine.progress import ProgressSearch
    from fedbadges.messages import fits_databases

    if not fits_databases(user):
        raise CannotRun(f"{user!r} is not a possible account name")
    # Errors of a rule are shown in the line of its badge.
    logging.getLogger("fedbadges.engine.engine").setLevel(logging.ERROR)
    settings = without_count_cache(deployment.settings)
    explainer = Explainer(settings, deployment.rules(load_backends(settings)))
    search = ProgressSearch(settings, explainer, user)
    complete = False
    with suppress(KeyboardInterrupt), advancing(search.batches, "Reading messages") as batches:
        for batch in batches:
            search.read(batch)
        search.judge()
        complete = True
    found = search.progress()
    if not search.concerns_somebody:
        click.echo(f"neither datanommer nor tahrir knows {user!r}", err=True)
    if form == "json":
        data = {"user": user, "opted_out": search.opted_out, "complete": complete}
        print_json(data | {"badges": [_data(each) for each in found]})
    else:
        table = make_table()
        for series, members in groupby(found, lambda each: each.series):
            if series is not None:
                table.add_row(make_text((series, "bold")))
            for each in members:
                badge_id = each.rule.badge.id if series is None else f"  {each.rule.badge.id}"
                table.add_row(badge_id, make_text(_describe(each)))
        print_lines(table)
    if search.interrupted:
        raise CannotRun(search.interrupted)
    if not complete:
        raise CannotRun("Stopped before all messages were read")
    raise SystemExit(GOOD if search.concerns_somebody else FOUND)


def _describe(each: Progress) -> tuple[str, str]:
    """Return the progress in words, and their style."""
    from fedbadges.engine.progress import ProgressState

    since = "" if each.since is None else f" since {each.since:%Y-%m-%d}"
    counted = "" if each.counted is None else f"{each.counted}"
    backfill = f"fedbadges backfill {each.rule.badge.id}"
    return {
        ProgressState.EARNED: (f"earned: run {backfill!r}", "bold green"),
        ProgressState.COUNTED: (counted, "yellow"),
        ProgressState.UNCOUNTABLE: (f"not countable: {_why(each)}", "dim"),
        ProgressState.NOTHING: ("nothing yet", "dim"),
        ProgressState.OPTED_OUT: ("opted out", "dim"),
        ProgressState.REVOKED: (_revoked(each), "dim"),
        ProgressState.UNKNOWN: ("not checked", "red"),
        ProgressState.HELD: (f"held{since}", "green"),
    }[each.state]


def _revoked(each: Progress) -> str:
    """Return how a badge was revoked, and whether it can be earned again."""
    if each.revoked is None:
        return ""
    text = f"on {each.revoked.revoked_on:%Y-%m-%d}"
    if each.revoked.for_good:
        return f"revoked for good {text}"
    return f"revoked {text}; the next message that earns it gives it again"


def _why(each: Progress) -> str:
    """Return why nothing can be counted, in a few words."""
    from fedbadges.cli.explain.checks import why_not

    if each.criteria is None:
        return ""
    return "there is no account of this name" if each.criteria.answer else why_not(each.criteria)


def _data(each: Progress) -> dict[str, Any]:
    from fedbadges.engine.progress import ProgressState

    counted, message = each.counted, each.message
    return {
        "badge": each.rule.badge.id,
        "name": each.rule.badge.name,
        "series": each.series,
        "state": each.state.value,
        "count": counted and counted.value,
        "needed": counted and counted.needed,
        "at_least": counted and counted.at_least,
        "since": each.since and each.since.isoformat(),
        "message": message and message.msg_id,
        "revoked": revocation_data(each.revoked),
        "why": _why(each) if each.state is ProgressState.UNCOUNTABLE else None,
    }
