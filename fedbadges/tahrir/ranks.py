"""Ranks: the leaderboard, computed with one statement for everybody."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from tahrir_api.model import Assertion, Person

from fedbadges.messages import Notice

# What tahrir_api's make_leaderboard computes, without making an object of everybody: those with as
# many badges share a rank, and those who opted out are left out.
_PEOPLE = Person.__table__
_LEADERBOARD = (
    select(
        Person.id.label("number"),
        func.rank().over(order_by=func.count(Assertion.id).desc()).label("place"),
    )
    .join(Assertion, Assertion.person_id == Person.id)
    .where(Person.opt_out.is_(False))
    .group_by(Person.id)
    .subquery()
)
_SET_RANKS = (
    update(_PEOPLE)
    .where(_PEOPLE.c.id == _LEADERBOARD.c.number)
    .where(_PEOPLE.c.rank.is_distinct_from(_LEADERBOARD.c.place))
    .values(rank=_LEADERBOARD.c.place)
)


def adjust_ranks(session: Session, person_ids: Iterable[int]) -> tuple[Notice, ...]:
    """Set everybody's rank; return the notices for these people, as tahrir_api makes them."""
    people = list(session.scalars(select(Person).where(Person.id.in_(set(person_ids)))))
    before = {person.id: person.rank for person in people}
    session.connection().execute(_SET_RANKS)
    session.expire_all()
    return tuple(
        Notice("person.rank.advance", {"person": person.as_dict(), "old_rank": before[person.id]})
        for person in people
    )
