"""What becomes of messages that cannot be handled."""

from __future__ import annotations

import logging

from fedbadges.errors import CannotStart, NotHandled, NotStored, Stopped, Unavailable
from fedbadges.messages import Message
from fedbadges.service.dead_letters import DeadLetters
from fedbadges.service.in_flight import InFlight
from fedbadges.util.text import describe_error, error_kind
from fedbadges.util.throttle import PERIOD, Throttle

log = logging.getLogger(__name__)

_SAID_ONCE = f"The same of other messages is not said for {PERIOD / 60:g} minutes"
_STOPPING = "Stopping before %r could be handled"


class Failures:
    """Logs why messages are not handled, and sets them aside as dead letters."""

    def __init__(self, in_flight: InFlight, dead_letters: DeadLetters) -> None:
        self._in_flight = in_flight
        self._dead_letters = dead_letters
        self._said = Throttle()

    def note(self, message: Message, error: Exception) -> NotHandled | None:
        """Log why a message is not handled, and set it aside; gives what says so to its sender.

        None, where it was set aside: then it is done with.
        """
        if isinstance(error, CannotStart):  # which was said
            self._in_flight.release(message)
            return NotHandled("not started")
        if isinstance(error, Stopped):
            self._in_flight.requeue(message)
            if not self._dead_letters.enabled:
                log.warning(_STOPPING, message.msg_id)
            return NotHandled("stopping")
        path = self._dead_letters.add(message, error)
        if path is None:
            self._in_flight.leave_for_restart(message)
        else:
            self._in_flight.done(message)
        if path is not None or self._said.allows(error_kind(error)):
            trace(error)
            log.error(
                "Could not handle %r: %s. %s",
                message.msg_id,
                describe_error(error),
                f"It is set aside in {path}" if path else _fate(error),
            )
        return NotHandled(describe_error(error)) if path is None else None


def _fate(error: Exception) -> str:
    """Say what becomes of a message that could not even be set aside."""
    lost = "It is lost, since nobody else has it. " if isinstance(error, NotStored) else ""
    return f"{lost}{_SAID_ONCE}"


def trace(error: Exception) -> None:
    """Log where an error came from, unless a database has said all there is to say."""
    if getattr(error, "orig", None) is None and not isinstance(error, (CannotStart, Unavailable)):
        log.debug("The error came from here", exc_info=error)
