"""The messages that are in flight, and those that came lately."""

import math
import threading
import time
from collections import Counter
from enum import Enum

from fedbadges.messages import Message, fits_databases
from fedbadges.util.caching import BoundedDict

#: How many messages are remembered; one that is forgotten may be handled twice, no more.
_MAX_REMEMBERED = 100_000


class Seen(Enum):
    """Whether a message has come to this process."""

    NEVER = "never"
    IN_FLIGHT = "in flight"
    LATELY = "lately"


class InFlight:
    """Tracks messages from when they come until they are done; thread-safe.

    Its length is the number of messages in flight. A message ends in one of four ways: it is done;
    released, as whoever delivered it delivers it again; requeued, as this process or the next one
    reads it back from datanommer; or stuck until the next start, as it can neither be handled nor
    set aside. The checkpoint must not pass any but the first two.

    With ``redelivered``, a broker delivers again what was not handled: nothing else was missed than
    what ``was_unstored``.
    """

    def __init__(self, *, redelivered: bool = False) -> None:
        self.redelivered = redelivered
        #: How many messages were done, by now.
        self.handled = 0
        # How many messages ended in another way, or are among those as dead letters.
        self._others: Counter[str] = Counter()
        #: How large the messages in flight are together, in characters of JSON.
        self.size = 0
        self._lock = threading.Lock()
        # Each with its key.
        self._in_flight: dict[Message, int] = {}
        self._keys_in_flight: dict[int, int] = {}
        self._seen: BoundedDict[int, None] = BoundedDict(_MAX_REMEMBERED)
        # When each was sent; until it comes again.
        self._requeued: BoundedDict[int, float] = BoundedDict(_MAX_REMEMBERED)
        # Those that were handled before datanommer had them.
        self._unstored: BoundedDict[int, None] = BoundedDict(_MAX_REMEMBERED)
        self._oldest_for_restart = math.inf

    def __len__(self) -> int:
        return len(self._in_flight)

    def begin(self, message: Message) -> None:
        """Track a message from now on."""
        if message.msg_id is None and not message.number:
            # datanommer makes up an id, by which nobody knows the message again.
            key = hash((id(message), message.topic))
        else:
            key = hash((message.msg_id or message.number, message.topic))
        with self._lock:
            self._in_flight[message] = key
            self.size += message.size
            self._keys_in_flight[key] = self._keys_in_flight.get(key, 0) + 1
            self._seen[key] = None
            self._requeued.pop(key, None)
            self._unstored.pop(key, None)

    def done(self, message: Message, *, stored: bool = True) -> None:
        """End a message that was handled.

        Forget it if it was not ``stored`` yet: then it must be handled again once it is.
        """
        with self._lock:
            if message in self._in_flight:
                key = self._end(message)
                self.handled += 1
                if not stored:
                    self._seen.pop(key, None)
                    self._unstored[key] = None

    def set_aside(self, message: Message) -> None:
        """End a message that became a dead letter."""
        with self._lock:
            if message in self._in_flight:
                self._end(message)
                self.handled += 1
                self._others["dead letter"] += 1

    def outcomes(self) -> dict[str, int]:
        """Return how many messages ended in which way; each is counted once, at its end."""
        with self._lock:
            names = ("dead letter", "released", "requeued", "left for restart")
            others = {name: self._others[name] for name in names}
            return {"handled": self.handled - others["dead letter"], **others}

    def release(self, message: Message) -> None:
        """End a message that whoever delivered it is going to deliver again."""
        with self._lock:
            self._others["released"] += 1
            self._seen.pop(self._end(message), None)

    def requeue(self, message: Message) -> None:
        """End a message that must be read back from datanommer; the checkpoint waits for it."""
        with self._lock:
            key = self._end(message)
            self._others["requeued"] += 1
            self._seen.pop(key, None)
            self._requeued[key] = message.sent_seconds

    def leave_for_restart(self, message: Message) -> None:
        """End a message that only the next process can handle; the checkpoint waits for it."""
        sent = message.sent_seconds
        with self._lock:
            self._end(message)
            self._others["left for restart"] += 1
            self._oldest_for_restart = min(self._oldest_for_restart, sent)

    @property
    def leaves_some(self) -> bool:
        """Return True if a message was left for the restart."""
        return self._oldest_for_restart != math.inf

    def expire_requeued(self, before: float) -> None:
        """Forget requeued messages that were sent before a moment, as datanommer has none."""
        with self._lock:
            for key in [key for key, sent in self._requeued.items() if sent < before]:
                del self._requeued[key]

    def lookup(self, msg_id: str | None, topic: str, number: int = 0) -> Seen:
        """Return whether a message is in flight, or came lately.

        One without an id is known by its row number.
        """
        key = _key(msg_id, topic, number)
        with self._lock:
            if key in self._keys_in_flight:
                return Seen.IN_FLIGHT
            return Seen.LATELY if key in self._seen else Seen.NEVER

    def was_unstored(self, msg_id: str | None, topic: str) -> bool:
        """Return True if a message was done before it was stored, and did not come again."""
        key = _key(msg_id, topic, 0)
        with self._lock:
            return key in self._unstored

    def is_stuck(self, seconds: float) -> bool:
        """Return True if a message is in flight for longer than that."""
        before = time.monotonic() - seconds
        with self._lock:
            return any(message.received < before for message in self._in_flight)

    def oldest_sent(self) -> float | None:
        """Return when the oldest message that is not done was sent, in seconds since 1970."""
        with self._lock:
            sent = [message.sent_seconds for message in self._in_flight]
            oldest = min([*sent, *self._requeued.values(), self._oldest_for_restart])
        return None if oldest == math.inf else oldest

    def _end(self, message: Message) -> int:
        """Stop tracking a message, and return its key."""
        key = self._in_flight.pop(message)
        self.size -= message.size
        self._keys_in_flight[key] -= 1
        if not self._keys_in_flight[key]:
            del self._keys_in_flight[key]
        return key


def _key(msg_id: str | None, topic: str, number: int) -> int:
    known = msg_id if msg_id is not None and fits_databases(msg_id) else number
    return hash((known, topic))
