"""What a backfill found or gave, as text and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import click

from fedbadges.cli.terminal.columns import padded, width_of
from fedbadges.replay.backfill import BackfillResult, DueAward
from fedbadges.util.text import pluralize, printable

_HEADINGS = ("Badge", "User", "Earned (UTC)", "Because of")


def summary(outcome: BackfillResult) -> str:
    """Say it all in one line."""
    badges = pluralize(len(outcome.dues), "badge")
    people = pluralize(len({due.award.username for due in outcome.dues}), "person", "people")
    if outcome.awarding:
        text = f"{badges} given to {people}"
    else:
        text = f"{badges} would be given to {people}"
        text += "; --award gives them" if outcome.dues else ""
    if outcome.refused:
        text += f"; tahrir refused {len(outcome.refused)}"
    if outcome.unpublished:
        text += f"; the bus was not told of {outcome.unpublished}"
    return text if outcome.complete else f"Stopped: {text}, and not all was looked at"


def as_text(outcome: BackfillResult) -> None:
    """Print a table of what somebody gets; what was refused goes to standard error."""
    for due, why in outcome.refused:
        award = due.award
        line = f"{award.badge_id} for {award.username} was refused: {why}"
        click.echo(printable(line), err=True)
    if not outcome.dues:
        return
    rows = [_row(due) for due in outcome.dues]
    if sys.stdout.isatty():
        _print_table(rows)
        return
    widths = [max(map(width_of, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    for row in (_HEADINGS, *rows):
        cells = (padded(text, width) for text, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def as_json(outcome: BackfillResult) -> None:
    """Print one object with all that is known."""
    whole = {
        "awarded": outcome.awarding,
        "complete": outcome.complete and outcome.error is None,
        "awards": [_object(due) for due in outcome.dues],
        "refused": [_object(due) | {"reason": why} for due, why in outcome.refused],
    }
    click.echo(json.dumps(whole, indent=2))


#: How an outcome is shown, by what ``--format`` says.
FORMATS: Mapping[str, Callable[[BackfillResult], None]] = {"text": as_text, "json": as_json}


def _row(due: DueAward) -> tuple[str, ...]:
    because = due.topic if due.msg_id is None else f"{due.topic} {due.msg_id}"
    award = due.award
    earned = f"{award.issued_on:%Y-%m-%d %H:%M:%S}"
    return award.badge_id, award.username, earned, printable(because)


def _object(due: DueAward) -> dict[str, Any]:
    award = due.award
    return {
        "badge": award.badge_id,
        "user": award.username,
        "earned": f"{award.issued_on.isoformat()}Z",
        "topic": due.topic,
        "msg_id": due.msg_id,
        "link": award.link,
    }


def _print_table(rows: Iterable[tuple[str, ...]]) -> None:
    # Not at the top: it is slow, and for people only.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*_HEADINGS, box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for badge, user, earned, because in rows:
        table.add_row(Text(badge, "cyan"), Text(user, "bold"), Text(earned), Text(because, "dim"))
    Console(emoji=False, markup=False).print(table)
