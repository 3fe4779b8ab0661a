"""What was seen of the history at some time, so that what is stored later can be told from it.

Messages are stored in another order than they are sent. But they get their row numbers in the order
in which they are stored, but for those that are being committed at that time.
"""

import datetime
from dataclasses import dataclass


@dataclass(frozen=True)
class Horizon:
    """The row numbers that were seen: all up to ``mark`` but for the ``gaps``.

    ``lineage`` names the window that saw them, and knows what was stored late since; it is empty if
    there is no such window.
    """

    mark: int
    gaps: frozenset[int] = frozenset()
    lineage: str = ""

    def has(self, number: int) -> bool:
        """Return True if the row of this number was seen, if there is one."""
        return number <= self.mark and number not in self.gaps

    def has_all_of(self, other: "Horizon") -> bool:
        """Return True if every row was seen that was seen according to another horizon."""
        if self.mark < other.mark:
            return False
        return self.gaps is other.gaps or not any(map(other.has, self.gaps))


@dataclass(frozen=True)
class Base:
    """The messages of a cached count: sent up to ``until``, naive UTC, and within the horizon."""

    until: datetime.datetime
    horizon: Horizon

    def has(self, sent: datetime.datetime, number: int) -> bool:
        """Return True if the base has the message of this time and row number."""
        return sent <= self.until and self.horizon.has(number)

    def extends(self, other: "Base | None") -> bool:
        """Return True if it has all that another base has.

        It need not where a clock stepped back, where the horizon is a cautious estimate, or where
        another process has seen more by then.
        """
        if other is None:
            return True
        return other.until <= self.until and self.horizon.has_all_of(other.horizon)


class OutdatedBase(Exception):
    """The database has lost rows that a base has, as after restoring a backup."""
