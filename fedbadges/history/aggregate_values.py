"""What folds of operations without Python keep, in any order of the messages."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from datetime import date
from fractions import Fraction
from typing import Any

from fedbadges.history.fold_values import NotKept, Values
from fedbadges.rules.counting import MOST_DISTINCT


class _Total(Values):
    """An exact sum: of whole numbers, and of others as a fraction."""

    __slots__ = ("_rest", "_whole")

    def __init__(self, whole: int = 0, numerator: int = 0, denominator: int = 1) -> None:
        self._whole = whole
        self._rest = Fraction(numerator, denominator)

    def add(self, value: Any) -> None:
        if type(value) is int:
            self._whole += value
        else:
            self._rest += Fraction(value)

    def items(self) -> Sequence[Any]:
        return self._whole, self._rest

    def state(self) -> tuple[Any, ...]:
        return self._whole, self._rest.numerator, self._rest.denominator


class _Extreme(Values):
    """The largest or the smallest of numbers of which equal ones have one type."""

    __slots__ = ("_found",)

    def __init__(self, *found: Any) -> None:
        self._found = found

    def _choose(self, one: Any, other: Any) -> Any:
        raise NotImplementedError

    def add(self, value: Any) -> None:
        self._found = (self._choose(self._found[0], value) if self._found else value,)

    def items(self) -> Sequence[Any]:
        return self._found

    def state(self) -> tuple[Any, ...]:
        return self._found


class _Largest(_Extreme):
    """The largest number."""

    __slots__ = ()

    def _choose(self, one: Any, other: Any) -> Any:
        return max(one, other)


class _Smallest(_Extreme):
    """The smallest number."""

    __slots__ = ()

    def _choose(self, one: Any, other: Any) -> Any:
        return min(one, other)


class _Streak(Values):
    """Runs of consecutive days, each by the numbers of its first and last day, in their order."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, firsts: Iterable[int] = (), lasts: Iterable[int] = ()) -> None:
        self._firsts = list(firsts)
        self._lasts = list(lasts)

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self._firsts)

    def add(self, value: date) -> None:
        day = value.toordinal()
        after = bisect.bisect_right(self._firsts, day)
        if after and day <= self._lasts[after - 1]:
            return
        continues = after > 0 and self._lasts[after - 1] == day - 1
        precedes = after < len(self._firsts) and self._firsts[after] == day + 1
        if continues and precedes:
            del self._firsts[after], self._lasts[after - 1]
        elif continues:
            self._lasts[after - 1] = day
        elif precedes:
            self._firsts[after] = day
        else:
            self._firsts.insert(after, day)
            self._lasts.insert(after, day)
            if self.size > MOST_DISTINCT:
                raise NotKept

    def items(self) -> Sequence[Any]:
        runs = zip(self._firsts, self._lasts, strict=True)
        first, last = max(runs, key=lambda run: run[1] - run[0], default=(1, 0))
        return tuple(map(date.fromordinal, range(first, last + 1)))

    def state(self) -> tuple[Any, ...]:
        return self._firsts, self._lasts


#: By the kind of the fold.
AGGREGATES: dict[str, type[Values]] = {
    "total": _Total,
    "largest": _Largest,
    "smallest": _Smallest,
    "streak": _Streak,
}
