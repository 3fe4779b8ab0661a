"""What a rule would have done: all that a preview shows."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from fedbadges.cli.preview.figures import Distribution, OverTime, count_by_period
from fedbadges.rules.rule import Badge
from fedbadges.util.text import printable


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
    history were replayed; it is not ``complete`` if Ctrl-C stopped it.
    """

    badge: Badge
    path: str
    text: str
    earners: tuple[Earner, ...]
    counts: Distribution | None
    read: int
    total: int
    complete: bool

    @cached_property
    def over_time(self) -> OverTime:
        """Return the awards by period."""
        return count_by_period(earner.when for earner in self.earners)

    @property
    def summary(self) -> str:
        """Return the main result in one line."""
        if self.complete:
            return self._people()
        return f"{self._people()} Only {self.read} of {self.total} messages were read."

    def _people(self) -> str:
        if not self.earners:
            return "Nobody would have it."
        first, last = self.earners[0], self.earners[-1]
        if len(self.earners) == 1:
            return f"1 person would have it: {_earned(first)}."
        return (
            f"{len(self.earners)} people would have it; "
            f"the first was {_earned(first)}, the last {_earned(last)}."
        )


def _earned(earner: Earner) -> str:
    return f"{printable(earner.username)} on {earner.when.date()}"
