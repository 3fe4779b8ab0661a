"""What ``fedbadges backfill`` prints of its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.terminal import make_table, make_text, print_lines
from fedbadges.util.text import pluralize, printable

if TYPE_CHECKING:
    from fedbadges.replay.backfill import BackfillResult, DueAward


def summary(result: BackfillResult) -> str:
    """Return in one line what was awarded, or would be."""
    badges = pluralize(len(result.dues), "badge")
    people = pluralize(len({due.award.username for due in result.dues}), "person", "people")
    of_groups = any(due.group is not None for due in result.dues)
    text = f"{badges} {'awarded' if result.awarding else 'to award'} to {people}"
    if result.dues and not result.awarding:
        text += "; without --dry-run they are" if of_groups else "; --award awards them"
    if result.refused:
        text += f"; tahrir refused {len(result.refused)}"
    if result.unpublished:
        text += f"; {result.unpublished} not published on the bus"
    if result.left:
        text += f"; {pluralize(result.left, 'notice')} left to the daemon to publish"
    if result.complete:
        return text
    return f"Stopped before the end{'' if of_groups else ' of the history'}: {text}"


def print_result(result: BackfillResult) -> None:
    """Print a table of the awards; what is wrong goes to standard error."""
    for line in result.missing:
        click.echo(line, err=True)
    for due, why in result.refused:
        line = f"{due.award.badge_id} for {due.award.username} was refused: {why}"
        click.echo(printable(line), err=True)
    if not result.dues:
        return
    table = make_table("Badge", "User", "Earned (UTC)", "Because of")
    for due in result.dues:
        table.add_row(
            make_text((due.award.badge_id, "cyan")),
            make_text((due.award.username, "bold")),
            f"{due.award.issued_on:%Y-%m-%d %H:%M:%S}",
            make_text((_reason(due), "dim")),
        )
    print_lines(table)


def _reason(due: DueAward) -> str:
    """Return the message that earned a badge, or the group for which it is."""
    if due.group is not None:
        return f"{due.group.memberships} of {due.group.group}"
    return due.topic if due.msg_id is None else f"{due.topic} {due.msg_id}"


def result_data(result: BackfillResult) -> dict[str, Any]:
    """Return the same for JSON."""
    return {
        "awarded": result.awarding,
        "complete": result.complete and result.error is None,
        "awards": [_award_data(due) for due in result.dues],
        "refused": [_award_data(due) | {"reason": why} for due, why in result.refused],
    }


def _award_data(due: DueAward) -> dict[str, Any]:
    award = due.award
    data: dict[str, Any] = {
        "badge": award.badge_id,
        "user": award.username,
        "earned": f"{award.issued_on.isoformat()}Z",
    }
    if due.group is not None:
        return data | {"group": due.group.group, "memberships": due.group.memberships}
    return data | {"topic": due.topic, "msg_id": due.msg_id, "link": award.link}
