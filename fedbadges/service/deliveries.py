"""The ways in which a message is delivered, and what each does when the message has its end."""

from concurrent.futures import Future

from fedbadges.errors import NotHandled
from fedbadges.messages import Message, Position
from fedbadges.service.in_flight import InFlight
from fedbadges.service.state.dead_letters import DeadLetters
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error

log = get_logger(__name__)


class Delivery:
    """A message in flight. It has one end: it is done, it has failed, or it is released.

    This one is from a bus that forgets what it delivers: what fails becomes a dead letter; what is
    released is read back from datanommer. With a ``position`` it was read back from there, so that
    nobody need store it.
    """

    #: Whether whoever delivered it delivers it again once it is released.
    redelivered = False

    def __init__(
        self,
        message: Message,
        in_flight: InFlight,
        dead_letters: DeadLetters,
        *,
        position: Position | None = None,
    ) -> None:
        self.message = message
        self.position = position
        #: Whether it had its end.
        self.settled = False
        self._in_flight = in_flight
        self._dead_letters = dead_letters
        in_flight.begin(message)

    @property
    def recoverable(self) -> bool:
        """Return True if it comes again once it is released and datanommer has it."""
        # Else there is no checkpoint, from which the next process reads on.
        return self.redelivered or self._dead_letters.enabled

    def done(self, *, stored: bool = True) -> None:
        """End it: awards are committed. If it was not ``stored`` yet, it may come once more."""
        self._in_flight.done(self.message, stored=stored)
        self._settle(None)

    def failed(self, error: Exception) -> None:
        """End it as a dead letter, or leave it to the next process if that is impossible."""
        set_aside = self._dead_letters.add(self.message, error) is not None
        if set_aside:
            self._in_flight.set_aside(self.message)
        else:
            self._in_flight.leave_for_restart(self.message)
        self._settle(None if set_aside else NotHandled(describe_error(error)))

    def release(self) -> None:
        """End it without handling it, as the daemon stops or cannot start."""
        if self.redelivered:
            self._in_flight.release(self.message)
        else:
            self._in_flight.requeue(self.message)
        if not self._dead_letters.enabled:
            log.warning("Stopping before a message was handled", msg_id=self.message.msg_id)
        self._settle(NotHandled("stopping"))

    def _settle(self, refusal: Exception | None) -> None:
        self.settled = True


class AcknowledgedDelivery(Delivery):
    """From a bus that keeps a message until it is acknowledged, and else delivers it again."""

    redelivered = True

    def __init__(self, message: Message, in_flight: InFlight, dead_letters: DeadLetters) -> None:
        super().__init__(message, in_flight, dead_letters)
        self._outcome: Future[None] = Future()

    def wait(self) -> None:
        """Wait for its end; raise NotHandled if it must not be acknowledged."""
        self._outcome.result()

    def _settle(self, refusal: Exception | None) -> None:
        super()._settle(refusal)
        if refusal is None:
            self._outcome.set_result(None)
        else:
            self._outcome.set_exception(refusal)


class RetriedDelivery(AcknowledgedDelivery):
    """A dead letter that somebody retries by hand; it stays one unless it is done."""

    def failed(self, error: Exception) -> None:
        """Report the error to who retries it."""
        self._in_flight.release(self.message)
        self._settle(error)
