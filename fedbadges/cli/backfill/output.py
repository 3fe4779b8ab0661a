"""The result of a backfill as text and as JSON."""

import json
from typing import Any

import click
from rich.text import Text

from fedbadges.cli.terminal.console import make_table, print_lines
from fedbadges.replay.backfill import BackfillResult, DueAward
from fedbadges.util.text import pluralize, printable


def summary(result: BackfillResult) -> str:
    """Return the result in one line."""
    badges = pluralize(len(result.dues), "badge")
    people = pluralize(len({due.award.username for due in result.dues}), "person", "people")
    text = f"{badges} {'awarded' if result.awarding else 'to award'} to {people}"
    if result.dues and not result.awarding:
        text += "; --award awards them"
    if result.refused:
        text += f"; tahrir refused {len(result.refused)}"
    if result.unpublished:
        text += f"; {result.unpublished} not published on the bus"
    return text if result.complete else f"Stopped before the end of the history: {text}"


def print_text(result: BackfillResult) -> None:
    """Print a table of the awards; refused ones go to standard error."""
    for due, why in result.refused:
        line = f"{due.award.badge_id} for {due.award.username} was refused: {why}"
        click.echo(printable(line), err=True)
    if not result.dues:
        return
    table = make_table("Badge", "User", "Earned (UTC)", "Because of")
    for due in result.dues:
        because = due.topic if due.msg_id is None else f"{due.topic} {due.msg_id}"
        table.add_row(
            Text(due.award.badge_id, "cyan"),
            Text(due.award.username, "bold"),
            f"{due.award.issued_on:%Y-%m-%d %H:%M:%S}",
            Text(printable(because), "dim"),
        )
    print_lines(table)


def print_json(result: BackfillResult) -> None:
    """Print the result as one object."""
    whole = {
        "awarded": result.awarding,
        "complete": result.complete and result.error is None,
        "awards": [_object(due) for due in result.dues],
        "refused": [_object(due) | {"reason": why} for due, why in result.refused],
    }
    click.echo(json.dumps(whole, indent=2))


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
