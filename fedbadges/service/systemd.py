"""What systemd is told of a unit with ``Type=notify``.

sd_notify(3) is a few lines of text in a datagram. The packages on PyPI for it are no longer kept,
or need a C compiler and the headers of systemd.
"""

import os
import socket
from collections.abc import Mapping

from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds between two messages, unless the watchdog expects them more often.
_INTERVAL = 5.0

#: How often a message is sent within the time that the watchdog waits for one.
_OFTEN = 3

#: Seconds to wait for a service manager that does not read.
_TIMEOUT = 1.0

#: How many characters of a status are sent.
_MAX_CHARACTERS = 200


class Systemd:
    """Sends messages to the service manager that ``environment`` names, if it names one."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        watchdog = environment.get("WATCHDOG_USEC", "")
        seconds = int(watchdog) / 1e6 if watchdog.isdecimal() and int(watchdog) else _INTERVAL
        #: Seconds until the next message must be sent.
        self.interval = min(seconds / _OFTEN, _INTERVAL)

    def ready(self) -> None:
        """Say that the start is over."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Say that the daemon stops."""
        self._send("STOPPING=1", "STATUS=stopping")

    def alive(self, status: str) -> None:
        """Say that the daemon does not hang, and what it does, in one line."""
        self._send("WATCHDOG=1", f"STATUS={status[:_MAX_CHARACTERS]}")

    def hanging(self, reason: str) -> None:
        """Say why the watchdog hears nothing any more."""
        self._send(f"STATUS=hanging: {reason[:_MAX_CHARACTERS]}")

    def _send(self, *lines: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        # One that begins with @ is in the abstract namespace.
        address = self._address.replace("@", "\0", 1) if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_TIMEOUT)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.debug("Cannot notify systemd", error=error)
