"""``fedbadges award``: give a badge to somebody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from fedbadges.cli.change import Change, unknown_badge, with_change
from fedbadges.cli.deployment import HISTORY
from fedbadges.cli.errors import CannotRun

if TYPE_CHECKING:
    from fedbadges.buses.fedmsg.publisher import Publisher
    from fedbadges.rules.rule import Badge

_EPILOG = """\b
Examples:
  fedbadges award alice speaker --reason "spoke at the conference"
  fedbadges award alice speaker --reason "spoke at the conference" \\
    --link https://conference.example.org/talks/7
  fedbadges award alice speaker --reason "see the list" --dry-run

\b
Exit codes: 0 if alice has it now, 1 if there was nothing to do, since she has
it already or has opted out, 2 if the command cannot run.
"""


@click.command(epilog=_EPILOG)
@with_change(HISTORY)
@click.option("--link", metavar="URL", help="The page that the award links to.")
@click.option("--no-publish", is_flag=True, help="Publish nothing on the bus.")
def award(change: Change, link: str | None, no_publish: bool) -> None:
    """Award the badge with the id BADGE to USER, as the daemon would.

    The award is published as the daemon publishes it, and the ranks are adjusted. A badge that
    tahrir does not have yet is created from its rule. Users who hold the badge, or have opted out,
    get nothing.
    """
    new_badge = _check_awardable(change, link)
    outcome, on_bus = _refusal(change) or "awarded", False
    if outcome == "awarded" and not change.dry_run:
        with change.deployment.publishing(silent=no_publish) as publisher:
            outcome, on_bus = _award(change, link, new_badge, publisher)
    change.report(outcome, on_bus)


def _check_awardable(change: Change, link: str | None) -> Badge | None:
    """Return the badge if tahrir lacks it; raise CannotRun if the user can never get it."""
    from fedbadges.accounts.service import make_accounts
    from fedbadges.messages import fits_databases
    from fedbadges.tahrir.awarding import MAX_LINK

    settings = change.deployment.settings
    if link is not None and not (fits_databases(link) and len(link) <= MAX_LINK):
        raise CannotRun(f"--link is text of 1 to {MAX_LINK} characters")
    if change.user in settings.banned_usernames:
        raise CannotRun(f"'{change.user}' is among 'badges.banned_usernames'")
    known = change.tahrir.badges()
    new_badge = None if change.badge in known else _badge_of_rule(change, known)
    if not known.get(change.badge, True):
        raise CannotRun(f"'{change.badge}' is a legacy badge in tahrir, which cannot be awarded")
    if not make_accounts(settings).exists(change.user):
        raise CannotRun(f"there is no account '{change.user}'")
    return new_badge


def _badge_of_rule(change: Change, known: Iterable[str]) -> Badge:
    from fedbadges.criteria.backends import load_backends

    backends = load_backends(change.deployment.settings)
    rules = {rule.badge.id: rule.badge for rule in change.deployment.rules(backends)}
    if change.badge not in rules:
        raise unknown_badge(change.badge, {*known, *rules}, " and no rule gives it")
    return rules[change.badge]


def _refusal(change: Change) -> str | None:
    """Return the outcome for a user who gets nothing; None if they can get the badge."""
    holdings = change.tahrir.holdings([change.user], [change.badge])
    if change.user in holdings.opted_out:
        return "opted-out"
    return "held" if holdings.held else None


def _award(
    change: Change, link: str | None, new_badge: Badge | None, publisher: Publisher | None
) -> tuple[str, bool]:
    """Award the badge; return the outcome, and True if it was published."""
    from fedbadges.tahrir.awarding import Award

    if new_badge is not None:
        refused = change.tahrir.publish_badges([new_badge]).refused
        if refused:
            raise CannotRun(f"{new_badge.id}: {refused[new_badge.id]}")
    result = change.tahrir.award([Award(change.badge, change.user, link)])
    for _, error in result.refused:
        raise error
    if not result.given:  # another process was faster
        return _refusal(change) or "held", False
    (given,) = result.given
    change.log("Awarded badge")
    notices = (given.notice, *change.adjust_ranks(given.person_id))
    if publisher is None:
        return "awarded", False
    for notice in notices:
        publisher.publish(notice)
    return "awarded", publisher.finish()
