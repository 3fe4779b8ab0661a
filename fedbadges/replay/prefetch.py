"""Having the next of something made while the last is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(items: Iterator[T]) -> Iterator[T]:
    """Give what ``items`` gives, one of them made in advance, in a thread; raises what it raises.

    It is for what waits for others most of the time, such as a database.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="fedbadges-prefetch") as pool:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item  # type: ignore[misc]
