"""Who holds which badge, and who opted out."""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select
from tahrir_api.model import Assertion, Person

from fedbadges.config.settings import Settings
from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of

#: How many people one statement asks about; SQLite has a limit.
_BATCH = 1000

# As tahrir_api compares them.
_ADDRESS, _NICKNAME = func.lower(Person.email), func.lower(Person.nickname)


def _select(whom: Any) -> PreparedStatement:
    held = and_(
        Assertion.person_id == Person.id, is_any_of(Assertion.badge_id, array_parameter("ids"))
    )
    return PreparedStatement(
        select(
            Person.id.label("number"),
            Person.email,
            Person.nickname,
            _ADDRESS.label("address"),
            _NICKNAME.label("nick"),
            Person.opt_out,
            Assertion.badge_id,
            Assertion.issued_on,
        )
        .outerjoin(Assertion, held)
        .where(whom)
    )


# An exact address has an index in any case. Only what that lookup misses is compared in lower case.
_EXACT = _select(is_any_of(Person.email, array_parameter("emails")))
_IN_LOWER_CASE = _select(
    or_(
        is_any_of(_ADDRESS, array_parameter("emails")),
        is_any_of(_NICKNAME, array_parameter("names")),
    )
)


@dataclass(frozen=True)
class Holdings:
    """Since when, naive UTC, people hold badges, by (username, badge id); and who opted out."""

    held: Mapping[tuple[str, str], datetime.datetime]
    opted_out: Set[str]

    def allows(self, username: str, badge_id: str) -> bool:
        """Return True if this person could still get this badge."""
        return username not in self.opted_out and (username, badge_id) not in self.held


def find_people(
    connection: Connection, settings: Settings, usernames: Iterable[str], badge_ids: Iterable[str]
) -> list[tuple[str, Any]]:
    """Look people up in tahrir, all at once: by their address, or else by their nickname.

    Returns the known ones, each with a row for every one of these badges that they hold. A person
    without any of them has one row.
    """
    names, ids = sorted(set(usernames)), sorted(set(badge_ids))
    return [
        found
        for start in range(0, len(names), _BATCH)
        for found in _find(connection, settings, names[start : start + _BATCH], ids)
    ]


def _find(
    connection: Connection, settings: Settings, names: list[str], ids: list[str]
) -> Iterator[tuple[str, Any]]:
    by_email = {settings.email_of(name): name for name in names}
    missed = set(names)
    for row in _EXACT.execute(connection, {"emails": list(by_email), "ids": ids}).all():
        missed.discard(by_email[row.email])
        yield by_email[row.email], row
    if not missed:
        return
    by_email = {settings.email_of(name): name for name in missed}
    parameters = {"emails": list(by_email), "names": list(missed), "ids": ids}
    rows = _IN_LOWER_CASE.execute(connection, parameters).all()
    for row in rows:
        if row.address in by_email:
            missed.discard(by_email[row.address])
            yield by_email[row.address], row
    # An address counts before a nickname.
    yield from ((row.nick, row) for row in rows if row.nick in missed)
