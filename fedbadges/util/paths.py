"""Dotted paths into messages: which a message has, and which of them was probably meant."""

import difflib
import functools
import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any

#: How many paths of a message are listed, how deep they go, and how long they are at most.
_MAX_PATHS = 300
_MAX_DEPTH = 8
_MAX_LENGTH = 100

#: How much of a path must be like another, of which most begin with ``msg.``.
_CUTOFF = 0.6


def paths_of(body: Mapping[str, Any]) -> frozenset[str]:
    """Return the dotted paths of a message; of too many, those near the top.

    Of a list, only the paths into its first item are listed.
    """
    found: set[str] = set()
    left: deque[tuple[str, Any, int]] = deque([("", body, 1)])
    while left:
        prefix, value, depth = left.popleft()
        children = value.items() if isinstance(value, Mapping) else [("0", value[0])]
        for key, child in itertools.islice(children, _MAX_PATHS):
            if len(found) == _MAX_PATHS:
                return frozenset(found)
            if not isinstance(key, str) or not key or len(prefix) + len(key) > _MAX_LENGTH:
                continue
            found.add(prefix + key)
            if depth < _MAX_DEPTH and child and isinstance(child, (Mapping, list)):
                left.append((f"{prefix}{key}.", child, depth + 1))
    return frozenset(found)


@functools.lru_cache(1000)
def nearest_path(path: str, known: frozenset[str]) -> str | None:
    """Return the known path that is most like another one, or None if none is."""
    near = difflib.get_close_matches(path[:_MAX_LENGTH], sorted(known), n=1, cutoff=_CUTOFF)
    return next(iter(near), None)
