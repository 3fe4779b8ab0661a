"""Prefetching: the next item is made while the last one is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, making the next one in a thread; raise what the iterator raises.

    It is for iterators that mostly wait, for a database for example.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="fedbadges-prefetch") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]
