"""Which messages are in hand, and which came lately, so that none is caught up without need."""

from __future__ import annotations

import threading

from fedbadges.bounded import Bounded
from fedbadges.messages import Message

#: How many messages are remembered; one that is forgotten may be handled twice, no more.
_MOST = 100_000


class Ledger:
    """Knows the messages that are being handled, or were lately; for several threads.

    Its length is the number of messages in hand.
    """

    def __init__(self) -> None:
        #: How many messages were done with, by now.
        self.handled = 0
        self._lock = threading.Lock()
        self._in_hand: dict[Message, None] = {}
        self._seen: Bounded[int, None] = Bounded(_MOST)

    def begin(self, message: Message) -> None:
        """Take note that a message is in hand."""
        with self._lock:
            self._in_hand[message] = None
        if message.msg_id is not None:
            self._seen[_key(message.msg_id, message.topic)] = None

    def done(self, message: Message) -> None:
        """Take note that a message is done with."""
        with self._lock:
            if message in self._in_hand:
                del self._in_hand[message]
                self.handled += 1

    def give_up(self, message: Message) -> None:
        """Take note that a message is not in hand any more, and not done with either."""
        with self._lock:
            self._in_hand.pop(message, None)
        if message.msg_id is not None:
            self._seen.pop(_key(message.msg_id, message.topic), None)

    def __len__(self) -> int:
        return len(self._in_hand)

    def has(self, msg_id: str, topic: str) -> bool:
        """Tell whether a message is in hand or came lately."""
        return _key(msg_id, topic) in self._seen

    def oldest(self) -> float | None:
        """Tell when the oldest of the messages in hand was sent, in seconds since 1970."""
        with self._lock:
            return min((message.sent_seconds for message in self._in_hand), default=None)


def _key(msg_id: str, topic: str) -> int:
    return hash((msg_id, topic))
