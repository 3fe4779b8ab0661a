"""Badges for those who are in a group of FASJSON now."""

import datetime
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from fedbadges.config.settings import GroupBadge, Settings
from fedbadges.messages import Position, naive_utc
from fedbadges.replay.backfill import DueAward
from fedbadges.rules.recipients import account
from fedbadges.rules.rule import Badge
from fedbadges.tahrir.awarding import Award

#: Returns the names of those in a group, or None if there is no such group.
PeopleIn = Callable[[str, str], Iterable[str] | None]

#: Before every revocation: somebody who is still in a group gets nothing back for that.
_BEFORE_ALL: Position = (datetime.datetime.min, 0)


def find_people(
    wanted: Iterable[GroupBadge], people_in: PeopleIn
) -> dict[tuple[str, str], list[str] | None]:
    """Return who is in the groups, by group and memberships; None for one that does not exist.

    Raises Unavailable.
    """
    found: dict[tuple[str, str], list[str] | None] = {}
    for each in wanted:
        key = each.group, each.memberships
        if key not in found:
            people = people_in(*key)
            found[key] = None if people is None else sorted(people)
    return found


def due_awards(
    wanted: GroupBadge, people: Iterable[str], settings: Settings, badges: Mapping[str, Badge]
) -> Iterator[DueAward]:
    """Yield the award for everybody in a group who can get badges; some may hold it already.

    ``badges`` are those of rules, by their ids; one that is deleted is created again.
    """
    now = naive_utc(time.time())
    names = {account(text).name for text in people} - {None}
    for name in sorted(filter(None, names)):
        if name not in settings.banned_usernames:
            award = Award(
                wanted.badge,
                name,
                issued_on=now,
                badge=badges.get(wanted.badge),
                position=_BEFORE_ALL,
            )
            yield DueAward(award, group=wanted)
