"""Who holds a badge: how many, since when, and the latest."""

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select
from tahrir_api.model import Assertion, Person
from tahrir_api.model import Badge as BadgeRow

from fedbadges.databases.prepared_statements import array_parameter, is_any_of

_COUNTS = (
    select(
        Assertion.badge_id,
        func.count().label("number"),
        func.min(Assertion.issued_on).label("first"),
        func.max(Assertion.issued_on).label("last"),
    )
    .where(is_any_of(Assertion.badge_id, array_parameter("ids")))
    .group_by(Assertion.badge_id)
)


@dataclass(frozen=True)
class Holders:
    """How many hold a badge, and when the first and the last were awarded it, naive UTC."""

    number: int = 0
    first: datetime.datetime | None = None
    last: datetime.datetime | None = None


@dataclass(frozen=True)
class Holder:
    """Somebody who holds a badge: since when, naive UTC, and what for, if that is known."""

    username: str
    since: datetime.datetime
    link: str | None


def count_holders(connection: Connection, badge_ids: Iterable[str]) -> dict[str, Holders]:
    """Return how many hold each of these badges; those that nobody holds are left out."""
    rows = connection.execute(_COUNTS, {"ids": sorted(set(badge_ids))})
    return {row.badge_id: Holders(row.number, row.first, row.last) for row in rows}


def find_holders(connection: Connection, badge_id: str, limit: int, skip: int) -> list[Holder]:
    """Return so many holders of a badge, the latest first, without the first to skip."""
    rows = connection.execute(
        select(Person.nickname, Person.email, Assertion.issued_on, Assertion.issued_for)
        .join(Person, Person.id == Assertion.person_id)
        .where(Assertion.badge_id == badge_id)
        .order_by(Assertion.issued_on.desc(), Person.id)
        .limit(limit)
        .offset(skip)
    )
    return [
        Holder(row.nickname or row.email.partition("@")[0], row.issued_on, row.issued_for)
        for row in rows
    ]


def find_badge(connection: Connection, badge_id: str) -> tuple[str, str] | None:
    """Return the name and the description of a badge; None if there is none with this id."""
    row = connection.execute(
        select(BadgeRow.name, BadgeRow.description).where(BadgeRow.id == badge_id)
    ).first()
    return None if row is None else (row.name, row.description)
