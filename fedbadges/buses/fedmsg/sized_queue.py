"""The hub's queue of messages, which knows how much memory they take."""

import json
import queue
from typing import Any

from fedbadges.util.json_text import count_brackets

#: The key of a message, as the hub has it, with its size: the length of its JSON in characters, and
#: for each object and list what Python needs for an empty one.
SIZE = "size"
_EMPTY = 64


class SizedQueue(queue.Queue[Any]):
    """A queue of messages that knows their size together."""

    def qsize(self) -> int:
        """Return how many messages wait, without the lock that others hold for each message."""
        return len(self.queue)

    def empty(self) -> bool:
        """Return True if none waits."""
        return not self.queue

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self.size = 0

    def _put(self, item: Any) -> None:
        super()._put(item)
        self.size += size_of(item)

    def _get(self) -> Any:
        item = super()._get()
        self.size -= size_of(item)
        return item


def size_of(message: Any) -> int:
    """Return the size that a message has by its own key; 0 if it has none."""
    return int(message.get(SIZE, 0)) if isinstance(message, dict) else 0


def json_size(text: str, brackets: int | None = None) -> int:
    """Return the size of a message from its JSON, which opens so many brackets."""
    return len(text) + _EMPTY * (count_brackets(text) if brackets is None else brackets)


def size_of_parsed(message: Any) -> int:
    """Return the size of a message that some broker's client has parsed already."""
    try:
        return json_size(json.dumps(message.get("body"), default=repr))
    except (ValueError, RecursionError):
        return 0
