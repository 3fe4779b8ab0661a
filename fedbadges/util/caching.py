"""Bounded dictionaries and dogpile cache regions."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, TypeVar

from dogpile.cache import CacheRegion, make_region

K = TypeVar("K")
V = TypeVar("V")

#: How many entries a cache in memory holds at most.
_MOST = 200_000


class BoundedDict(dict[K, V]):
    """Holds ``most`` entries at most, and forgets the oldest; safe to use from several threads."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._lock = threading.Lock()

    def __setitem__(self, key: K, value: V) -> None:
        with self._lock:
            super().__setitem__(key, value)
            if len(self) > self._most:
                del self[next(iter(self))]


def make_cache_region(backend: str, arguments: Mapping[str, Any]) -> CacheRegion:
    """Make the region that keeps counts; memory is bounded, others are their own concern.

    Raises what dogpile.cache raises for a backend that does not exist.
    """
    if backend == "dogpile.cache.memory":
        arguments = {"cache_dict": BoundedDict(_MOST), **arguments}
    return make_region().configure(backend, arguments=dict(arguments))
