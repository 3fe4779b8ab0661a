"""``fedbadges list``: the rules in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.deployment import HISTORY, TAHRIR, Deployment, with_deployment
from fedbadges.cli.errors import GOOD
from fedbadges.cli.terminal import (
    format_option,
    make_table,
    make_text,
    print_json,
    print_lines,
)

if TYPE_CHECKING:
    from fedbadges.rules.rule import Rule
    from fedbadges.tahrir.holders import Holders

_EPILOG = """\b
Examples:
  fedbadges list
  fedbadges list --rules rules/git
  fedbadges list --format json | jq '.[] | select(.holders == 0).badge'

\b
The exit code is 0, or 2 if the command cannot run.
"""


@click.command("list", epilog=_EPILOG)
@format_option()
@with_deployment(HISTORY, TAHRIR)
def list_rules(deployment: Deployment, form: str) -> None:
    """List the rules in force: badge, topics, criteria, series, tags and how many hold it.

    Mistakes in other rules go to standard error. Without a tahrir, it is not known who holds what.
    """
    from fedbadges.criteria.backends import load_backends
    from fedbadges.tahrir.database import Tahrir
    from fedbadges.tahrir.holders import Holders

    settings = deployment.settings
    rules = sorted(deployment.rules(load_backends(settings)), key=lambda rule: rule.badge.id)
    holders: dict[str, Holders] | None = None
    if settings.tahrir_url.database:
        ids = [rule.badge.id for rule in rules]
        holders = dict.fromkeys(ids, Holders()) | Tahrir(settings).holders(ids)
    if form == "json":
        print_json([_data(rule, holders) for rule in rules])
    else:
        _print(rules, holders)
    raise SystemExit(GOOD)


def _print(rules: list[Rule], holders: dict[str, Holders] | None) -> None:
    from fedbadges.cli.rules.words import one_line, topics_of

    table = make_table("Badge", "Holders", "Series", "Tags", "Topics", "Criteria")
    table.columns[1].justify = "right"
    for rule in rules:
        table.add_row(
            make_text((rule.badge.id, "cyan")),
            "?" if holders is None else f"{holders[rule.badge.id].number:,}",
            make_text(rule.series or ""),
            make_text((", ".join(rule.badge.tags or ()), "dim")),
            make_text(", ".join(topics_of(rule)) or ("any" if rule.has_trigger else "none")),
            make_text(one_line(rule.criteria)),
        )
    print_lines(table)


def _data(rule: Rule, holders: dict[str, Holders] | None) -> dict[str, Any]:
    from fedbadges.cli.rules.words import one_line, topics_of

    return {
        "badge": rule.badge.id,
        "name": rule.badge.name,
        "path": rule.place.path,
        "topics": topics_of(rule),
        "criteria": one_line(rule.criteria),
        "series": rule.series,
        "tags": list(rule.badge.tags or ()),
        "holders": None if holders is None else holders[rule.badge.id].number,
    }
