"""What people hold: all their badges, with the tags of each."""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, select
from tahrir_api.model import Assertion, Person, Tag, badge_tags
from tahrir_api.model import Badge as BadgeRow

from fedbadges.config.settings import Settings
from fedbadges.databases.prepared_statements import array_parameter, is_any_of
from fedbadges.rules.held_badges import Held
from fedbadges.tahrir.holdings import find_people

#: About how many people one statement asks; SQLite has a limit.
_BATCH = 1000

_ASSERTIONS, _TAGS = Assertion.__table__.c, Tag.__table__
_HELD = (
    select(_ASSERTIONS.person_id, _ASSERTIONS.badge_id, _TAGS.c.name)
    .outerjoin_from(Assertion.__table__, badge_tags, badge_tags.c.badge_id == _ASSERTIONS.badge_id)
    .outerjoin(_TAGS, _TAGS.c.id == badge_tags.c.tag_id)
    .where(is_any_of(_ASSERTIONS.person_id, array_parameter("people")))
)
_SINCE = select(_ASSERTIONS.person_id, _ASSERTIONS.badge_id, _ASSERTIONS.issued_on).where(
    is_any_of(_ASSERTIONS.person_id, array_parameter("people"))
)
_HOLDERS = (
    select(Person.id, Person.nickname, Person.email)
    .where(Person.opt_out.is_(False))
    .where(
        Person.id.in_(
            select(_ASSERTIONS.person_id).where(
                is_any_of(_ASSERTIONS.badge_id, array_parameter("ids"))
            )
        )
    )
    .order_by(Person.id)
)
_ALL_TAGS = select(BadgeRow.id, _TAGS.c.name).select_from(
    BadgeRow.__table__.outerjoin(
        badge_tags, badge_tags.c.badge_id == BadgeRow.__table__.c.id
    ).outerjoin(_TAGS, _TAGS.c.id == badge_tags.c.tag_id)
)


class HeldSince(NamedTuple):
    """A badge that somebody holds, and since when, naive UTC."""

    since: datetime.datetime
    badge_id: str


def held_badges(connection: Connection, person_ids: Iterable[int]) -> dict[int, Held]:
    """Return what these people hold, by tahrir's numbers of theirs."""
    found: dict[int, dict[str, set[str]]] = {}
    for batch in _batches(person_ids):
        found |= {number: {} for number in batch}
        for person_id, badge_id, tag in connection.execute(_HELD, {"people": batch}):
            tags = found[person_id].setdefault(badge_id, set())
            if tag is not None:
                tags.add(tag)
    return dict(found)


def held_by_name(connection: Connection, settings: Settings, username: str) -> Held:
    """Return what somebody holds; nothing, if tahrir does not know them."""
    people = {row.number for _, row in find_people(connection, settings, [username], [])}
    held: dict[str, set[str]] = {}
    for found in held_badges(connection, people).values():
        held |= {badge_id: set(tags) for badge_id, tags in found.items()}
    return held


def held_since(
    connection: Connection, settings: Settings, usernames: Iterable[str]
) -> dict[str, list[HeldSince]]:
    """Return what people hold, the oldest first, by the names of those whom tahrir knows."""
    numbers = {row.number: name for name, row in find_people(connection, settings, usernames, [])}
    found: dict[str, list[HeldSince]] = {name: [] for name in numbers.values()}
    for batch in _batches(numbers):
        for person_id, badge_id, issued_on in connection.execute(_SINCE, {"people": batch}):
            found[numbers[person_id]].append(HeldSince(issued_on, badge_id))
    return {name: sorted(held) for name, held in found.items()}


def holders_of(connection: Connection, settings: Settings, badge_ids: Iterable[str]) -> list[str]:
    """Return the names of those who hold one of these badges, and have not opted out."""
    rows = connection.execute(_HOLDERS, {"ids": sorted(set(badge_ids))})
    names = []
    for _, nickname, email in rows:
        name = (nickname or "").lower()
        local = email.partition("@")[0].lower()
        # Whoever has the address of an account is that account.
        names.append(local if email.lower() == settings.email_of(local) else name)
    return list(dict.fromkeys(filter(None, names)))


def tags_of_badges(connection: Connection) -> dict[str, set[str]]:
    """Return the tags of all badges that tahrir has."""
    found: dict[str, set[str]] = defaultdict(set)
    for badge_id, tag in connection.execute(_ALL_TAGS):
        found[badge_id].update(() if tag is None else (tag,))
    return dict(found)


def _batches(numbers: Iterable[int]) -> Iterator[list[int]]:
    ordered = sorted(set(numbers))
    for start in range(0, len(ordered), _BATCH):
        yield ordered[start : start + _BATCH]
