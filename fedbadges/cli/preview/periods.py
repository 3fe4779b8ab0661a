"""Awards over time, in days, months, quarters or years."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

#: More periods than these nobody reads.
_MOST = 24


@dataclass(frozen=True)
class Period:
    """What was given in a period, such as ``2014-10``, and in all up to its end."""

    name: str
    awards: int
    total: int


@dataclass(frozen=True)
class _Unit:
    """Numbers periods one after the other, and names them by their number."""

    number: Callable[[datetime], int]
    name: Callable[[int], str]


def _years(length: int) -> _Unit:
    def name(number: int) -> str:
        first = max(number * length, 1)
        return f"{first:04}" if length == 1 else f"{first:04} to {(number + 1) * length - 1:04}"

    return _Unit(lambda when: when.year // length, name)


#: The finest that makes few enough periods is taken; the coarsest always does.
_UNITS: Mapping[str, _Unit] = {
    "day": _Unit(lambda when: when.toordinal(), lambda number: str(date.fromordinal(number))),
    "month": _Unit(
        lambda when: when.year * 12 + when.month - 1,
        lambda number: f"{number // 12:04}-{number % 12 + 1:02}",
    ),
    "quarter": _Unit(
        lambda when: when.year * 4 + (when.month - 1) // 3,
        lambda number: f"{number // 4:04}-Q{number % 4 + 1}",
    ),
    "year": _years(1),
    "decade": _years(10),
    "millennium": _years(1000),
}


def periods(moments: Iterable[datetime]) -> tuple[str, tuple[Period, ...]]:
    """Count moments by period, from the first to the last; gives the unit and the periods."""
    moments = sorted(moments)
    if not moments:
        return "day", ()
    first, last = moments[0], moments[-1]
    name, unit = next(
        (name, unit)
        for name, unit in _UNITS.items()
        if unit.number(last) - unit.number(first) < _MOST
    )
    counted = Counter(unit.number(when) for when in moments)
    found: list[Period] = []
    total = 0
    for number in range(unit.number(first), unit.number(last) + 1):
        total += counted[number]
        found.append(Period(unit.name(number), counted[number], total))
    return name, tuple(found)
