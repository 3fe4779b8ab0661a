"""Who holds which badge, who lost which, and who opted out."""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select
from tahrir_api.model import Assertion, Person

from fedbadges.config.settings import Settings
from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of
from fedbadges.messages import Position
from fedbadges.tahrir.own_tables import REVOCATIONS

#: How many people one statement asks about; SQLite has a limit.
_BATCH = 1000

#: For so long a daemon may believe that somebody holds a badge that was revoked. So that all decide
#: alike, no message that was sent within that time gives it again.
BELIEVED = datetime.timedelta(seconds=60)

# As tahrir_api compares them.
_ADDRESS, _NICKNAME = func.lower(Person.email), func.lower(Person.nickname)


_OF_BADGES = array_parameter("ids")
_HELD = and_(Assertion.person_id == Person.id, is_any_of(Assertion.badge_id, _OF_BADGES))
_LOST = and_(REVOCATIONS.c.person_id == Person.id, is_any_of(REVOCATIONS.c.badge_id, _OF_BADGES))

_PEOPLE: Select[Any] = select(
    Person.id.label("number"),
    Person.email,
    Person.nickname,
    _ADDRESS.label("address"),
    _NICKNAME.label("nick"),
    Person.opt_out,
    Person.rank,
    Assertion.badge_id,
    Assertion.issued_on,
).outerjoin(Assertion, _HELD)

# A row for every pair of a badge that somebody holds and one that they lost, which few did.
_WITH_LOST: Select[Any] = _PEOPLE.add_columns(
    REVOCATIONS.c.badge_id.label("lost"),
    REVOCATIONS.c.revoked_on,
    REVOCATIONS.c.last_number,
    REVOCATIONS.c.for_good,
    REVOCATIONS.c.operator,
    REVOCATIONS.c.reason,
).outerjoin(REVOCATIONS, _LOST)


class _Lookup:
    """The statements that look people up, with or without what they lost."""

    def __init__(self, people: Select[Any]) -> None:
        emails, names = array_parameter("emails"), array_parameter("names")
        # An exact address has an index in any case. Only what that lookup misses is compared in
        # lower case.
        self.exact = PreparedStatement(people.where(is_any_of(Person.email, emails)))
        in_lower_case = or_(is_any_of(_ADDRESS, emails), is_any_of(_NICKNAME, names))
        self.in_lower_case = PreparedStatement(people.where(in_lower_case))


_LOOKUPS = {False: _Lookup(_PEOPLE), True: _Lookup(_WITH_LOST)}


def is_barred(
    position: Position, revoked_on: datetime.datetime, last_number: int | None, for_good: bool
) -> bool:
    """Return True if a message with this position does not give a revoked badge.

    It was sent before the revocation, or was stored by then: a sender's clock may be fast.
    """
    sent, number = position
    was_stored = last_number is not None and number <= last_number
    return for_good or was_stored or sent <= revoked_on + BELIEVED


@dataclass(frozen=True)
class Revocation:
    """When, naive UTC, by whom and why a badge was taken away.

    ``last_number`` is datanommer's highest row number at that time, if that is known. If it is
    ``for_good``, only an award by hand gives the badge again.
    """

    revoked_on: datetime.datetime
    last_number: int | None
    for_good: bool
    operator: str
    reason: str

    def bars(self, position: Position) -> bool:
        """Return True if a message with this position does not give the badge."""
        return is_barred(position, self.revoked_on, self.last_number, self.for_good)


@dataclass(frozen=True)
class Holdings:
    """Since when, naive UTC, people hold badges, and how they lost some; and who opted out.

    Both are by (username, badge id). A badge that was revoked may be held again.
    """

    held: Mapping[tuple[str, str], datetime.datetime]
    opted_out: Set[str]
    revoked: Mapping[tuple[str, str], Revocation] = field(default_factory=dict)

    def allows(self, username: str, badge_id: str, position: Position | None) -> bool:
        """Return True if a message with this position could still give this person this badge.

        Without a position, if an award by hand could.
        """
        if username in self.opted_out or (username, badge_id) in self.held:
            return False
        revocation = self.revoked.get((username, badge_id))
        return revocation is None or position is None or not revocation.bars(position)


def holdings_of(found: Iterable[tuple[str, Any]], revocations: bool) -> Holdings:
    """Return what people hold, as ``find_people`` found it."""
    held: dict[tuple[str, str], datetime.datetime] = {}
    opted_out: set[str] = set()
    revoked: dict[tuple[str, str], Revocation] = {}
    for name, row in found:
        if row.opt_out:
            opted_out.add(name)
        if row.badge_id is not None:
            held[name, row.badge_id] = row.issued_on
        if revocations and row.lost is not None:
            revoked[name, row.lost] = Revocation(
                row.revoked_on, row.last_number, row.for_good, row.operator, row.reason
            )
    return Holdings(held, opted_out, revoked)


def find_people(
    connection: Connection,
    settings: Settings,
    usernames: Iterable[str],
    badge_ids: Iterable[str],
    *,
    revocations: bool = False,
) -> list[tuple[str, Any]]:
    """Look people up in tahrir, all at once: by their address, or else by their nickname.

    Returns the known ones, each with a row for every one of these badges that they hold and, with
    ``revocations``, that they lost. A person without any of them has one row.
    """
    names, ids = sorted(set(usernames)), sorted(set(badge_ids))
    return [
        found
        for start in range(0, len(names), _BATCH)
        for found in _find(
            connection, settings, names[start : start + _BATCH], ids, _LOOKUPS[revocations]
        )
    ]


def _find(
    connection: Connection, settings: Settings, names: list[str], ids: list[str], lookup: _Lookup
) -> Iterator[tuple[str, Any]]:
    by_email = {settings.email_of(name): name for name in names}
    missed = set(names)
    for row in lookup.exact.execute(connection, {"emails": list(by_email), "ids": ids}).all():
        missed.discard(by_email[row.email])
        yield by_email[row.email], row
    if not missed:
        return
    by_email = {settings.email_of(name): name for name in missed}
    parameters = {"emails": list(by_email), "names": list(missed), "ids": ids}
    rows = lookup.in_lower_case.execute(connection, parameters).all()
    for row in rows:
        if row.address in by_email:
            missed.discard(by_email[row.address])
            yield by_email[row.address], row
    # An address counts before a nickname.
    yield from ((row.nick, row) for row in rows if row.nick in missed)
