"""What ``award`` and ``revoke`` share: who changes something, the audit log, and the result."""

from __future__ import annotations

import contextlib
import difflib
import getpass
import os
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from fedbadges.cli.errors import FOUND, GOOD
from fedbadges.cli.terminal import print_json
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error, join_quoted, printable, quoted

if TYPE_CHECKING:
    from fedbadges.messages import Notice
    from fedbadges.tahrir.database import Tahrir

#: What is printed on Ctrl-C.
STOPPED = "Stopped; nothing was changed except what is printed above"

#: How many characters of an operator's name are shown.
_MAX_OPERATOR = 64

#: The socket of the system's log: that of journald, or of a syslog daemon.
SYSTEM_LOG = Path("/dev/log")

#: The priority ``user.info`` of syslog.
_INFO = 14

#: The text for an outcome, and for the same of a dry run; with the user and the badge.
_TEXTS = {
    "awarded": ("%s now has %s", "%s would get %s"),
    "revoked": ("%s no longer has %s", "%s would lose %s"),
    "held": ("%s already has %s",) * 2,
    "repeated": ("%s is listed for %s above",) * 2,
    "opted-out": ("%s has opted out, so %s is not awarded",) * 2,
    "refused": ("%s was not awarded %s",) * 2,
    "not-reached": ("%s was not reached, so %s is not awarded",) * 2,
    "not-held": ("%s does not have %s",) * 2,
    "barred": ("%s does not have %s and no message gives it", "%s would not get %s by a message"),
}


def operator() -> str:
    """Return the name of the user who runs the command, or who called sudo to run it.

    The environment may say anything, so it is escaped and cut.
    """
    try:
        name = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return printable(name[:_MAX_OPERATOR])[:_MAX_OPERATOR]


def log_change(event: str, *, user: str, badge: str, reason: str) -> None:
    """Write the event to standard error and, if there is one, to the system's log."""
    # As EventLogger writes it, but visible whatever the configuration of logging is.
    line, _ = get_logger(__name__).process(
        event, {"badge": badge, "user": user, "operator": operator(), "reason": reason}
    )
    with contextlib.suppress(OSError):  # nobody reads it, or the disk is full: it is done already
        click.echo(line, err=True)
    with (
        contextlib.suppress(OSError),  # most containers have no system log
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
    ):
        log.connect(str(SYSTEM_LOG))
        log.send(f"<{_INFO}>fedbadges: {line}".encode())


def adjust_ranks(tahrir: Tahrir, person_ids: Iterable[int]) -> tuple[Notice, ...]:
    """Adjust all ranks; the change stays if that fails."""
    from sqlalchemy.exc import SQLAlchemyError

    from fedbadges.errors import Unavailable

    try:
        return tahrir.adjust_ranks(person_ids)
    except (Unavailable, SQLAlchemyError) as error:
        reason = describe_error(error)
        click.echo(f"The ranks will be adjusted with the next award: {reason}", err=True)
        return ()


def describe(outcome: str, user: str, badge: str, *, dry_run: bool) -> str:
    """Return the outcome for one person as a sentence."""
    return _TEXTS[outcome][dry_run] % (user, badge)


def report(
    outcome: str,
    form: str,
    *,
    user: str,
    badge: str,
    reason: str,
    dry_run: bool,
    on_bus: bool,
    note: str = "",
    **more: Any,
) -> NoReturn:
    """Print what was done for one person, with a note, or in JSON with ``more``; and exit."""
    if form == "json":
        result = {
            "user": user,
            "badge": badge,
            "outcome": outcome,
            "reason": printable(reason),
            "dry_run": dry_run,
            "on_bus": on_bus,
            **more,
        }
        print_json(result)
    else:
        click.echo(f"{describe(outcome, user, badge, dry_run=dry_run)}{note}")
    raise SystemExit(GOOD if outcome in ("awarded", "revoked", "barred") else FOUND)


def unknown_person(name: str, similar: Sequence[str]) -> str:
    """Return that tahrir does not know somebody, with the most similar whom it does."""
    near = f"did you mean {join_quoted(similar)}? " if similar else ""
    return f"tahrir does not know '{name}'; {near}--create creates the person"


def unknown_badge(badge: str, known: Iterable[str], others: str = "") -> str:
    """Return that there is no such badge, with the most similar that there is."""
    from tahrir_api.utils import convert_name_to_id

    # It may be the name of a badge rather than its id.
    near = difflib.get_close_matches(convert_name_to_id(badge[:200]), list(known), n=1)
    hint = f"; did you mean {quoted(near[0])}?" if near else ""
    return f"tahrir has no badge {quoted(badge)}{others}{hint}"
