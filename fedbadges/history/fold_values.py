"""What each kind of fold keeps of the values that were added, in bounded memory."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence, Set
from datetime import date, datetime, time, timedelta
from typing import Any

from fedbadges.history.kept.text import Digest
from fedbadges.rules.counting import MOST_DISTINCT
from fedbadges.rules.names import Name

#: Longer texts are kept as a digest, or not at all.
_LONG_TEXT = 100

#: If more than one in so many values is not shared with a copy, all are from then on.
_FEW_OWN = 8

_PLAIN = (bool, int, float, complex, type(None), datetime, date, time, timedelta)
_TEXTS = (str, Name)

#: The types of which equal values are alike.
_ALIKE = {int, str, bool}


class NotKept(Exception):
    """A fold has more to keep than there is room for, or what cannot be kept at all."""


class Values:
    """What a kind of fold keeps of the values that were added."""

    __slots__ = ()

    #: Whether the result stays the same, whatever is added.
    decided = False
    in_any_order = True
    size = 1

    def add(self, value: Any) -> None:
        """Add a value; raise NotKept, or what the function raises for it."""
        raise NotImplementedError

    def items(self) -> Sequence[Any]:
        """Return values of which the function makes the same as of all that were added."""
        raise NotImplementedError

    def state(self) -> tuple[Any, ...]:
        """Return the arguments that make an equal one, which keeps the same."""
        raise NotImplementedError

    def copy(self) -> Values:
        """Return a copy, to which others can be added."""
        return type(self)(*self.state())


class Unknown(Values):
    """Values that are too many, or too large."""

    __slots__ = ()
    size = 0

    def add(self, value: Any) -> None:
        """Forget a value."""

    def state(self) -> tuple[Any, ...]:
        """Return nothing: it is known by its class."""
        return ()


class _Length(Values):
    __slots__ = ("_length",)

    def __init__(self, length: int = 0) -> None:
        self._length = length

    def add(self, value: Any) -> None:
        self._length += 1

    def items(self) -> Sequence[Any]:
        return range(self._length)

    def state(self) -> tuple[Any, ...]:
        return (self._length,)


class _Distinct(Values):
    """Some values are shared with copies, and never change."""

    __slots__ = ("_own", "_shared")

    def __init__(self, shared: Set[Any] = frozenset(), own: Iterable[Any] = ()) -> None:
        self._shared = shared
        self._own = set(own)

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self._shared) + len(self._own)

    def add(self, value: Any) -> None:
        key = _key(value)
        if key not in self._shared:
            self._own.add(key)
        if self.size > MOST_DISTINCT:
            raise NotKept

    def items(self) -> Sequence[Any]:
        return range(self.size)

    def state(self) -> tuple[Any, ...]:
        return (self._shared | self._own,)

    def copy(self) -> Values:
        if len(self._own) > len(self._shared) / _FEW_OWN:
            return _Distinct(self._shared | self._own)
        return _Distinct(self._shared, self._own)


class _Sum(Values):
    """Whole numbers are added up, and what comes after others is kept: rounding depends on it."""

    __slots__ = ("_rest", "_whole")

    def __init__(self, whole: int = 0, rest: Iterable[Any] = ()) -> None:
        self._whole = whole
        self._rest = list(rest)

    @property
    def in_any_order(self) -> bool:  # type: ignore[override]
        return not self._rest

    @property
    def size(self) -> int:  # type: ignore[override]
        return 1 + len(self._rest)

    def add(self, value: Any) -> None:
        if type(value) in (int, bool):
            if not self._rest:
                self._whole += value
                return
        elif type(value) is not float:
            sum([value], sum(self._rest, self._whole))  # raises if it is no number at all
            raise NotKept
        self._rest.append(value)
        if len(self._rest) > MOST_DISTINCT:
            raise NotKept

    def items(self) -> Sequence[Any]:
        return [self._whole, *self._rest]

    def state(self) -> tuple[Any, ...]:
        return self._whole, self._rest


class _Extreme(Values):
    """The greatest or the least value; of equal ones, the first.

    Which one that is depends on the order if values of two types are equal, or if a number is none,
    which is neither greater nor less than any other.
    """

    __slots__ = ("_found", "in_any_order")

    def __init__(self, found: Iterable[Any] = (), in_any_order: bool = True) -> None:
        self._found = list(found)
        self.in_any_order = in_any_order

    def _choose(self, one: Any, other: Any) -> Any:
        raise NotImplementedError

    def add(self, value: Any) -> None:
        chosen = self._choose(self._found[0], value) if self._found else value
        if not is_small(chosen):
            raise NotKept
        kinds = {type(each) for each in (*self._found, value)}
        if len(kinds) > 1 or not kinds <= _ALIKE:
            self.in_any_order = False
        self._found = [chosen]

    def items(self) -> Sequence[Any]:
        return self._found

    def state(self) -> tuple[Any, ...]:
        return self._found, self.in_any_order


class _Max(_Extreme):
    __slots__ = ()

    def _choose(self, one: Any, other: Any) -> Any:
        return max(one, other)


class _Min(_Extreme):
    __slots__ = ()

    def _choose(self, one: Any, other: Any) -> Any:
        return min(one, other)


class _Truth(Values):
    __slots__ = ("decided",)
    deciding: bool

    def __init__(self, decided: bool = False) -> None:
        self.decided = decided

    def add(self, value: Any) -> None:
        if not self.decided and bool(value) is self.deciding:
            self.decided = True

    def items(self) -> Sequence[Any]:
        return [self.deciding] if self.decided else []

    def state(self) -> tuple[Any, ...]:
        return (self.decided,)


class _Any(_Truth):
    __slots__ = ()
    deciding = True


class _All(_Truth):
    __slots__ = ()
    deciding = False


KINDS: dict[str, type[Values]] = {
    "len": _Length,
    "distinct": _Distinct,
    "sum": _Sum,
    "max": _Max,
    "min": _Min,
    "any": _Any,
    "all": _All,
}


def _key(value: Any) -> Any:
    """Return something small that is equal for equal values; raise NotKept, or TypeError."""
    kind = type(value)
    if kind in _TEXTS:
        if len(value) <= _LONG_TEXT:
            return sys.intern(str(value))
        return Digest(hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest())
    if kind in _PLAIN:
        return value
    {value}  # noqa: B018 - raises for what has no hash
    if kind is tuple and len(value) <= _LONG_TEXT:
        return tuple(map(_key, value))
    raise NotKept


def is_small(value: Any) -> bool:
    """Return True if a value takes little memory."""
    if type(value) in _TEXTS:
        return len(value) <= _LONG_TEXT
    if type(value) is tuple:
        return len(value) <= _LONG_TEXT and all(map(is_small, value))
    return type(value) in _PLAIN
