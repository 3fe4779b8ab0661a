"""``fedbadges revoke``: take a badge away from somebody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from fedbadges.cli.change import (
    STOPPED,
    adjust_ranks,
    log_change,
    operator,
    report,
    unknown_badge,
    unknown_person,
)
from fedbadges.cli.completion import complete_badge
from fedbadges.cli.deployment import HISTORY, RULES, Deployment, with_deployment
from fedbadges.cli.errors import CannotRun, reporting_errors
from fedbadges.cli.revocations import NO_TABLE
from fedbadges.cli.terminal import deferring_interrupts, format_option
from fedbadges.util.text import describe_error, printable, quoted

if TYPE_CHECKING:
    from fedbadges.config.settings import Settings
    from fedbadges.outbox.outbox import Outbox
    from fedbadges.tahrir.database import Tahrir
    from fedbadges.tahrir.revoking import RevokeRequest

_EPILOG = """\b
Examples:
  fedbadges revoke alice gardener-i --reason "the rule counted merges"
  fedbadges revoke alice gardener-i --reason "see the list" --dry-run
  fedbadges revoke alice gardener-i --reason "pushed by a script" --for-good

\b
Exit codes: 0 if it is gone, with --for-good also if alice did not hold it;
1 if alice does not hold it; 2 if the command cannot run.
"""

#: Seconds to wait until the notice is published.
_PUBLISH_TIMEOUT = 60.0

_BY_TIME = "What counts is only when messages were sent, by the clocks of their senders"
_MAY_EARN = "A later message that earns it gives it again; --for-good prevents that"


@click.command(epilog=_EPILOG)
@click.argument("user")
@click.argument("badge", shell_complete=complete_badge)
@click.option("--reason", required=True, metavar="TEXT", help="Why; for the log and the notice.")
@click.option(
    "--for-good", is_flag=True, help="Let no message give it again, only 'fedbadges award'."
)
@click.option("--create", is_flag=True, help="With --for-good, create a person unknown to tahrir.")
@click.option("--dry-run", is_flag=True, help="Print what would happen only.")
@click.option("--no-publish", is_flag=True, help="Publish nothing on the bus.")
@format_option()
@with_deployment(HISTORY, RULES)
def revoke(
    deployment: Deployment,
    user: str,
    badge: str,
    reason: str,
    for_good: bool,
    create: bool,
    dry_run: bool,
    no_publish: bool,
    form: str,
) -> None:
    """Revoke the badge with the id BADGE from USER, publish that, and adjust the ranks.

    No message that is stored by now, or sent until a minute from now, gives it again. Beware: if a
    rule still awards it, USER gets the badge again with the next message that triggers the rule.
    With --for-good no message does, even if USER does not hold the badge now.
    """
    from fedbadges.tahrir.awarding import ByHand
    from fedbadges.tahrir.database import Tahrir
    from fedbadges.tahrir.own_tables import REVOCATIONS
    from fedbadges.tahrir.revoking import RevokeRequest

    if create and not for_good:
        raise click.UsageError("--create goes with --for-good")
    with reporting_errors(STOPPED):
        user, reason = _check(user, reason)
        tahrir = Tahrir(deployment.settings, announce=not no_publish)
        recorded = tahrir.own_tables.has(REVOCATIONS)
        by_hand = ByHand(operator(), printable(reason))
        wanted = RevokeRequest(badge, user, by_hand, for_good, create)
        outcome = _outcome(tahrir, wanted, recorded)
        on_bus = False
        if not dry_run and outcome != "not-held":
            # There is no notice for a badge that nobody lost.
            silent = no_publish or outcome != "revoked"
            # It is taken away also where nothing can be published.
            with deployment.publishing(tahrir, silent=silent, optional=True) as outbox:
                if recorded and not for_good:
                    wanted = replace(wanted, last_number=_last_number(deployment.settings))
                outcome, on_bus = _revoke(tahrir, wanted, outbox)
        if outcome == "revoked" and not for_good:
            click.echo(_MAY_EARN if recorded else f"It may come back: {NO_TABLE}", err=True)
        report(
            outcome,
            form,
            user=user,
            badge=badge,
            reason=reason,
            dry_run=dry_run,
            on_bus=on_bus,
            for_good=for_good,
        )


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


def _outcome(tahrir: Tahrir, wanted: RevokeRequest, recorded: bool) -> str:
    """Return what is to come of it; raise CannotRun if it cannot be done."""
    user, badge = wanted.username, wanted.badge_id
    known = tahrir.badges()
    if badge not in known:
        raise CannotRun(unknown_badge(badge, known))
    if wanted.for_good and not recorded:
        raise CannotRun(f"--for-good cannot be recorded: {NO_TABLE}")
    if tahrir.holdings([user], [badge]).held:
        return "revoked"
    if not wanted.for_good:
        return "not-held"
    unknown = {} if wanted.create else tahrir.unknown([user])
    if user in unknown:
        raise CannotRun(unknown_person(user, unknown[user]))
    return "barred"


def _last_number(settings: Settings) -> int | None:
    """Return datanommer's highest row number; if it does not answer, print that and return None."""
    from sqlalchemy.exc import SQLAlchemyError

    from fedbadges.errors import Unavailable
    from fedbadges.history.message_reader import MessageReader

    try:
        last = MessageReader(settings).last()
    except (Unavailable, SQLAlchemyError) as error:
        reason = str(error) if isinstance(error, Unavailable) else describe_error(error)
        click.echo(f"{_BY_TIME}: {reason}", err=True)
        return None
    return 0 if last is None else last.number


def _revoke(tahrir: Tahrir, wanted: RevokeRequest, outbox: Outbox | None) -> tuple[str, bool]:
    """Revoke the badge; return what came of it, and whether that was published."""
    with deferring_interrupts():
        result = tahrir.revoke(wanted)
        if result.notice is None and not wanted.for_good:  # another process was faster
            return "not-held", False
        log_change(
            "Revoked badge for good" if wanted.for_good else "Revoked badge",
            user=wanted.username,
            badge=wanted.badge_id,
            reason=wanted.by_hand.reason,
        )
        if result.notice is None:
            return "barred", False
        if result.person_id is not None:
            adjust_ranks(tahrir, [])  # nobody advances, so that is not announced
        if outbox is None:
            return "revoked", False
        outbox.publish(result.notice)
        return "revoked", outbox.finish(_PUBLISH_TIMEOUT)
