"""Who holds which badge, remembered for a minute, so that a busy person costs few questions."""

import datetime
import time
from collections.abc import Callable, Iterable
from itertools import product
from typing import NamedTuple

from fedbadges.tahrir.awarding import Award, BulkAwardResult
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import Holdings, Revocation
from fedbadges.util.caching import BoundedDict

#: How many pairs of a person and a badge are remembered at most.
_MOST = 100_000


class _Known(NamedTuple):
    """What is known of a person and a badge since a moment, in seconds of the clock."""

    asked: float
    opted_out: bool
    held: datetime.datetime | None
    revoked: Revocation | None


class RememberedHoldings:
    """A tahrir that remembers its answers about people for some seconds; thread-safe.

    An award asks again, within its transaction, so who got a badge or opted out meanwhile gets
    none. Who lost a badge, or came back, is seen to have it, or to be away, until then.
    """

    def __init__(
        self, tahrir: Tahrir, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tahrir = tahrir
        self._seconds = seconds
        self._clock = clock
        self._known: BoundedDict[tuple[str, str], _Known] = BoundedDict(_MOST)

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Return what ``Tahrir.holdings`` does, or did some seconds ago."""
        wanted = list(product(set(usernames), set(badge_ids)))
        now = self._clock()
        oldest = now - self._seconds
        known: dict[tuple[str, str], _Known] = {}
        missing: list[tuple[str, str]] = []
        for pair in wanted:
            found = self._known.get(pair)
            if found is None or found.asked <= oldest:
                missing.append(pair)
            else:
                known[pair] = found
        if missing:
            known |= self._ask(missing, now)
        return Holdings(
            {pair: each.held for pair, each in known.items() if each.held is not None},
            {pair[0] for pair, each in known.items() if each.opted_out},
            {pair: each.revoked for pair, each in known.items() if each.revoked is not None},
        )

    def award(self, awards: Iterable[Award]) -> BulkAwardResult:
        """Award badges as ``Tahrir.award`` does, and forget what is known of these people."""
        wanted = list(awards)
        try:
            return self._tahrir.award(wanted)
        finally:
            for each in wanted:
                self._known.pop((each.username, each.badge_id), None)

    def _ask(self, pairs: Iterable[tuple[str, str]], now: float) -> dict[tuple[str, str], _Known]:
        names, ids = {name for name, _ in pairs}, {badge_id for _, badge_id in pairs}
        found = self._tahrir.holdings(names, ids)
        asked = {
            pair: _Known(
                now, pair[0] in found.opted_out, found.held.get(pair), found.revoked.get(pair)
            )
            for pair in product(names, ids)
        }
        for pair, each in asked.items():
            self._known[pair] = each
        return asked
