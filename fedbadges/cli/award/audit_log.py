"""A record of what an operator did, where a system's administrator looks for it."""

import contextlib
import getpass
import os
import socket
from pathlib import Path

import click

from fedbadges.util.logs import get_logger

#: The socket of the system's log: that of journald, or of a syslog daemon.
SYSTEM_LOG = Path("/dev/log")

#: The priority ``user.info`` of syslog.
_INFO = 14


def log_operation(event: str, **fields: str) -> None:
    """Write an event to standard error and, if there is one, to the system's log."""
    # As EventLogger writes it, but visible whatever the configuration of logging is.
    line, _ = get_logger(__name__).process(event, fields)
    click.echo(line, err=True)
    with (
        contextlib.suppress(OSError),  # most containers have no system log
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
    ):
        log.connect(str(SYSTEM_LOG))
        log.send(f"<{_INFO}>fedbadges: {line}".encode())


def operator() -> str:
    """Return the name of the user who runs the command, or who called sudo."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
