"""What the engine asks of tahrir."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import Award, BulkAwardResult
from fedbadges.tahrir.holdings import Holdings


class BadgeStore(Protocol):
    """Who holds what: tahrir, or what stands for it."""

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Return who of these people holds, or lost, which of these badges, and who opted out."""

    def award(self, awards: Iterable[Award], rules: Sequence[Rule] = ()) -> BulkAwardResult:
        """Award badges, and what follows from them by ``rules``, which have no triggers.

        Those that are not to be announced are left out of the result.
        """
