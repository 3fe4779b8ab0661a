"""What was earned in a replay so far, in place of what tahrir has."""

import datetime
from collections.abc import Collection, Iterable, Sequence

from fedbadges.engine.engine import Earned
from fedbadges.messages import Position
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import Award, BulkAwardResult
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import Holdings, Revocation


class ReplayedHoldings:
    """What was earned in the replay so far, in place of what tahrir has.

    ``source`` knows who opted out or lost a badge and, with ``skip_held``, who holds one.
    ``banned`` names get nothing.
    """

    def __init__(
        self,
        source: Tahrir | None,
        badge_ids: Sequence[str],
        banned: Collection[str],
        *,
        skip_held: bool,
    ) -> None:
        self._banned = banned
        self._source = source
        self._skip_held = skip_held
        self._badge_ids = badge_ids
        #: How many people hold each badge by now, as far as that counts.
        self._counts: dict[str, int] = {}
        if source is not None and skip_held:
            self._counts = source.count_holders(badge_ids)
        self._loaded: set[str] = set()
        self._held: dict[tuple[str, str], datetime.datetime] = {}
        self._revoked: dict[tuple[str, str], Revocation] = {}
        self.opted_out: set[str] = set()

    def load(self, names: Iterable[str]) -> None:
        """Ask the source who of these has opted out, or lost or holds a badge, if that matters."""
        new = set(names) - self._loaded
        if self._source is not None and new:
            self._loaded |= new
            known = self._source.holdings(new, self._badge_ids)
            self.opted_out |= known.opted_out
            self._revoked |= known.revoked
            if self._skip_held:
                self._held |= known.held

    def holds(self, username: str, badge_id: str) -> bool:
        """Return True if somebody holds a badge by now."""
        return (username, badge_id) in self._held

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Return who holds what by now, who lost what, and who opted out, of everybody."""
        return Holdings(self._held, self.opted_out, self._revoked)

    def within_limits(self, earned: Sequence[Earned]) -> list[Earned]:
        """Return what a message earned, but for badges that nobody more may hold; count these."""
        found = []
        for each in sorted(earned, key=lambda each: each.username):
            rule = each.rule
            if rule.first is not None:
                count = self._counts.get(rule.badge.id, 0)
                if count >= rule.first:
                    continue
                self._counts[rule.badge.id] = count + 1
            found.append(each)
        return found

    def is_excluded(self, username: str) -> bool:
        """Return True if somebody gets no badge at all."""
        return username in self._banned or username in self.opted_out

    def allows(self, username: str, badge_id: str, position: Position) -> bool:
        """Return True if an event at this position can give somebody a badge."""
        return self.holdings([], []).allows(username, badge_id, position)

    def hold(self, earned: Earned) -> None:
        """Add what somebody earned."""
        self._held[earned.username, earned.rule.badge.id] = earned.message.sent

    def award(self, awards: Iterable[Award], rules: Sequence[Rule] = ()) -> BulkAwardResult:
        """Add awards; nothing is announced, and what follows is found elsewhere."""
        self._held.update(((award.username, award.badge_id), award.issued_on) for award in awards)
        return BulkAwardResult()
