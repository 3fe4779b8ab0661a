"""What the daemon needs of a bus to announce awards on it."""

from __future__ import annotations

from typing import Protocol

from fedbadges.messages import Notice


class Publisher(Protocol):
    """Publishes notices in their order, in a thread of its own."""

    @property
    def unsent(self) -> int:
        """Return how many notices could not be sent so far."""

    def start(self) -> None:
        """Start to connect and to send."""

    def trouble(self, timeout: float = 0.0) -> str | None:
        """Return why nothing can be sent; None if it can, or is not known within ``timeout`` s."""

    def publish(self, notice: Notice) -> None:
        """Queue a notice; returns at once."""

    def stop(self, timeout: float = 5.0) -> None:
        """Send what is queued, for ``timeout`` seconds at most, and stop."""
