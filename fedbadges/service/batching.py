"""Batching: messages that come fast are handled together, with fewer questions for each."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: How many messages are in a batch at most.
MAX_SIZE = 50


class Batcher(Generic[T]):
    """Collects a batch while others wait behind it; thread-safe.

    ``backlog`` returns how many messages come right after this one.
    """

    def __init__(self, backlog: Callable[[], int]) -> None:
        self._backlog = backlog
        self._lock = threading.Lock()
        self._batch: list[T] = []

    def add(self, item: T | None) -> list[T]:
        """Add an item, or None for a message without one; return the batch if it is complete."""
        with self._lock:
            if item is not None:
                self._batch.append(item)
        # Only now: the thread that handles the last message of the backlog finds this one here.
        limit = MAX_SIZE if self._backlog() else 1
        return self._pop(limit)

    def flush(self) -> list[T]:
        """Return the batch, complete or not."""
        return self._pop(1)

    def _pop(self, least: int) -> list[T]:
        with self._lock:
            if len(self._batch) < least:
                return []
            batch, self._batch = self._batch, []
            return batch


def in_batches(items: list[T]) -> list[list[T]]:
    """Return items that are there already in batches."""
    return [items[start : start + MAX_SIZE] for start in range(0, len(items), MAX_SIZE)]
