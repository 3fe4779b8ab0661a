"""What the outbox needs of a bus."""

from collections.abc import Callable
from typing import Protocol

from fedbadges.messages import Notice

#: Called with a notice when it was sent, or with why that failed.
Result = Callable[[Notice, str | None], object]


class Publisher(Protocol):
    """Publishes notices in their order, in a thread of its own.

    A notice with a ``msg_id`` is kept in the outbox, so that it can be sent again; it has the same
    id and timestamp each time. Others are lost if they cannot be sent, and logged.
    """

    @property
    def unsent(self) -> int:
        """Return how many notices were lost so far, as they could not be sent."""

    def start(self) -> None:
        """Start to connect and to send."""

    def trouble(self, timeout: float = 0.0) -> str | None:
        """Return why nothing can be sent; None if it can, or is not known within ``timeout`` s."""

    def wait_until_ready(self, timeout: float) -> bool:
        """Return True when what is sent is heard, or cannot be sent; False after so many s."""

    def publish(self, notice: Notice, result: Result) -> None:
        """Queue a notice; returns at once. ``result`` is called in any thread."""

    def stop(self, timeout: float = 5.0) -> bool:
        """Send what is queued, for ``timeout`` seconds at most, and stop.

        Return True if what was sent has left the process, as far as can be known.
        """

    def finish(self, timeout: float = 15.0) -> bool:
        """Do the same, but wait until those who listen have had time to connect."""
