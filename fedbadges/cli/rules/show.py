"""``fedbadges show``: a rule in words, and who holds its badge."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.completion import complete_rule
from fedbadges.cli.deployment import HISTORY, TAHRIR, Deployment, with_deployment
from fedbadges.cli.errors import GOOD, CannotRun
from fedbadges.cli.terminal import (
    format_option,
    make_table,
    make_text,
    print_json,
    print_lines,
)
from fedbadges.util.text import pluralize

if TYPE_CHECKING:
    from fedbadges.rules.rule import Rule
    from fedbadges.tahrir.database import Tahrir
    from fedbadges.tahrir.holders import Holder, Holders

_EPILOG = """\b
Examples:
  fedbadges show scribe
  fedbadges show rules/wiki/scribe.yml
  fedbadges show --limit 100 --page 2 scribe
  fedbadges show --format json --limit 1000000 scribe

\b
The exit code is 0, or 2 if there is no such badge or the command cannot run.
"""


@click.command(epilog=_EPILOG)
@click.argument("badge", metavar="BADGE", shell_complete=complete_rule)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="NUMBER",
    help="How many of those who hold it are shown.",
)
@click.option(
    "--page",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="NUMBER",
    help="Which so many of them.",
)
@format_option()
@with_deployment(HISTORY, TAHRIR)
def show(deployment: Deployment, badge: str, limit: int, page: int, form: str) -> None:
    """Show a rule in words, where its file is, and who holds its badge, the latest first.

    BADGE is the id of a badge, which need not have a rule, or a rule file.
    """
    from fedbadges.tahrir.database import Tahrir

    settings = deployment.settings
    tahrir = Tahrir(settings) if settings.tahrir_url.database else None
    known = _known(deployment, badge)
    rules = [rule for rule in known if Path(badge).is_file() or rule.badge.id == badge]
    ids = [rule.badge.id for rule in rules] or [badge]
    described = None if rules or tahrir is None else tahrir.described(badge)
    if not rules and described is None:
        near = get_close_matches(badge, [rule.badge.id for rule in known], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise CannotRun(f"{badge!r} is neither a rule file nor the id of a badge{hint}")
    skip = limit * (page - 1)
    held = _held(tahrir, ids, limit, skip)
    if form == "json":
        shown = [_data(rule, *held.get(rule.badge.id, (None, ()))) for rule in rules]
        print_json(shown or [_held_data(badge, *held[badge])])
        raise SystemExit(GOOD)
    if described is not None:
        print_lines(
            make_text((described[0], "bold"), f"  {badge}  no rule"), make_text(described[1])
        )
        _print_holders(*held[badge], skip)
    for rule in rules:
        _print_rule(rule)
        if rule.badge.id in held:
            _print_holders(*held[rule.badge.id], skip)
    raise SystemExit(GOOD)


def _known(deployment: Deployment, badge: str) -> Iterable[Rule]:
    """Return the rules of a file, or else all rules in force."""
    from fedbadges.criteria.backends import load_backends

    backends = load_backends(deployment.settings)
    if Path(badge).is_file():
        return deployment.chosen([badge], backends)
    return deployment.rules(backends)


def _held(
    tahrir: Tahrir | None, badge_ids: Iterable[str], limit: int, skip: int
) -> dict[str, tuple[Holders, list[Holder]]]:
    """Return how many hold each badge, and some of them; nothing without a tahrir."""
    from fedbadges.tahrir.holders import Holders

    if tahrir is None:
        return {}
    counts = tahrir.holders(badge_ids)
    return {
        each: (counts.get(each, Holders()), tahrir.latest_holders(each, limit, skip))
        for each in badge_ids
    }


def _print_rule(rule: Rule) -> None:
    from fedbadges.cli.rules.words import tree_of_rule

    badge = rule.badge
    print_lines(
        make_text((badge.name, "bold"), f"  {badge.id}  {rule.place}"),
        make_text(badge.description),
    )
    facts = [f"series: {rule.series}"] if rule.series else []
    facts += [f"tags: {', '.join(badge.tags)}"] if badge.tags else []
    print_lines(*map(make_text, facts), "", *tree_of_rule(rule))


def _print_holders(count: Holders, holders: Iterable[Holder], skip: int) -> None:
    if count.first is None or count.last is None:
        print_lines("", "Nobody holds it", "")
        return
    people = pluralize(count.number, "person holds", "people hold")
    print_lines(
        "", f"{people} it, since {count.first:%Y-%m-%d}; the latest on {count.last:%Y-%m-%d}"
    )
    table = make_table()
    shown = skip
    for each in holders:
        shown += 1
        since = make_text((f"  {each.since:%Y-%m-%d %H:%M}", "dim"))
        table.add_row(since, make_text(each.username), make_text((each.link or "", "dim")))
    if shown > skip:
        print_lines(table)
    if shown < count.number:
        print_lines(f"  and {count.number - shown:,} more")
    print_lines("")


def _data(rule: Rule, count: Holders | None, holders: Iterable[Holder]) -> dict[str, Any]:
    from fedbadges.cli.rules.words import one_line, recipients_of, topics_of

    badge = rule.badge
    return {
        **_held_data(badge.id, count, holders),
        "name": badge.name,
        "description": badge.description,
        "path": rule.place.path,
        "topics": topics_of(rule),
        "trigger": one_line(rule.trigger),
        "criteria": one_line(rule.criteria),
        "recipient": recipients_of(rule),
        "series": rule.series,
        "tags": list(badge.tags or ()),
    }


def _held_data(badge_id: str, count: Holders | None, holders: Iterable[Holder]) -> dict[str, Any]:
    return {
        "badge": badge_id,
        "holders": None if count is None else count.number,
        "since": count and _moment(count.first),
        "latest": count and _moment(count.last),
        "people": [
            {"user": each.username, "since": _moment(each.since), "link": each.link}
            for each in holders
        ],
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment.isoformat()}Z"
