"""The queue of messages that wait in the hub for a worker; it knows its size in memory."""

import queue
from typing import Any

#: The key of a message, as the hub has it, with the length of its JSON in characters.
SIZE = "size"


def size_of(message: Any) -> int:
    """Return the length of a message's JSON in characters; 0 if it is unknown."""
    return int(message.get(SIZE, 0)) if isinstance(message, dict) else 0


class SizedQueue(queue.Queue[Any]):
    """A queue of messages that knows how large they are together."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        #: In characters of JSON.
        self.size = 0

    def _put(self, item: Any) -> None:
        super()._put(item)
        self.size += size_of(item)

    def _get(self) -> Any:
        item = super()._get()
        self.size -= size_of(item)
        return item
