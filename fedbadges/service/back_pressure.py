"""Back-pressure: messages that do not fit into memory are shed, and read back from datanommer."""

from collections.abc import Callable

from fedbadges.service.delay_queue import DelayQueue
from fedbadges.service.in_flight import InFlight
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: How large the messages in memory are together at most, in characters of JSON. Python needs a few
#: times as much for what is in them.
_MAX_CHARACTERS = 32_000_000


class BackPressure:
    """Decides whether a message is shed.

    ``limit`` is how many messages may wait in memory, or None if none may be shed, as nobody else
    stores messages. ``backlog`` returns how many wait on the bus's side.
    """

    def __init__(
        self,
        limit: int | None,
        in_flight: InFlight,
        delay_queue: DelayQueue,
        backlog: Callable[[], int],
    ) -> None:
        self._limit = limit
        self._in_flight = in_flight
        self._delay_queue = delay_queue
        self._backlog = backlog
        self._shedding = False

    @property
    def is_shedding(self) -> bool:
        """Return True while messages are shed, and until few wait again."""
        return self._shedding and not self._is_relaxed()

    def must_shed(self, count: int, size: int = 0) -> bool:
        """Return True if a message must be shed, and read back later.

        ``count`` messages wait on the bus's side, with ``size`` characters of JSON together. Those
        are added that wait for datanommer, and the size of all that are in flight.
        """
        if self._limit is None:
            return False
        count += self._delay_queue.unfinished
        size += self._in_flight.size
        if count < self._limit and size < _MAX_CHARACTERS:
            return False
        if not self._shedding:
            self._shedding = True
            log.warning("Shedding messages, to read them back later", count=count, characters=size)
        return True

    def relax(self) -> None:
        """End the shedding if few messages wait; called when none does on the bus's side."""
        if self._is_relaxed():
            self._shedding = False

    def _is_relaxed(self) -> bool:
        few = self._limit is None or self._delay_queue.unfinished < self._limit / 2
        return few and not self._backlog()
