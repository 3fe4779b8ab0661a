"""``fedbadges topics``: which topics the history has, and what their messages have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.deployment import RULES, TAHRIR, Deployment, with_deployment
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD
from fedbadges.cli.terminal import (
    advancing,
    format_option,
    make_table,
    make_text,
    print_json,
    print_lines,
)
from fedbadges.util.text import pluralize, quoted

if TYPE_CHECKING:
    from datetime import datetime

    from rich.table import Table

    from fedbadges.cli.topics.fields import Field
    from fedbadges.config.settings import Settings
    from fedbadges.history.topic_counts import TopicCount, TopicCounter

#: How many of the latest messages are looked at, and how many bytes of JSON they may have.
_LATEST, _MOST_BYTES = 200, 32 * 1024 * 1024

#: How many users of these messages are shown.
_MOST_USERS = 10

_EPILOG = """\b
Examples:
  fedbadges topics
  fedbadges topics git.receive
  fedbadges topics --exact --timeout 600
  fedbadges topics --format json --history-url postgresql://localhost/datanommer

\b
The exit code is 0, 1 if there is no such topic or not all was found in time,
and 2 if the command cannot run.
"""


@click.command(epilog=_EPILOG)
@click.argument("topic", required=False)
@click.option("--exact", is_flag=True, help="Count every message, however many there are.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Ask PostgreSQL no longer than this, and for no answer longer than five seconds; "
    "0 is without limit.",
)
@format_option()
@with_deployment(RULES, TAHRIR)
def topics(
    deployment: Deployment, topic: str | None, exact: bool, timeout: float, form: str
) -> None:
    """Show which topics the history has, how many messages, since and until when.

    With TOPIC, a topic or the end of one as in a trigger, also the fields of its latest messages,
    as templates name them. Fields that name users of their message are marked. Of more than 10,000
    messages of a topic, the number is what PostgreSQL estimates.
    """
    from fedbadges.history.topic_counts import TopicCounter
    from fedbadges.history.topics import TopicHistory

    settings = deployment.settings
    names = TopicHistory(settings.history_url).names
    if topic is not None:
        names = _matching(topic, names)
    counter = TopicCounter(settings.history_url, timeout or None, exact=exact)
    found: list[TopicCount] = []
    with suppress(KeyboardInterrupt), advancing(names, "Counting") as each:
        found.extend(map(counter.count, each))
    fields, users = ([], set()) if topic is None else _fields(found, counter, settings)
    if form == "json":
        data: dict[str, Any] = {"topics": [_data(each) for each in found]}
        if topic is not None:
            data |= {"fields": [asdict(each) for each in fields], "users": sorted(users)}
        print_json(data)
    else:
        print_lines(_table(found))
        _print_fields(fields, users)
    raise SystemExit(_exit_code(found, len(names), exact))


def _exit_code(found: Sequence[TopicCount], wanted: int, exact: bool) -> int:
    """Return the exit code, and say on standard error what was not found."""
    if len(found) < wanted:
        click.echo("Stopped before all topics were counted", err=True)
        return FOUND if found else CANNOT_RUN
    late = sum(each.last is None or each.exact < exact for each in found)
    if late:
        click.echo(
            f"Of {pluralize(late, 'topic')} not all was found in time; --timeout allows more, and "
            "the indexes of docs/performance.rst make it quick",
            err=True,
        )
    return FOUND if late else GOOD


def _matching(topic: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return the topics that end with this one; exit with 1 if there is none."""
    from fedbadges.util.paths import nearest_path

    end = f".{topic.removeprefix('.')}"
    found = tuple(name for name in names if f".{name}".endswith(end))
    if found:
        return found
    parts = end.count(".")
    ends = frozenset(".".join(name.split(".")[-parts:]) for name in names)
    near = nearest_path(end[1:], ends)
    hint = f"; did you mean {quoted(near)}?" if near else ""
    click.echo(f"datanommer has no message of the topic {quoted(topic)}{hint}", err=True)
    raise SystemExit(FOUND)


def _fields(
    found: Sequence[TopicCount], counter: TopicCounter, settings: Settings
) -> tuple[list[Field], Set[str]]:
    """Return the fields of the latest messages of these topics, and the messages' users."""
    from fedbadges.cli.topics.fields import fields_of
    from fedbadges.history.message_reader import MessageReader

    reader = MessageReader(settings)
    numbers = [each for one in found for each in counter.latest(one.topic, _LATEST) or ()]
    chosen: list[int] = []
    size = 0
    for header in reversed(reader.headers(numbers)):
        size += header.size
        if len(chosen) < _LATEST and size <= _MOST_BYTES:
            chosen.append(header.number)
    messages = reader.messages(chosen)
    users = {name for each in messages for name in each.users}
    return fields_of((each.body, each.users) for each in messages), users


def _table(found: Sequence[TopicCount]) -> Table:
    table = make_table("Topic", "Messages", "Since", "Until")
    table.columns[1].justify = "right"
    for each in found:
        table.add_row(make_text(each.topic), _number(each), _day(each.first), _day(each.last))
    return table


def _number(count: TopicCount) -> str:
    if count.count is None:
        return "?"
    return f"{'' if count.exact else 'about '}{count.count:,}"


def _day(moment: datetime | None) -> str:
    return "?" if moment is None else f"{moment:%Y-%m-%d}"


def _print_fields(fields: Sequence[Field], users: Set[str]) -> None:
    if not fields:
        return
    seen = next(each.count for each in fields if each.path == "msg")
    table = make_table("Field", "In", "Type", "Examples")
    for each in fields:
        if each.path == "msg":
            continue
        share = "all" if each.count == seen else f"{each.count} of {seen}"
        naming = [(", names users", "green")] if each.naming else []
        table.add_row(
            make_text((each.path, "bold")),
            share,
            make_text(" or ".join(each.types), *naming),
            make_text(", ".join(each.examples)),
        )
    print_lines("", f"The latest {pluralize(seen, 'message')} have", "", table)
    if users:
        some = sorted(users)[:_MOST_USERS]
        more = f" and {len(users) - len(some)} more" if len(users) > len(some) else ""
        print_lines("", make_text(f"Their users: {', '.join(some)}{more}"))


def _data(count: TopicCount) -> Mapping[str, Any]:
    return {
        "topic": count.topic,
        "messages": count.count,
        "exact": count.exact,
        "since": count.first and f"{count.first.isoformat()}Z",
        "until": count.last and f"{count.last.isoformat()}Z",
    }
