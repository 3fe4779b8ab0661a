"""Back-pressure: messages that do not fit into memory are shed, and read back from datanommer."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fedbadges.service.delay_queue import DelayQueue
from fedbadges.service.in_flight import InFlight
from fedbadges.util.instruments import SHED
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: How large the messages in memory are together at most, in characters of JSON and what the bus
#: adds for many small parts. Python needs a few times as much for what is in them.
_MAX_CHARACTERS = 32_000_000


@dataclass(eq=False)
class BackPressure:
    """Decides whether a message is shed.

    ``limit`` is how many messages may wait in memory, or None if none may be shed, as nobody else
    stores messages. ``backlog`` returns how many wait on the bus's side.
    """

    limit: int | None
    in_flight: InFlight
    delay_queue: DelayQueue
    backlog: Callable[[], int]
    _shedding: bool = field(default=False, init=False)

    @property
    def is_shedding(self) -> bool:
        """Return True while messages are shed, and until few wait again."""
        return self._shedding and not self._is_relaxed()

    def must_shed(self, count: int, size: int = 0) -> bool:
        """Return True if a message must be shed, and read back later.

        ``count`` messages wait on the bus's side, with ``size`` characters of JSON together. Those
        are added that wait for datanommer, and the size of all that are in flight.
        """
        if self.limit is None:
            return False
        count += self.delay_queue.unfinished
        size += self.in_flight.size
        if count < self.limit and size < _MAX_CHARACTERS:
            return False
        SHED.inc()
        if not self._shedding:
            self._shedding = True
            log.warning("Shedding messages, to read them back later", count=count, characters=size)
        return True

    def relax(self) -> None:
        """End the shedding if few messages wait; called when none does on the bus's side."""
        if self._is_relaxed():
            self._shedding = False

    def _is_relaxed(self) -> bool:
        few = self.limit is None or self.delay_queue.unfinished < self.limit / 2
        return few and not self.backlog()
