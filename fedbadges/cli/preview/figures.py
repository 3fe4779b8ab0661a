"""What a preview shows: who got how far, other thresholds, and awards over time."""

import operator
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from itertools import accumulate

from fedbadges.cli.selection import describe_selection
from fedbadges.criteria.datanommer import past_messages
from fedbadges.engine.funnel import Funnel
from fedbadges.replay.selection import EVERYTHING, Selection
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.criteria import Criteria
from fedbadges.rules.rule import Badge
from fedbadges.util.text import printable

#: 1, 2, 5, 10, 25, 50, 100, 250 and so on: where bins begin, and thresholds worth a look.
LADDER = (1, 2, 5, *(step * 10**power for power in range(11) for step in (10, 25, 50)))

#: Counts are limited to this, and to its negative: nobody did anything as often.
LIMIT = 10**11

#: There are about this many bins of equal width at most.
_MAX_BINS = 20

#: If the greatest count is this many times the least, bins get wider and wider.
_WIDE = 10

#: A bin that begins or ends at the rule's threshold has at least a quarter of the usual width.
_MIN_PART = 4

#: More periods than these are hard to read.
_MAX_PERIODS = 24

#: The number of the period that a moment is in, and the name of a period by its number; from the
#: finest unit to the coarsest.
_UNITS: Mapping[str, tuple[Callable[[datetime], int], Callable[[int], str]]] = {
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
class Bin:
    """The people whose count is at least ``low`` and below ``high``; None is without a limit.

    ``awarded`` is True if they get the badge, and None if the rule has no threshold.
    """

    low: int
    high: int | None
    people: int
    awarded: bool | None

    @property
    def name(self) -> str:
        """Return the counts that the bin is for, such as ``5 to 9``."""
        if self.high is None:
            return f"{self.low} or more"
        last = self.high - 1
        return str(last) if last == self.low else f"{self.low} to {last}"


@dataclass(frozen=True)
class Threshold:
    """The awards if a count of ``at_least`` were enough; ``own`` marks the rule's threshold."""

    at_least: int
    awards: int
    own: bool


@dataclass(frozen=True)
class Distribution:
    """The highest count that each person reached.

    ``own`` is the least count for which the rule awards its badge; None if it has no threshold.
    ``further`` are those of the badges that follow it in a series. ``unit`` is what is counted, in
    the singular, where that are no messages.
    """

    peaks: Mapping[str, int]
    own: int | None
    unit: str = ""
    further: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """Return what the figure of the bins shows."""
        return f"How far people got{self.unit and f', in {self.unit}s'}"

    @property
    def owns(self) -> tuple[int, ...]:
        """Return the thresholds of the rule, or of all badges of the series."""
        return () if self.own is None else (self.own, *self.further)

    @cached_property
    def _values(self) -> list[int]:
        return sorted(self.peaks.values())

    def awards(self, at_least: int) -> int:
        """Return how many people reached the count ``at_least``."""
        return len(self._values) - bisect_left(self._values, at_least)

    @cached_property
    def bins(self) -> tuple[Bin, ...]:
        """Return all people in bins, one of which begins at each threshold of the rule."""
        if not self._values:
            return ()
        edges = _edges(self._values[0], self._values[-1])
        for own in self.owns:
            edges = _with_own(edges, own, self.owns)
        highs: list[int | None] = [*edges[1:]]
        if self.owns and self.owns[-1] >= edges[-1]:
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

    @property
    def own_awards(self) -> int:
        """Return how many people reached the rule's threshold, if it has one."""
        return 0 if self.own is None else self.awards(self.own)

    @cached_property
    def thresholds(self) -> tuple[Threshold, ...]:
        """Return the rule's threshold among others that somebody reached."""
        if self.own is None:
            return ()
        reached = {step for step in LADDER if self.awards(step)}
        return tuple(
            Threshold(step, self.awards(step), step in self.owns)
            for step in sorted(reached.union(self.owns))
        )


def distribution_of(
    criteria: Criteria, peaks: Mapping[str, int], earners: Set[str]
) -> Distribution | None:
    """Return the distribution of the counts that people reached; None if it is not one count.

    People who reached the threshold but are not among the ``earners`` have no account; they are
    left out.
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
    enough = condition.enough if condition.compare in (operator.ge, operator.gt) else None
    own = enough if enough is not None and -LIMIT < enough <= LIMIT else None
    return Distribution(usable, own, question.operation.unit)


def _edges(least: int, greatest: int) -> list[int]:
    """Return where bins begin, and at last where they end, above the greatest."""
    if greatest > _MAX_BINS and greatest >= _WIDE * max(least, 1) and least >= 0:
        steps = [0, *LADDER]
        return steps[bisect_right(steps, least) - 1 : bisect_right(steps, greatest) + 1]
    width = next(step for step in LADDER if (greatest - least) // step < _MAX_BINS)
    return [number * width for number in range(least // width, greatest // width + 2)]


def _with_own(edges: list[int], own: int, owns: Collection[int]) -> list[int]:
    """Add a threshold to the edges, in place of those that are too near to it.

    Those at other thresholds, which are among ``owns``, stay.
    """
    if own in edges:
        return edges
    first, *others, end = edges
    at = bisect_left(edges, own)
    least = (edges[at] - edges[at - 1]) // _MIN_PART if 0 < at < len(edges) else 0
    apart = [edge for edge in others if edge in owns or abs(edge - own) >= least]
    return sorted([first, *apart, end, own])


@dataclass(frozen=True)
class Period:
    """The awards in a period, such as ``2014-10``, and the total up to its end."""

    period: str
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
    spans = {
        name: number_of(moments[-1]) - number_of(moments[0]) + 1
        for name, (number_of, _) in _UNITS.items()
    }
    unit = next((name for name, span in spans.items() if span <= _MAX_PERIODS), "year")
    number_of, name_of = _UNITS[unit]
    counts = Counter(map(number_of, moments))
    few = spans[unit] <= _MAX_PERIODS
    numbers = range(min(counts), max(counts) + 1) if few else sorted(counts)
    totals = accumulate(counts[number] for number in numbers)
    periods = (
        Period(name_of(number), counts[number], total)
        for number, total in zip(numbers, totals, strict=True)
    )
    return OverTime(unit, tuple(periods))


@dataclass(frozen=True)
class Earner:
    """Somebody who would have earned the badge, and by which message; ``when`` is naive UTC."""

    username: str
    when: datetime
    topic: str
    msg_id: str | None
    link: str | None


@dataclass(frozen=True)
class Preview:
    """What the rule at ``path`` would have done; ``text`` is its file, ``earners`` are by date.

    ``counts`` is None if the criteria are not one count. ``read`` of ``total`` messages of the
    history were replayed; it is not ``complete`` if Ctrl-C stopped it. ``funnel`` is how far those
    messages got. The ``selection`` says which of them could earn it, and who.
    """

    badge: Badge
    path: str
    text: str
    earners: tuple[Earner, ...]
    counts: Distribution | None
    read: int
    total: int
    complete: bool
    funnel: Funnel = field(default_factory=Funnel)
    selection: Selection = EVERYTHING

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what to know about the result."""
        return tuple(describe_selection(self.selection, len(self.earners)))

    @property
    def name(self) -> str:
        """Return the name of the badge."""
        return self.badge.name

    @property
    def subject(self) -> str:
        """Return what this is a preview of."""
        return f"the badge {self.badge.id}"

    @property
    def who(self) -> str:
        """Return the heading of the earners."""
        return "Who would have it, and since when"

    @property
    def lines(self) -> tuple[str, ...]:
        """Return what the badge is for, how far messages got, and why others did not."""
        return self.badge.description, str(self.funnel), *self.funnel.reasons

    @property
    def awards(self) -> tuple[tuple[str, Earner], ...]:
        """Return the badge's id with each earner."""
        return tuple((self.badge.id, earner) for earner in self.earners)

    @property
    def labels(self) -> dict[int, str]:
        """Return what begins at the threshold of ``counts``, if they have one."""
        owns = () if self.counts is None else self.counts.owns
        return dict.fromkeys(owns, "The badge")

    @cached_property
    def over_time(self) -> OverTime:
        """Return the awards by period."""
        return count_by_period(earner.when for earner in self.earners)

    @property
    def summary(self) -> str:
        """Return the main result in one line."""
        dated = [f"{printable(each.username)} on {each.when.date()}" for each in self.earners]
        people = "Nobody would have it."
        if len(dated) == 1:
            people = f"1 person would have it: {dated[0]}."
        elif dated:
            first, *_, last = dated
            people = f"{len(dated)} people would have it; the first was {first}, the last {last}."
        return people if self.complete else f"{people} {incomplete(self.read, self.total)}"


def incomplete(read: int, total: int) -> str:
    """Return that not everything was read."""
    return f"Only {read} of {total} messages were read."
