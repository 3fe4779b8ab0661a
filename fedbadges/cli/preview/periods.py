"""Awards over time, by day, month, quarter or year."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

#: More periods than these are hard to read.
_MAX_PERIODS = 24

#: The number of the period that a moment is in, and the name of a period by its number.
_Unit = tuple[Callable[[datetime], int], Callable[[int], str]]

#: From the finest to the coarsest.
_UNITS: Mapping[str, _Unit] = {
    "day": (datetime.toordinal, lambda day: str(date.fromordinal(day))),
    "month": (
        lambda when: when.year * 12 + when.month - 1,
        lambda month: f"{month // 12:04}-{month % 12 + 1:02}",
    ),
    "quarter": (
        lambda when: when.year * 4 + (when.month - 1) // 3,
        lambda quarter: f"{quarter // 4:04}-Q{quarter % 4 + 1}",
    ),
    "year": (lambda when: when.year, lambda year: f"{year:04}"),
}


@dataclass(frozen=True)
class Period:
    """The awards in a period, such as ``2014-10``, and the total up to its end."""

    name: str
    awards: int
    total: int


@dataclass(frozen=True)
class OverTime:
    """Awards by period, from the first that has some to the last."""

    unit: str
    periods: tuple[Period, ...]


def count_by_period(moments: Iterable[datetime]) -> OverTime:
    """Count moments by period, of the finest unit that makes few enough periods.

    Years without any are left out where there are too many of them.
    """
    moments = sorted(moments)
    if not moments:
        return OverTime("day", ())
    unit = next((unit for unit in _UNITS if _span(moments, unit) <= _MAX_PERIODS), "year")
    number_of, name_of = _UNITS[unit]
    counts = Counter(map(number_of, moments))
    numbers: Iterable[int] = range(min(counts), max(counts) + 1)
    if _span(moments, unit) > _MAX_PERIODS:
        numbers = sorted(counts)
    periods: list[Period] = []
    total = 0
    for number in numbers:
        total += counts[number]
        periods.append(Period(name_of(number), counts[number], total))
    return OverTime(unit, tuple(periods))


def _span(moments: Sequence[datetime], unit: str) -> int:
    number_of, _ = _UNITS[unit]
    return number_of(moments[-1]) - number_of(moments[0]) + 1
