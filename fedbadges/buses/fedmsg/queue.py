"""What waits in the hub for a worker, and how large it is together."""

from __future__ import annotations

import queue
from typing import Any

#: The key of a message, as the hub has it, that says how large its JSON was, in characters.
SIZE = "size"


def size_of(message: Any) -> int:
    """Tell how large the JSON of a message was, in characters; 0 where that is not known."""
    return int(message.get(SIZE, 0)) if isinstance(message, dict) else 0


class SizedQueue(queue.Queue[Any]):
    """A queue of messages, as the hub has them, that knows how large they are together."""

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
