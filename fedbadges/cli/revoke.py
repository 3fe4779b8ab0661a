"""``fedbadges revoke``: take a badge away from somebody."""

from __future__ import annotations

import click

from fedbadges.cli.change import STOPPED, adjust_ranks, log_change, report, unknown_badge
from fedbadges.cli.deployment import HISTORY, RULES, Deployment, with_deployment
from fedbadges.cli.errors import CannotRun, reporting_errors
from fedbadges.cli.terminal import format_option
from fedbadges.util.text import quoted

_EPILOG = """\b
Examples:
  fedbadges revoke alice gardener-i --reason "the rule counted merges"
  fedbadges revoke alice gardener-i --reason "see the list" --dry-run

\b
Exit codes: 0 if it is gone, 1 if alice does not hold it, 2 if the command
cannot run.
"""


@click.command(epilog=_EPILOG)
@click.argument("user")
@click.argument("badge")
@click.option("--reason", required=True, metavar="TEXT", help="Why; for the log.")
@click.option("--dry-run", is_flag=True, help="Print what would happen only.")
@format_option()
@with_deployment(HISTORY, RULES)
def revoke(
    deployment: Deployment, user: str, badge: str, reason: str, dry_run: bool, form: str
) -> None:
    """Revoke the badge with the id BADGE from USER, and adjust the ranks.

    Nothing is published on the bus. Beware: if a rule still awards it, USER gets the badge again
    with the next message that triggers the rule.
    """
    with reporting_errors(STOPPED):
        user, reason = _check(user, reason)
        revoked = _revoke(deployment, user, badge, reason, dry_run)
        outcome = "revoked" if revoked else "not-held"
        report(outcome, form, user=user, badge=badge, reason=reason, dry_run=dry_run, on_bus=False)


def _check(user: str, reason: str) -> tuple[str, str]:
    """Return the account name and the reason; raise CannotRun if they are none."""
    from fedbadges.rules.recipients import account

    found = account(user)
    wrong = []
    if found.name is None:
        wrong.append(f"{quoted(user)} is not an account name: it {found.dropped}")
    if not reason.strip():
        wrong.append("--reason is empty; give one, for the log")
    if wrong:
        raise CannotRun(*wrong)
    return found.name or "", reason.strip()


def _revoke(deployment: Deployment, user: str, badge: str, reason: str, dry_run: bool) -> bool:
    from fedbadges.tahrir.database import Tahrir

    tahrir = Tahrir(deployment.settings)
    known = tahrir.badges()
    if badge not in known:
        raise CannotRun(unknown_badge(badge, known))
    if dry_run:
        return bool(tahrir.holdings([user], [badge]).held)
    person_id = tahrir.revoke(badge, user)
    if person_id is None:
        return False
    log_change("Revoked badge", user=user, badge=badge, reason=reason)
    adjust_ranks(tahrir, [person_id])
    return True
