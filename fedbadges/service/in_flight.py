"""Which messages are in hand, and which came lately, so that none is caught up without need."""

from __future__ import annotations

import threading
import time
from collections import Counter

from fedbadges.messages import Message
from fedbadges.util.caching import BoundedDict

#: How many messages are remembered; one that is forgotten may be handled twice, no more.
_MOST = 100_000


class InFlight:
    """Knows the messages that are being handled, or were lately; for several threads.

    Its length is the number of messages in hand.
    """

    def __init__(self) -> None:
        #: How many messages were done with, by now.
        self.handled = 0
        #: How large the messages in hand are together, in characters of JSON.
        self.size = 0
        self._lock = threading.Lock()
        self._in_hand: dict[Message, None] = {}
        self._pending: Counter[int] = Counter()
        self._seen: BoundedDict[int, None] = BoundedDict(_MOST)
        # Given up, with when each was sent, until it comes again.
        self._owed: BoundedDict[int, float] = BoundedDict(_MOST)
        self._kept: float | None = None

    def begin(self, message: Message) -> None:
        """Take note that a message is in hand."""
        key = _key_of(message)
        with self._lock:
            self._in_hand[message] = None
            self.size += message.size
            self._pending[key] += 1
            self._seen[key] = None
            self._owed.pop(key, None)

    def done(self, message: Message) -> None:
        """Take note that a message is done with."""
        with self._lock:
            if message in self._in_hand:
                self._release(message)
                self.handled += 1

    def forget(self, message: Message) -> None:
        """Take note that a message is in hand no more, and may come again."""
        with self._lock:
            self._release(message)
            self._seen.pop(_key_of(message), None)

    def give_up(self, message: Message) -> None:
        """Take note that a message is in hand no more, and yet owed: it is to come again."""
        key = _key_of(message)
        with self._lock:
            self._release(message)
            self._seen.pop(key, None)
            self._owed[key] = message.sent_seconds

    def keep(self, message: Message) -> None:
        """Take note that a message cannot be done with until the next start."""
        sent = message.sent_seconds
        with self._lock:
            self._release(message)
            self._kept = sent if self._kept is None else min(self._kept, sent)

    def write_off(self, before: float) -> None:
        """Take note that what was given up and sent before a moment does not come any more."""
        with self._lock:
            for key in [key for key, sent in self._owed.items() if sent < before]:
                del self._owed[key]

    def __len__(self) -> int:
        return len(self._in_hand)

    def look(self, msg_id: str, topic: str) -> tuple[bool, bool]:
        """Tell whether a message is in hand or came lately, and whether it still is in hand."""
        key = hash((msg_id, topic))
        with self._lock:
            held = key in self._pending
            return held or key in self._seen, held

    def stuck(self, seconds: float) -> bool:
        """Tell whether a message is in hand for longer than that."""
        before = time.monotonic() - seconds
        with self._lock:
            return any(message.received < before for message in self._in_hand)

    def oldest(self) -> float | None:
        """Tell when the oldest message that is not done with was sent, in seconds since 1970."""
        with self._lock:
            sent = [message.sent_seconds for message in self._in_hand]
            sent += self._owed.values()
            return min(sent if self._kept is None else [*sent, self._kept], default=None)

    def _release(self, message: Message) -> None:
        if message not in self._in_hand:
            return
        del self._in_hand[message]
        self.size -= message.size
        key = _key_of(message)
        self._pending[key] -= 1
        if not self._pending[key]:
            del self._pending[key]


def _key_of(message: Message) -> int:
    # datanommer makes up an id where there is none, by which nobody can know the message again.
    return hash((id(message) if message.msg_id is None else message.msg_id, message.topic))
