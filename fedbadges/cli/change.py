"""A change of who holds a badge, as ``award`` and ``revoke`` make it, and its audit log."""

from __future__ import annotations

import contextlib
import difflib
import functools
import getpass
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fedbadges.cli.deployment import Deployment, with_deployment
from fedbadges.cli.errors import FOUND, GOOD, CannotRun, reporting_errors
from fedbadges.cli.terminal import format_option, print_json
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error, printable, quoted

if TYPE_CHECKING:
    from fedbadges.messages import Notice
    from fedbadges.tahrir.database import Tahrir

#: What is printed on Ctrl-C.
_STOPPED = "Stopped; nothing was changed except what is printed above"

#: The socket of the system's log: that of journald, or of a syslog daemon.
SYSTEM_LOG = Path("/dev/log")

#: The priority ``user.info`` of syslog.
_INFO = 14

#: The text for an outcome, and for the same of a dry run; with the user and the badge.
_TEXTS = {
    "awarded": ("%s now has %s", "%s would get %s"),
    "revoked": ("%s no longer has %s", "%s would lose %s"),
    "held": ("%s already has %s",) * 2,
    "opted-out": ("%s has opted out, so %s is not awarded",) * 2,
    "not-held": ("%s does not have %s",) * 2,
}


def with_change(*unneeded: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the arguments and options that both commands have to one, which gets a ``change``.

    The configuration may lack the keys that are ``unneeded``.
    """
    parameters = (
        click.argument("user"),
        click.argument("badge"),
        click.option("--reason", required=True, metavar="TEXT", help="Why; for the log."),
        click.option("--dry-run", is_flag=True, help="Print what would happen only."),
        format_option(),
        with_deployment(*unneeded),
    )

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(**options: Any) -> None:
            change = Change(**{each.name: options.pop(each.name) for each in fields(Change)})
            with reporting_errors(_STOPPED):
                command(change, **options)

        return functools.reduce(lambda made, each: each(made), reversed(parameters), call)

    return decorate


@dataclass
class Change:
    """Who is to get or lose which badge, and why.

    Raises CannotRun if nobody can have such an account name, or the reason is empty.
    """

    user: str
    badge: str
    reason: str
    dry_run: bool
    form: str
    deployment: Deployment

    def __post_init__(self) -> None:
        from fedbadges.rules.recipients import account

        found, self.reason = account(self.user), self.reason.strip()
        wrong = []
        if found.name is None:
            wrong.append(f"{quoted(self.user)} is not an account name: it {found.dropped}")
        if not self.reason:
            wrong.append("--reason is empty; give one, for the log")
        if wrong:
            raise CannotRun(*wrong)
        self.user = found.name or ""

    @cached_property
    def tahrir(self) -> Tahrir:
        """Return the tahrir of the deployment."""
        from fedbadges.tahrir.database import Tahrir

        return Tahrir(self.deployment.settings)

    def log(self, event: str) -> None:
        """Write the event to standard error and, if there is one, to the system's log."""
        try:
            name = os.environ.get("SUDO_USER") or getpass.getuser()
        except (KeyError, OSError):
            name = str(os.getuid())
        # As EventLogger writes it, but visible whatever the configuration of logging is.
        line, _ = get_logger(__name__).process(
            event, {"badge": self.badge, "user": self.user, "operator": name, "reason": self.reason}
        )
        click.echo(line, err=True)
        with (
            contextlib.suppress(OSError),  # most containers have no system log
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
        ):
            log.connect(str(SYSTEM_LOG))
            log.send(f"<{_INFO}>fedbadges: {line}".encode())

    def adjust_ranks(self, person_id: int) -> tuple[Notice, ...]:
        """Adjust all ranks; the change stays if that fails."""
        from sqlalchemy.exc import SQLAlchemyError

        from fedbadges.errors import Unavailable

        try:
            return self.tahrir.adjust_ranks([person_id])
        except (Unavailable, SQLAlchemyError) as error:
            reason = describe_error(error)
            click.echo(f"The ranks will be adjusted with the next award: {reason}", err=True)
            return ()

    def report(self, outcome: str, on_bus: bool = False) -> NoReturn:
        """Print what was done, and exit."""
        result = {
            "user": self.user,
            "badge": self.badge,
            "outcome": outcome,
            "reason": printable(self.reason),
            "dry_run": self.dry_run,
            "on_bus": on_bus,
        }
        if self.form == "json":
            print_json(result)
        else:
            click.echo(_TEXTS[outcome][self.dry_run] % (self.user, self.badge))
        raise SystemExit(GOOD if outcome in ("awarded", "revoked") else FOUND)


def unknown_badge(badge: str, known: Iterable[str], others: str = "") -> CannotRun:
    """Return the error for a badge that does not exist, with the most similar that does."""
    from tahrir_api.utils import convert_name_to_id

    # It may be the name of a badge rather than its id.
    near = difflib.get_close_matches(convert_name_to_id(badge[:200]), list(known), n=1)
    hint = f"; did you mean {quoted(near[0])}?" if near else ""
    return CannotRun(f"tahrir has no badge {quoted(badge)}{others}{hint}")
