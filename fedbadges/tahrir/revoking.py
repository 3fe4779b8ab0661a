"""Revoking a badge so that no message from before gives it again."""

import time
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update
from tahrir_api.model import Assertion, Person
from tahrir_api.model import Badge as BadgeRow

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.databases.outages import translate_errors
from fedbadges.errors import DatabaseUnusable
from fedbadges.messages import Notice, naive_utc
from fedbadges.tahrir.awarding import (
    NAME,
    ByHand,
    StoreNotices,
    begin_immediately,
    body_of,
    insert,
    insert_people,
)
from fedbadges.tahrir.holdings import find_people
from fedbadges.tahrir.own_tables import REVOCATIONS, OwnTables
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

_PERSONS, _ASSERTIONS = Person.__table__, Assertion.__table__
_BADGE = select(BadgeRow.id, BadgeRow.name, BadgeRow.description, BadgeRow.image)


@dataclass(frozen=True)
class RevokeRequest:
    """A badge that somebody is to lose.

    With ``for_good`` only an award by hand gives it again, also if they do not hold it now; then
    ``create`` makes a person whom tahrir does not know. ``last_number`` is datanommer's highest row
    number, if that is known.
    """

    badge_id: str
    username: str
    by_hand: ByHand
    for_good: bool = False
    create: bool = False
    last_number: int | None = None


@dataclass(frozen=True)
class RevokeResult:
    """What became of it: tahrir's number of the person, and the notice if they lost the badge.

    ``person_id`` is None if tahrir does not know them.
    """

    person_id: int | None
    notice: Notice | None = None


def revoke_badge(
    settings: Settings, wanted: RevokeRequest, own_tables: OwnTables, store: StoreNotices
) -> RevokeResult:
    """Revoke a badge and record that, together; raise Unavailable.

    ``store`` keeps the notice, committed together with that. Who has no badge left has no rank;
    those of others are adjusted by ``adjust_ranks``.
    """
    recorded = own_tables.has(REVOCATIONS)
    with translate_errors(NAME), engine(settings.tahrir_url).begin() as connection:
        begin_immediately(connection)
        asked = _BADGE.where(BadgeRow.id == wanted.badge_id)
        # Awards of this badge that are under way are committed first, and are revoked here.
        locks = recorded and own_tables.may_lock_badges
        badge = connection.execute(asked.with_for_update() if locks else asked).one()
        person = _person(connection, settings, wanted)
        if person is None:
            return RevokeResult(None)
        of_theirs = _ASSERTIONS.c.person_id == person.number
        issued_on = connection.scalar(
            delete(_ASSERTIONS)
            .where(_ASSERTIONS.c.badge_id == wanted.badge_id, of_theirs)
            .returning(_ASSERTIONS.c.issued_on)
        )
        if recorded and (wanted.for_good or issued_on is not None):
            _record(connection, wanted, person.number, issued_on)
        if issued_on is None:
            return RevokeResult(person.number)
        left = select(_ASSERTIONS.c.id).where(of_theirs).limit(1)
        if connection.scalar(left) is None:
            connection.execute(
                update(_PERSONS).where(_PERSONS.c.id == person.number).values(rank=None)
            )
        body = body_of(badge, person)
        body["by_hand"] = {**asdict(wanted.by_hand), "for_good": wanted.for_good}
        (notice,) = store(connection, [Notice("badge.revoke", body)])
        return RevokeResult(person.number, notice)


def count_revocations(connection: Connection) -> dict[str, int]:
    """Return how many revocations are recorded, and how many of them are for good."""
    counted = select(func.count(), func.count().filter(REVOCATIONS.c.for_good))
    count, for_good = connection.execute(counted.select_from(REVOCATIONS)).one()
    return {"count": count, "for_good": for_good}


def limit_numbers(settings: Settings, own_tables: OwnTables, last_number: int) -> None:
    """Lower the row numbers that are recorded to datanommer's last one; raise Unavailable.

    They are only higher if its backup was restored: later messages get these numbers then.
    """
    if not own_tables.has(REVOCATIONS):
        return
    too_high = REVOCATIONS.c.last_number > last_number
    try:
        with translate_errors(NAME), own_tables.reader.connect() as connection:
            if not connection.scalar(select(func.count()).where(too_high)):
                return
        with translate_errors(NAME), engine(settings.tahrir_url).begin() as connection:
            connection.execute(update(REVOCATIONS).where(too_high).values(last_number=last_number))
    except DatabaseUnusable as error:  # the rights do not suffice; nothing else depends on it
        log.warning("Cannot lower the row numbers of revocations", error=error)


def _person(connection: Connection, settings: Settings, wanted: RevokeRequest) -> Any:
    """Return the row of the person, who may be created; None if tahrir does not know them."""
    name = wanted.username
    known = dict(find_people(connection, settings, [name], []))
    if not known and wanted.for_good and wanted.create:
        insert_people(connection, settings, [name])
        known = dict(find_people(connection, settings, [name], []))
    return known.get(name)


def _record(connection: Connection, wanted: RevokeRequest, person_id: int, issued_on: Any) -> None:
    """Record the revocation; what was revoked for good before stays so."""
    now = naive_utc(time.time())
    values = {
        # A clock that is slow must not let the message that gave the badge give it again.
        "revoked_on": now if issued_on is None else max(now, issued_on),
        "last_number": wanted.last_number,
        "for_good": wanted.for_good,
        **asdict(wanted.by_hand),
    }
    statement = insert(connection, REVOCATIONS).values(
        badge_id=wanted.badge_id, person_id=person_id, **values
    )
    values["for_good"] = or_(REVOCATIONS.c.for_good, statement.excluded.for_good)
    values["last_number"] = func.coalesce(statement.excluded.last_number, REVOCATIONS.c.last_number)
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(REVOCATIONS.primary_key), set_=values)
    )
