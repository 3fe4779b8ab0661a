"""How far people got, and how many of them any threshold would reach."""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property

from fedbadges.criteria.datanommer import past_messages
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.criteria import Criteria

#: 1, 2, 5, 10, 25, 50, 100, 250 and so on: where bins begin, and thresholds worth a look.
LADDER = (1, 2, 5, *(step * 10**power for power in range(11) for step in (10, 25, 50)))

#: What is more, or less than its contrary, counts as so much: nobody did anything as often.
LIMIT = 10**11

#: Bins of equal width are about as many as these at most.
_MOST_BINS = 20

#: Where the greatest is so many times the least, bins of equal width say little.
_WIDE = 10

#: The rule's own threshold makes no bin that is narrower than this part of the one it splits.
_APART = 4


@dataclass(frozen=True)
class Bin:
    """How many people got at least to ``low`` but not to ``high``, which None leaves open.

    ``awarded`` is whether the rule gives them its badge; None where it has no such threshold.
    """

    low: int
    high: int | None
    people: int
    awarded: bool | None


@dataclass(frozen=True)
class Threshold:
    """How many people would get the badge for ``at_least`` so many; ``own`` is the rule's."""

    at_least: int
    awards: int
    own: bool


@dataclass(frozen=True)
class Distribution:
    """The highest count that each person reached.

    ``own`` is the least count for which the rule gives its badge; None where more is not better.
    """

    peaks: Mapping[str, int]
    own: int | None

    @cached_property
    def _values(self) -> list[int]:
        return sorted(self.peaks.values())

    def awards(self, at_least: int) -> int:
        """Count the people who got to ``at_least``."""
        return len(self._values) - bisect_left(self._values, at_least)

    @cached_property
    def bins(self) -> tuple[Bin, ...]:
        """Sort all people into bins; one of these begins at the rule's own threshold."""
        if not self._values:
            return ()
        edges = _with_own(_edges(self._values[0], self._values[-1]), self.own)
        highs: list[int | None] = [*edges[1:]]
        if self.own is not None and self.own >= edges[-1]:
            highs.append(None)
        return tuple(
            Bin(
                low,
                high,
                self.awards(low) - (0 if high is None else self.awards(high)),
                None if self.own is None else low >= self.own,
            )
            for low, high in zip(edges, highs, strict=False)
        )

    @cached_property
    def thresholds(self) -> tuple[Threshold, ...]:
        """Give the rule's own threshold among others that somebody reached."""
        if self.own is None:
            return ()
        reached = {step for step in LADDER if self.awards(step)}
        return tuple(
            Threshold(step, self.awards(step), step == self.own)
            for step in sorted(reached | {self.own})
        )


def counts_of(
    criteria: Criteria, peaks: Mapping[str, int], earners: Set[str]
) -> Distribution | None:
    """Make counts of what people reached, where the criteria are one count.

    Who got there and is none of the ``earners`` has no account, and is left out.
    """
    question = past_messages(criteria)
    if question is None or not isinstance(question.condition, Comparison):
        return None
    if not earners <= peaks.keys():  # not everything that was compared is a whole number
        return None
    condition = question.condition
    usable = {
        name: max(-LIMIT, min(LIMIT, value))
        for name, value in peaks.items()
        if name in earners or not condition.holds(value)
    }
    return Distribution(usable, _own(condition))


def span(bin_: Bin) -> str:
    """Write which numbers a bin is for."""
    if bin_.high is None:
        return f"{bin_.low} or more"
    last = bin_.high - 1
    return str(last) if last == bin_.low else f"{bin_.low} to {last}"


def _own(condition: Comparison) -> int | None:
    """Say from which count on a condition holds, if that is how it works."""
    if condition.compare not in (operator.ge, operator.gt):
        return None
    enough = condition.enough
    return enough if enough is not None and -LIMIT < enough <= LIMIT else None


def _edges(least: int, greatest: int) -> list[int]:
    """Say where bins begin; the last of these is where they end, above the greatest."""
    if greatest > _MOST_BINS and greatest >= _WIDE * max(least, 1) and least >= 0:
        steps = [0, *LADDER]
        return steps[bisect_right(steps, least) - 1 : bisect_right(steps, greatest) + 1]
    width = next(step for step in LADDER if (greatest - least) // step < _MOST_BINS)
    first = least // width
    last = greatest // width + 1
    return [number * width for number in range(first, last + 1)]


def _with_own(edges: list[int], own: int | None) -> list[int]:
    """Put the rule's own threshold among the edges, in place of those that are hardly another."""
    if own is None or own in edges:
        return edges
    first, *others, end = edges
    at = bisect_left(edges, own)
    least = (edges[at] - edges[at - 1]) // _APART if 0 < at < len(edges) else 0
    apart = [edge for edge in others if abs(edge - own) >= least]
    return sorted([first, *apart, end, own])
