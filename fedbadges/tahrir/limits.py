"""Badges that at most so many people hold."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from fedbadges.config.settings import Settings
from fedbadges.tahrir.awarding import Award, as_of
from fedbadges.tahrir.holders import Holders, count_holders
from fedbadges.tahrir.holdings import find_people

#: The first half of the keys of advisory locks, each for a badge: a random number.
_LOCKS = 0x3A67_B2F1
_LOCK = text("SELECT pg_advisory_xact_lock(:locks, hashtext(:badge))")


def within_limits(
    connection: Connection, settings: Settings, wanted: Sequence[Award]
) -> list[Award]:
    """Return the awards, but for those of badges that nobody more may hold.

    Until the transaction ends, no other awards these badges. Those who come first get them.
    """
    limits = {award.badge_id: award.limit for award in wanted if award.limit is not None}
    if not limits:
        return list(wanted)
    if connection.dialect.name == "postgresql":  # SQLite has one writer
        for badge_id in sorted(limits):
            connection.execute(_LOCK, {"locks": _LOCKS, "badge": badge_id})
    held = count_holders(connection, limits)
    left = {
        badge_id: limit - held.get(badge_id, Holders()).number for badge_id, limit in limits.items()
    }
    names = {award.username for award in wanted}
    known = find_people(connection, settings, names, limits)
    excluded = {(name, row.badge_id) for name, row in known}
    opted_out = {name for name, row in known if row.opt_out}
    found = []
    for award in sorted(wanted, key=lambda award: (as_of(award), award.username)):
        taken = (award.username, award.badge_id) in excluded or award.username in opted_out
        if award.badge_id in limits and not taken:
            if left[award.badge_id] <= 0:
                continue
            left[award.badge_id] -= 1
        found.append(award)
    return sorted(found, key=lambda award: (award.badge_id, award.username))
