"""Who holds which badge, remembered for a minute, so that a busy person costs few questions."""

import datetime
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import Award, BulkAwardResult
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import Holdings, Revocation
from fedbadges.util.caching import BoundedDict
from fedbadges.util.instruments import CacheLookups

T = TypeVar("T")

_lookups = CacheLookups("holdings")

#: How many people are remembered at most.
_MOST = 10_000


class _Answer(NamedTuple):
    """What tahrir said at a moment, in seconds of the clock, of a person and some badges."""

    asked: float
    badge_ids: frozenset[str]
    opted_out: bool
    held: Mapping[str, datetime.datetime]
    revoked: Mapping[str, Revocation]


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
        self._answers: BoundedDict[str, _Answer] = BoundedDict(_MOST)

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Return what ``Tahrir.holdings`` does or did some seconds ago, perhaps of more badges."""
        names, wanted = set(usernames), frozenset(badge_ids)
        oldest = self._clock() - self._seconds
        fresh = {
            name: answer
            for name in names
            if (answer := self._answers.get(name)) is not None and answer.asked > oldest
        }
        known = {name: answer for name, answer in fresh.items() if wanted <= answer.badge_ids}
        missing = names.difference(known)
        _lookups.count(True, len(known))
        _lookups.count(False, len(missing))
        if missing:
            # What one message asks of somebody the next may ask as well.
            widened = wanted.union(*(answer.badge_ids for answer in fresh.values()))
            known |= self._ask(missing, widened)
        return Holdings(
            _by_pair({name: answer.held for name, answer in known.items()}),
            {name for name, answer in known.items() if answer.opted_out},
            _by_pair({name: answer.revoked for name, answer in known.items()}),
        )

    def award(self, awards: Iterable[Award], rules: Sequence[Rule] = ()) -> BulkAwardResult:
        """Award badges as ``Tahrir.award`` does, and forget what is known of these people."""
        wanted = list(awards)
        try:
            return self._tahrir.award(wanted, rules)
        finally:
            for each in wanted:
                self._answers.pop(each.username, None)

    def _ask(self, names: Iterable[str], badge_ids: frozenset[str]) -> dict[str, _Answer]:
        now = self._clock()
        found = self._tahrir.holdings(names, badge_ids)
        held, revoked = _by_name(found.held), _by_name(found.revoked)
        answers = {
            name: _Answer(
                now, badge_ids, name in found.opted_out, held.get(name, {}), revoked.get(name, {})
            )
            for name in names
        }
        for name, answer in answers.items():
            self._answers[name] = answer
        return answers


def _by_name(pairs: Mapping[tuple[str, str], T]) -> dict[str, dict[str, T]]:
    """Return what is known of pairs of a person and a badge, by person."""
    found: dict[str, dict[str, T]] = defaultdict(dict)
    for (name, badge_id), each in pairs.items():
        found[name][badge_id] = each
    return found


def _by_pair(people: Mapping[str, Mapping[str, T]]) -> dict[tuple[str, str], T]:
    return {(name, key): each for name, found in people.items() for key, each in found.items()}
