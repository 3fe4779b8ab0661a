"""The ways in which a message is delivered, and what each does when the message has its end."""

from concurrent.futures import Future
from typing import Protocol

from fedbadges.errors import CannotStart, NotHandled, NotStored, Unavailable
from fedbadges.messages import Message
from fedbadges.service.dead_letters import DeadLetters
from fedbadges.service.in_flight import InFlight
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error, error_kind
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)


class Delivery(Protocol):
    """A message in flight. It has one end: it is done, it has failed, or it is released."""

    message: Message
    #: Whether it had its end.
    settled: bool

    @property
    def in_history(self) -> bool:
        """Return True if it was read back from datanommer, so that nobody need store it."""

    @property
    def redelivered(self) -> bool:
        """Return True if whoever delivered it delivers it again once it is released."""

    @property
    def recoverable(self) -> bool:
        """Return True if it comes again once it is released and datanommer has it."""

    def done(self, *, stored: bool = True) -> None:
        """End it: awards are committed. If it was not ``stored`` yet, it may come once more."""

    def failed(self, error: Exception) -> None:
        """End it: it cannot be handled, not even by another try."""

    def release(self) -> None:
        """End it without handling it, as the daemon stops or cannot start."""


class Tracking:
    """What all deliveries share: the messages in flight, and the dead letters."""

    def __init__(self, in_flight: InFlight, dead_letters: DeadLetters) -> None:
        self.in_flight = in_flight
        self.dead_letters = dead_letters
        self._throttle = Throttle()

    def set_aside(self, message: Message, error: Exception) -> bool:
        """Log why a message failed; return True if it is a dead letter now.

        If that is impossible, the next process has to handle it.
        """
        path = self.dead_letters.add(message, error)
        if path is not None:
            self.in_flight.done(message)
            log.error("Message failed", msg_id=message.msg_id, error=error, path=path)
        else:
            self.in_flight.leave_for_restart(message)
            if not self._throttle.allows(error_kind(error)):
                return False
            lost = isinstance(error, NotStored)
            log.error("Message failed", msg_id=message.msg_id, error=error, lost=lost)
        log_origin(error)
        return path is not None


class BusDelivery:
    """From a bus that forgets what it delivers.

    What fails becomes a dead letter; what is released is read back from datanommer.
    """

    in_history = False
    redelivered = False

    def __init__(self, message: Message, tracking: Tracking) -> None:
        self.message = message
        self.settled = False
        self._tracking = tracking
        tracking.in_flight.begin(message)

    @property
    def recoverable(self) -> bool:
        """Return True if there is a checkpoint, from which the next process reads on."""
        return self._tracking.dead_letters.enabled

    def done(self, *, stored: bool = True) -> None:
        """End its flight; forget it if it must be handled again once it is stored."""
        self.settled = True
        self._tracking.in_flight.done(self.message, stored=stored)

    def failed(self, error: Exception) -> None:
        """Set it aside as a dead letter, or leave it to the next process if that is impossible."""
        self.settled = True
        self._tracking.set_aside(self.message, error)

    def release(self) -> None:
        """Let the checkpoint wait for it, so that it is read back."""
        self.settled = True
        self._tracking.in_flight.requeue(self.message)
        self._log_release()

    def _log_release(self) -> None:
        # With a checkpoint, the next process reads it back.
        if not self._tracking.dead_letters.enabled:
            log.warning("Stopping before a message was handled", msg_id=self.message.msg_id)


class CaughtUpDelivery(BusDelivery):
    """Read back from datanommer, as the bus did not deliver it."""

    in_history = True


class AcknowledgedDelivery(BusDelivery):
    """From a bus that keeps a message until it is acknowledged, and else delivers it again."""

    redelivered = True
    recoverable = True

    def __init__(self, message: Message, tracking: Tracking) -> None:
        super().__init__(message, tracking)
        self._outcome: Future[None] = Future()

    def wait(self) -> None:
        """Wait for its end.

        Raises:
            NotHandled: It must not be acknowledged.
        """
        self._outcome.result()

    def done(self, *, stored: bool = True) -> None:
        """Let the bus acknowledge it."""
        super().done(stored=stored)
        self._outcome.set_result(None)

    def failed(self, error: Exception) -> None:
        """Let the bus acknowledge it if it is a dead letter now."""
        self.settled = True
        if self._tracking.set_aside(self.message, error):
            self._outcome.set_result(None)
        else:
            self._outcome.set_exception(NotHandled(describe_error(error)))

    def release(self) -> None:
        """Let the bus keep it."""
        self.settled = True
        self._tracking.in_flight.release(self.message)
        self._log_release()
        self._outcome.set_exception(NotHandled("stopping"))


class RetriedDelivery(AcknowledgedDelivery):
    """A dead letter that somebody retries by hand; it stays one unless it is done."""

    def failed(self, error: Exception) -> None:
        """Report the error to who retries it."""
        self.settled = True
        self._tracking.in_flight.release(self.message)
        self._outcome.set_exception(error)


def log_origin(error: Exception) -> None:
    """Log the traceback of an error, unless it says all there is to say."""
    if getattr(error, "orig", None) is None and not isinstance(error, (CannotStart, Unavailable)):
        log.debug("The error was raised here", exc_info=error)
