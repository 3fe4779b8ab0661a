"""What becomes of messages that cannot be handled: set aside, or left to who has them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from fedbadges.errors import CannotStart, NotHandled, NotStored, Stopped, Unavailable
from fedbadges.messages import Message, parse_message
from fedbadges.service.in_flight import InFlight
from fedbadges.service.state import StateDirectory
from fedbadges.util.text import describe_error, error_kind
from fedbadges.util.throttle import PERIOD, Throttle

log = logging.getLogger(__name__)

_SAID_ONCE = f"The same of other messages is not said for {PERIOD / 60:g} minutes"
_STOPPING = "Stopping before %r could be handled"


class Failures:
    """Logs why messages are not handled, and sets them aside in ``state`` where that is kept."""

    def __init__(self, ledger: InFlight, state: StateDirectory) -> None:
        self._ledger = ledger
        self._state = state
        self._said = Throttle()

    def note(self, message: Message, error: Exception) -> NotHandled | None:
        """Log why a message is not handled, and set it aside; gives what says so to its sender.

        None, where it was set aside: then it is done with.
        """
        if isinstance(error, CannotStart):  # which was said
            self._ledger.forget(message)
            return NotHandled("not started")
        if isinstance(error, Stopped):
            self._ledger.give_up(message)
            if not self._state.kept:
                log.warning(_STOPPING, message.msg_id)
            return NotHandled("stopping")
        path = self._state.set_aside(message, error)
        if path is None:
            self._ledger.keep(message)
        else:
            self._ledger.done(message)
        if path is not None or self._said.allows(error_kind(error)):
            trace(error)
            log.error(
                "Could not handle %r: %s. %s",
                message.msg_id,
                describe_error(error),
                f"It is set aside in {path}" if path else _fate(error),
            )
        return NotHandled(describe_error(error)) if path is None else None

    def retry(self, handle: Callable[[Message], object]) -> list[tuple[Path, str]]:
        """Handle the messages that were set aside; gives those that fail again, with why."""
        again: list[tuple[Path, str]] = []
        for failed in self._state.failed():
            message = parse_message(failed.body, failed.users)
            if message is None:
                again.append((failed.path, failed.why or "it is no message with a topic"))
                continue
            try:
                handle(message)
            except Exception as error:  # whatever it failed with before
                again.append((failed.path, describe_error(error)))
            else:
                failed.path.unlink(missing_ok=True)
                log.info("Handled %r, which had failed", message.body.get("msg_id"))
        return again


def _fate(error: Exception) -> str:
    """Say what becomes of a message that could not even be set aside."""
    lost = "It is lost, since nobody else has it. " if isinstance(error, NotStored) else ""
    return f"{lost}{_SAID_ONCE}"


def trace(error: Exception) -> None:
    """Log where an error came from, unless a database has said all there is to say."""
    if getattr(error, "orig", None) is None and not isinstance(error, (CannotStart, Unavailable)):
        log.debug("The error came from here", exc_info=error)
