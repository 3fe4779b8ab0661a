"""What somebody did by hand, kept where a system's administrator looks for it."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from pathlib import Path

import click

#: The system's log: that of journald, or of a syslog daemon.
SYSTEM_LOG = Path("/dev/log")

#: What syslog calls user.info.
_INFO = 14


def log_operation(line: str) -> None:
    """Say a line on standard error, and in the system's log, at INFO, where there is one."""
    click.echo(line, err=True)
    with (
        contextlib.suppress(OSError),  # in most containers there is none
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
    ):
        log.connect(str(SYSTEM_LOG))
        log.send(f"<{_INFO}>fedbadges: {line}".encode())


def operator() -> str:
    """Give the name of who runs the command; behind sudo, of who called that."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
