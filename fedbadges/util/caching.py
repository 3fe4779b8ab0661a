"""Bounded dictionaries and dogpile cache regions."""

import threading
from collections.abc import Mapping
from itertools import islice
from typing import Any, TypeVar

from dogpile.cache import CacheRegion, make_region

K = TypeVar("K")
V = TypeVar("V")

#: How many entries a cache in memory can hold.
_MAX_ENTRIES = 200_000

#: In how many parts a bounded dictionary is emptied.
_PORTION = 16

#: Seconds to wait for Redis, unless the configuration says something else.
_REDIS_TIMEOUT = 1.0


class BoundedDict(dict[K, V]):
    """A dictionary that drops its oldest entries beyond ``size`` of them; thread-safe.

    It drops one of ``_PORTION`` parts at once: to find the oldest, a dictionary passes all that
    were dropped before, so one by one each would take longer than the last.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._lock = threading.Lock()

    def __setitem__(self, key: K, value: V) -> None:
        with self._lock:
            super().__setitem__(key, value)
            if len(self) > self._size:
                for oldest in list(islice(self, max(1, self._size // _PORTION))):
                    self.pop(oldest, None)


def is_shared(backend: str) -> bool:
    """Return True if what a backend of dogpile.cache caches may outlive the process."""
    return not backend.startswith(("dogpile.cache.memory", "dogpile.cache.null"))


def make_cache_region(backend: str, arguments: Mapping[str, Any]) -> CacheRegion:
    """Create a cache region of dogpile.cache; one in memory is bounded, Redis has a time limit.

    Raises what dogpile.cache raises for a backend that does not exist.
    """
    if backend == "dogpile.cache.memory":
        arguments = {"cache_dict": BoundedDict(_MAX_ENTRIES), **arguments}
    if backend.startswith("dogpile.cache.redis"):
        limits = dict.fromkeys(("socket_timeout", "socket_connect_timeout"), _REDIS_TIMEOUT)
        arguments = {**limits, **arguments}
    return make_region().configure(backend, arguments=dict(arguments))
