"""Which messages of the history may earn badges in a replay, and whose badges are looked at."""

import functools
import hashlib
import math
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from fedbadges.engine.engine import Triggered

#: For how many people it is cached whether they are in a sample.
_MOST_NAMES = 100_000

#: Half of 1.96: with the square root of a count, 95 % of all samples are within this of the mean.
_HALF_WIDTH = 0.98


@dataclass(frozen=True)
class Selection:
    """Messages sent from ``since`` on and before ``until``, naive UTC, and people.

    The people are those of ``users``, in lower case, or a ``sample``, which is a share of all; by
    default everybody. Past messages count whenever they were sent, and whoever they are from.
    """

    since: datetime | None = None
    until: datetime | None = None
    users: frozenset[str] = frozenset()
    sample: float | None = None

    def takes(self, sent: datetime) -> bool:
        """Return True if a message of that time can earn a badge."""
        return not self.is_before(sent) and not self.is_over(sent)

    def is_before(self, sent: datetime) -> bool:
        """Return True if a message of that time is too old to earn a badge."""
        return self.since is not None and sent < self.since

    def is_over(self, sent: datetime) -> bool:
        """Return True if neither a message of that time nor a later one can earn a badge."""
        return self.until is not None and sent >= self.until

    def has(self, username: str) -> bool:
        """Return True if somebody is selected."""
        if self.sample is not None:
            return _place(username) < self.sample
        return not self.users or username in self.users

    def narrow(self, triggered: Triggered) -> Triggered | None:
        """Return a message with the people who are selected alone; None if that is nobody.

        Where only the first so many get a badge, all people stay, as they may come before these.
        """
        if self.sample is None and not self.users:
            return triggered
        chosen = (
            (rule, tuple(filter(self.has, names)) if rule.first is None else names)
            for rule, names in triggered.people
        )
        people = [(rule, names) for rule, names in chosen if names]
        return triggered.with_people(people) if people else None


#: All messages, and everybody.
EVERYTHING = Selection()


@functools.lru_cache(_MOST_NAMES)
def _place(username: str) -> float:
    """Return a number from 0 to 1 that looks like chance, and is always the same for a name."""
    digest = hashlib.blake2b(username.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


class Estimate(NamedTuple):
    """How many of all people there probably are, and the limits that 95 % of all samples give."""

    likely: int
    least: int
    most: int


def estimate(found: int, sample: float) -> Estimate:
    """Return how many of all people there are, if a share of them has so many."""
    # The square root of a count has the same deviation whatever its mean is.
    width = _HALF_WIDTH * math.sqrt(1 - sample)
    least = max(math.sqrt(found) - width, 0) ** 2
    most = (math.sqrt(found + 1) + width) ** 2
    return Estimate(
        round(found / sample),
        max(found, math.floor(least / sample)),
        math.ceil(most / sample),
    )
