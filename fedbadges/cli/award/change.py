"""A change of who holds a badge, as ``fedbadges award`` and ``fedbadges revoke`` make it."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

import click

from fedbadges.cli.award.audit_log import log_operation, operator
from fedbadges.cli.errors import FOUND, GOOD, CannotRun
from fedbadges.cli.options import format_option

if TYPE_CHECKING:
    from fedbadges.cli.deployment import Deployment
    from fedbadges.messages import Notice
    from fedbadges.tahrir.database import Tahrir

#: What is printed on Ctrl-C.
STOPPED = "Stopped; nothing was changed except what is printed above"

#: The text for an outcome, and for the same of a dry run; with the user and the badge.
_TEXTS = {
    "awarded": ("%s now has %s", "%s would get %s"),
    "revoked": ("%s no longer has %s", "%s would lose %s"),
    "held": ("%s already has %s",) * 2,
    "opted-out": ("%s has opted out, so %s is not awarded",) * 2,
    "not-held": ("%s does not have %s",) * 2,
}


def change_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the arguments and options that both commands have."""
    parameters = (
        click.argument("user"),
        click.argument("badge"),
        click.option("--reason", required=True, metavar="TEXT", help="Why; for the log."),
        click.option("--dry-run", is_flag=True, help="Print what would happen only."),
        format_option(),
    )
    return functools.reduce(lambda made, each: each(made), reversed(parameters), command)


@dataclass(frozen=True)
class Change:
    """Who is to get or lose which badge, and why."""

    user: str
    badge: str
    reason: str
    dry_run: bool
    deployment: Deployment

    @cached_property
    def tahrir(self) -> Tahrir:
        """Return the tahrir of the deployment."""
        from fedbadges.tahrir.database import Tahrir

        return Tahrir(self.deployment.settings)

    def log(self, event: str) -> None:
        """Record that the change was made."""
        log_operation(
            event, badge=self.badge, user=self.user, operator=operator(), reason=self.reason
        )

    def adjust_ranks(self, person_id: int) -> tuple[Notice, ...]:
        """Adjust all ranks; the change stays if that fails."""
        from sqlalchemy.exc import SQLAlchemyError

        from fedbadges.errors import Unavailable
        from fedbadges.util.text import describe_error

        try:
            return self.tahrir.adjust_ranks([person_id])
        except (Unavailable, SQLAlchemyError) as error:
            reason = describe_error(error)
            click.echo(f"The ranks will be adjusted with the next award: {reason}", err=True)
            return ()

    def report(self, outcome: str, form: str, on_bus: bool = False) -> NoReturn:
        """Print what was done, and exit."""
        from fedbadges.util.text import printable

        result = {
            "user": self.user,
            "badge": self.badge,
            "outcome": outcome,
            "reason": printable(self.reason),
            "dry_run": self.dry_run,
            "on_bus": on_bus,
        }
        text = _TEXTS[outcome][self.dry_run] % (self.user, self.badge)
        click.echo(json.dumps(result, indent=2) if form == "json" else text)
        raise SystemExit(GOOD if outcome in ("awarded", "revoked") else FOUND)


def make_change(
    user: str, badge: str, reason: str, dry_run: bool, deployment: Deployment
) -> Change:
    """Return a change; raise CannotRun if nobody can have the name, or the reason is empty."""
    from fedbadges.rules.recipients import account
    from fedbadges.util.text import quoted

    found = account(user)
    wrong = []
    if found.name is None:
        wrong.append(f"{quoted(user)} is not an account name: it {found.dropped}")
    if not reason.strip():
        wrong.append("--reason is empty; give one, for the log")
    if wrong:
        raise CannotRun(*wrong)
    return Change(found.name or "", badge, reason.strip(), dry_run, deployment)


def unknown_badge(badge: str, known: Iterable[str], others: str = "") -> CannotRun:
    """Return the error for a badge that does not exist, with the most similar that does."""
    from tahrir_api.utils import convert_name_to_id

    from fedbadges.util.text import quoted

    # It may be the name of a badge rather than its id.
    near = difflib.get_close_matches(convert_name_to_id(badge[:200]), list(known), n=1)
    hint = f"; did you mean {quoted(near[0])}?" if near else ""
    return CannotRun(f"tahrir has no badge {quoted(badge)}{others}{hint}")
