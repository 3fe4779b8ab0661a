"""The result of a backfill as text and as JSON."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import click
from rich.text import Text

from fedbadges.cli.terminal.console import make_table, print_lines
from fedbadges.replay.backfill import BackfillResult, DueAward
from fedbadges.util.text import pluralize, printable


def summary(outcome: BackfillResult) -> str:
    """Return the result in one line."""
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
    """Print a table of the awards; refused ones go to standard error."""
    for due, why in outcome.refused:
        award = due.award
        line = f"{award.badge_id} for {award.username} was refused: {why}"
        click.echo(printable(line), err=True)
    if not outcome.dues:
        return
    table = make_table("Badge", "User", "Earned (UTC)", "Because of")
    for due in outcome.dues:
        because = due.topic if due.msg_id is None else f"{due.topic} {due.msg_id}"
        award = due.award
        table.add_row(
            Text(award.badge_id, "cyan"),
            Text(award.username, "bold"),
            f"{award.issued_on:%Y-%m-%d %H:%M:%S}",
            Text(printable(because), "dim"),
        )
    print_lines(table)


def as_json(outcome: BackfillResult) -> None:
    """Print the result as one object."""
    whole = {
        "awarded": outcome.awarding,
        "complete": outcome.complete and outcome.error is None,
        "awards": [_object(due) for due in outcome.dues],
        "refused": [_object(due) | {"reason": why} for due, why in outcome.refused],
    }
    click.echo(json.dumps(whole, indent=2))


#: What prints the result, by the value of ``--format``.
FORMATS: Mapping[str, Callable[[BackfillResult], None]] = {"text": as_text, "json": as_json}


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
