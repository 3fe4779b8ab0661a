"""The geometry of the plots on a preview's page, which the template draws as SVG."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from fedbadges.cli.preview.distribution import LADDER, Distribution

#: Sizes, in units of which a phone shows one in about a pixel.
_WIDTH = 340
_CHARACTER = 8
_GAP = 8

_MAX_TICKS = 5


class Curve:
    """How many people would have the badge, from the first of these moments to the last."""

    width, height = _WIDTH, 208
    top, right, bottom = 8, 334, 180

    def __init__(self, moments: Iterable[datetime]) -> None:
        moments = sorted(moments)
        self._first, self._last = moments[0], moments[-1]
        self._most = len(moments)
        self.left = _CHARACTER * len(str(self._most)) + 2 * _GAP
        steps = {self._x(moment): self._y(total) for total, moment in enumerate(moments, 1)}
        line = "".join(f"H{x}V{y}" for x, y in steps.items())
        self.path = f"M{self.left} {self._y(0)}{line}H{self.right}"
        self.description = (
            f"From the first award on {self._first.date()} to {self._most} in all "
            f"on {self._last.date()}."
        )

    @property
    def totals(self) -> list[tuple[float, int]]:
        """Return the numbers beside the curve, each after its height."""
        step = next(step for step in LADDER if self._most / step < _MAX_TICKS)
        return [(self._y(total), total) for total in range(0, self._most + 1, step)]

    @property
    def days(self) -> list[tuple[float, str, str]]:
        """Return the days below the curve: where each is, its name, and its ``text-anchor``."""
        length = self._last - self._first
        moments = [(self._first, "start")]
        if length > timedelta(days=2):
            moments.append((self._first + length / 2, "middle"))
        if length >= timedelta(days=1):
            moments.append((self._last, "end"))
        return [(self._x(moment), str(moment.date()), anchor) for moment, anchor in moments]

    def _x(self, moment: datetime) -> float:
        length = max(self._last - self._first, timedelta(days=1))
        return round(self.left + (self.right - self.left) * ((moment - self._first) / length), 1)

    def _y(self, total: int) -> float:
        return round(self.bottom - (self.bottom - self.top) * total / self._most, 1)


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram, whose row begins at ``y``."""

    name: str
    y: float
    width: float
    people: int
    awarded: bool | None


class Histogram:
    """How many people got how far; a line marks where the badge begins."""

    width = _WIDTH
    row = 26

    def __init__(self, counts: Distribution) -> None:
        bins = counts.bins
        self.left = _CHARACTER * max(len(each.name) for each in bins) + _GAP
        most = max(each.people for each in bins)
        longest = self.width - self.left - _GAP - _CHARACTER * len(str(most))
        below = sum(not each.awarded for each in bins)
        marked = counts.own is not None
        self.mark = self.row * (below + 1) - 3 if marked else None
        self.height = self.row * (len(bins) + marked)
        self.bars = [
            Bar(
                each.name,
                self.row * (number + (marked and number >= below)),
                max(round(longest * each.people / max(most, 1), 1), min(each.people, 1)),
                each.people,
                each.awarded,
            )
            for number, each in enumerate(bins)
        ]
        self.description = "; ".join(f"{each.name}: {each.people}" for each in bins) + "."
        if marked:
            self.description += f" The badge begins at {counts.own}."
