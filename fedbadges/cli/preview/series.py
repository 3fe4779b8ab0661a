"""What a series of badges would do, as one: the figures of its badges together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

from fedbadges.cli.preview.figures import (
    Distribution,
    Earner,
    OverTime,
    Preview,
    count_by_period,
    incomplete,
)
from fedbadges.cli.selection import describe_selection
from fedbadges.replay.selection import Selection
from fedbadges.util.text import pluralize, printable


@dataclass(frozen=True)
class BadgeLine:
    """What one badge of a series would do, in a line of a table; ``at_least`` is its threshold."""

    id: str
    name: str
    at_least: str
    awards: int
    first: date | None
    last: date | None


@dataclass(frozen=True)
class SeriesPreview:
    """The previews of the badges that one file gives, the easiest first, with their thresholds."""

    name: str
    badges: tuple[Preview, ...]
    thresholds: tuple[int | float, ...]

    @property
    def path(self) -> str:
        """Return the path of the file."""
        return self.badges[0].path

    @property
    def text(self) -> str:
        """Return the file."""
        return self.badges[0].text

    @property
    def read(self) -> int:
        """Return how many messages were replayed."""
        return self.badges[0].read

    @property
    def total(self) -> int:
        """Return how many messages the history has."""
        return self.badges[0].total

    @property
    def complete(self) -> bool:
        """Return True unless Ctrl-C stopped it."""
        return self.badges[0].complete

    @property
    def selection(self) -> Selection:
        """Return which messages could earn a badge, and who."""
        return self.badges[0].selection

    @property
    def people(self) -> int:
        """Return how many people would have a badge."""
        return len({earner.username for earner in self.earners})

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what to know about the result."""
        return tuple(describe_selection(self.selection, self.people))

    @property
    def subject(self) -> str:
        """Return what this is a preview of."""
        return f"the series {self.name}"

    @property
    def who(self) -> str:
        """Return the heading of the earners."""
        return "Who would have which, and since when"

    @property
    def lines(self) -> tuple[str, ...]:
        """Return how many badges there are, how far messages got, and why others did not."""
        funnel = self.badges[0].funnel
        reasons = (reason for each in self.badges for reason in each.funnel.reasons)
        return (
            f"A series of {pluralize(len(self.badges), 'badge')}",
            f"Seen: {funnel.seen:,}, triggered: {funnel.triggered:,}.",
            *dict.fromkeys(reasons),
        )

    @cached_property
    def awards(self) -> tuple[tuple[str, Earner], ...]:
        """Return all awards by date, each with the badge's id."""
        found = [award for each in self.badges for award in each.awards]
        return tuple(sorted(found, key=lambda award: award[1].when))

    @property
    def earners(self) -> tuple[Earner, ...]:
        """Return who earns a badge, by date, once for each badge."""
        return tuple(earner for _, earner in self.awards)

    @cached_property
    def over_time(self) -> OverTime:
        """Return the awards of all badges by period."""
        return count_by_period(earner.when for earner in self.earners)

    @cached_property
    def counts(self) -> Distribution | None:
        """Return how far people got, with the thresholds of all badges; None if that is no count.

        The first badge is the one that says who has an account.
        """
        first, *others = (each.counts for each in self.badges)
        owns = [each.own for each in others if each is not None and each.own is not None]
        if first is None or first.own is None or len(owns) < len(others):
            return None
        return replace(first, further=tuple(owns))

    @property
    def labels(self) -> dict[int, str]:
        """Return the id of the badge at each threshold of ``counts``."""
        owns = () if self.counts is None else self.counts.owns
        return dict(zip(owns, (each.badge.id for each in self.badges), strict=False))

    @property
    def table(self) -> Sequence[BadgeLine]:
        """Return a line for each badge."""
        return [
            BadgeLine(
                each.badge.id,
                each.badge.name,
                f"{threshold:g}" if isinstance(threshold, float) else str(threshold),
                len(each.earners),
                each.earners[0].when.date() if each.earners else None,
                each.earners[-1].when.date() if each.earners else None,
            )
            for each, threshold in zip(self.badges, self.thresholds, strict=True)
        ]

    @property
    def summary(self) -> str:
        """Return the main result in one line."""
        people = "Nobody would have one."
        if self.awards:
            badges = pluralize(len(self.awards), "badge")
            dated = [f"{printable(each.username)} on {each.when.date()}" for each in self.earners]
            when = f"; the first was {dated[0]}, the last {dated[-1]}"
            people = (
                f"{pluralize(self.people, 'person', 'people')} would have {badges}"
                f"{when if len(dated) > 1 else f': {dated[0]}'}."
            )
        return people if self.complete else f"{people} {incomplete(self.read, self.total)}"
