"""The tahrir side: who holds which badge, who opted out, awarding, ranks."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, exc, func, or_, select, update
from sqlalchemy.orm import Session
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Assertion, Issuer, Person
from tahrir_api.model import Badge as BadgeRow

from fedbadges.databases import asking, despite_races, engine, reader
from fedbadges.prepared import Prepared, listed, one_of
from fedbadges.rules.problems import shown
from fedbadges.rules.rule import Badge
from fedbadges.settings import Settings

log = logging.getLogger(__name__)

_NAME = "tahrir"

#: How many people are asked for in one statement; SQLite has a limit.
_AT_ONCE = 1000

# As tahrir_api compares them.
_ADDRESS, _NICKNAME = func.lower(Person.email), func.lower(Person.nickname)

#: The column for the link of an award holds this many characters.
MAX_LINK = 256

#: How often an award is tried again when another process gets in between.
_TRIES = 3


def _of_people(whom: Any) -> Any:
    held = and_(
        Assertion.person_id == Person.id,
        one_of(Assertion.badge_id, listed("ids")),
    )
    return (
        select(
            Person.email,
            _ADDRESS.label("address"),
            _NICKNAME.label("nick"),
            Person.opt_out,
            Assertion.badge_id,
        )
        .outerjoin(Assertion, held)
        .where(whom)
    )


# An exact address has an index in any case; what it misses, and only that, is compared in lower
# case.
_EXACTLY = Prepared(_of_people(one_of(Person.email, listed("emails"))))
_IN_LOWER_CASE = Prepared(
    _of_people(or_(one_of(_ADDRESS, listed("emails")), one_of(_NICKNAME, listed("names"))))
)


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


@dataclass(frozen=True)
class Notice:
    """Something to tell the bus: the body is what tahrir_api gives."""

    topic: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """What tahrir knows of some people and badges: held ones as (username, badge id)."""

    held: frozenset[tuple[str, str]]
    opted_out: frozenset[str]

    def allows(self, username: str, badge_id: str) -> bool:
        """Tell whether this person could still get this badge."""
        return username not in self.opted_out and (username, badge_id) not in self.held


@dataclass(frozen=True)
class Published:
    """Which badges nobody can be awarded: tahrir's legacy ones, and those it refuses, with why."""

    legacy: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Given:
    """A badge that was just given: to which person (tahrir's number), and what to tell the bus."""

    person_id: int
    notices: tuple[Notice, ...]


class Tahrir:
    """Questions and changes to tahrir's database; each raises Unavailable while it is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = engine(settings.tahrir_url)
        self._reader = reader(settings.tahrir_url, settings.prepare_statements)

    def publish_badges(self, badges: Iterable[Badge]) -> Published:
        """Make tahrir show these badges as their rules describe them; gives what it cannot award.

        A badge is refused where another has its name already; all others are shown nevertheless.
        """
        wanted = list(badges)
        return despite_races(lambda: self._publish_badges(wanted))

    def _publish_badges(self, wanted: list[Badge]) -> Published:
        with self._session() as (session, api, _):
            issuer = self._issuer(session, api)
            refused = _refused(session, wanted)
            rows = api.get_badges([badge.id for badge in wanted], include_legacy=True)
            known = {row.id: row for row in rows}
            for badge in wanted:
                if badge.id not in refused:
                    _publish_badge(api, badge, known.get(badge.id), issuer)
            session.commit()
            return Published(frozenset(row.id for row in known.values() if row.legacy), refused)

    def badges(self) -> dict[str, bool]:
        """Give the ids of all badges, each with whether it can still be awarded."""
        with asking(_NAME), self._reader.connect() as connection:
            rows = connection.execute(select(BadgeRow.id, BadgeRow.legacy))
            return {row.id: not row.legacy for row in rows}

    def standing(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Standing:
        """Ask for all these people and badges at once: who holds what, and who opted out."""
        names, ids = sorted(set(usernames)), sorted(set(badge_ids))
        held: set[tuple[str, str]] = set()
        opted_out: set[str] = set()
        for start in range(0, len(names), _AT_ONCE):
            for name, row in self._known(names[start : start + _AT_ONCE], ids):
                if row.opt_out:
                    opted_out.add(name)
                if row.badge_id is not None:
                    held.add((name, row.badge_id))
        return Standing(frozenset(held), frozenset(opted_out))

    def _known(self, names: list[str], ids: list[str]) -> list[tuple[str, Any]]:
        """Ask for those people whom tahrir knows, found in the order in which awards find them."""
        by_email = {self._settings.email_of(name): name for name in names}
        with asking(_NAME), self._reader.connect() as connection:
            rows = _EXACTLY.ask(connection, {"emails": list(by_email), "ids": ids}).all()
            found = [(by_email[row.email], row) for row in rows]
            missed = set(names) - {name for name, _ in found}
            if not missed:
                return found
            by_email = {self._settings.email_of(name): name for name in missed}
            asked = {"emails": list(by_email), "names": list(missed), "ids": ids}
            rows = _IN_LOWER_CASE.ask(connection, asked).all()
        found += [(by_email[row.address], row) for row in rows if row.address in by_email]
        missed -= {name for name, _ in found}
        return found + [(row.nick, row) for row in rows if row.nick in missed]

    def award(self, badge_id: str, username: str, link: str | None) -> Given | None:
        """Give a badge; None if the person holds it by now or has opted out.

        ``link`` says because of what. The person is made where tahrir has none of that name.
        """
        for _ in range(_TRIES):
            try:
                return self._award(badge_id, username, link)
            except exc.IntegrityError:
                # Another worker or hub was faster, with the person or with the very award.
                if not self.standing([username], [badge_id]).allows(username, badge_id):
                    return None
        raise RuntimeError(f"tahrir refused {badge_id} for {username} {_TRIES} times")

    def revoke(self, badge_id: str, username: str) -> int | None:
        """Take a badge away; None if the person does not hold it, else tahrir's number for them.

        Who has no badge left has no rank; those of others are ``adjust_ranks``'s.
        """
        with self._session() as (session, api, _):
            person = self._person(api, username)
            if person is None or not api.remove_assertion(badge_id, person.email):
                return None
            left = select(Assertion.id).where(Assertion.person_id == person.id).limit(1)
            if session.scalar(left) is None:
                person.rank = None
            session.commit()
            return int(person.id)

    def adjust_ranks(self, person_ids: Iterable[int]) -> tuple[Notice, ...]:
        """Compute the leaderboard afresh, once for all these people who got badges.

        Gives what to tell the bus of them; the bodies are those of tahrir_api's ``adjust_ranks``.
        """
        with self._session() as (session, _, _):
            people = list(session.scalars(select(Person).where(Person.id.in_(set(person_ids)))))
            before = {person.id: person.rank for person in people}
            session.connection().execute(_SET_RANKS)
            session.expire_all()
            notices = tuple(
                Notice(
                    "person.rank.advance",
                    {"person": person.as_dict(), "old_rank": before[person.id]},
                )
                for person in people
            )
            session.commit()
            return notices

    def _award(self, badge_id: str, username: str, link: str | None) -> Given | None:
        with self._session() as (session, api, notices):
            email = self._settings.email_of(username)
            person = self._person(api, username)
            if person is None:
                api.add_person(email=email, nickname=username)
            elif person.opt_out:
                return None
            else:
                email = person.email
            now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
            if not api.add_assertion(badge_id, email, now, link):
                raise RuntimeError(f"tahrir has no badge {badge_id}")
            session.commit()
            number = notices[0].body["user"]["badges_user_id"]
            return Given(number, tuple(notices))

    def _person(self, api: TahrirDatabase, username: str) -> Person | None:
        found: Person | None = api.get_person(self._settings.email_of(username))
        return found or api.get_person(nickname=username)

    def _issuer(self, session: Session, api: TahrirDatabase) -> int:
        issuer = self._settings.issuer
        # Names are unique there: an issuer whose origin was changed by hand stays who it is.
        known = session.scalar(select(Issuer.id).where(Issuer.name == issuer.name))
        if known is not None:
            return int(known)
        return int(
            api.add_issuer(
                origin=issuer.origin, name=issuer.name, org=issuer.org, contact=issuer.contact
            )
        )

    @contextmanager
    def _session(self) -> Iterator[tuple[Session, TahrirDatabase, list[Notice]]]:
        """Open a session that commits nothing by itself, and collects what tahrir_api announces."""
        notices: list[Notice] = []

        def announce(message: Any) -> None:
            notices.append(Notice(message.topic.removeprefix("badges."), message.body))

        with asking(_NAME), Session(self._engine, autoflush=False) as session:
            api = TahrirDatabase(session=session, autocommit=False, notification_callback=announce)
            yield session, api, notices


def _refused(session: Session, wanted: list[Badge]) -> dict[str, str]:
    """Tell which badges have the name of another one, as only somebody's hand can have made it."""
    names = [badge.name for badge in wanted]
    rows = session.execute(select(BadgeRow.name, BadgeRow.id).where(BadgeRow.name.in_(names)))
    owners = {row.name: row.id for row in rows}
    return {
        badge.id: f"tahrir has a badge of this name under another id, {shown(owner)}"
        for badge in wanted
        if (owner := owners.get(badge.name, badge.id)) != badge.id
    }


def _publish_badge(api: TahrirDatabase, badge: Badge, row: BadgeRow | None, issuer_id: int) -> None:
    if row is None:
        api.add_badge(
            name=badge.name,
            image=badge.image_url,
            desc=badge.description,
            criteria=badge.discussion,
            issuer_id=issuer_id,
            tags=list(badge.tags or ()),
            badge_id=badge.id,
        )
        return
    changes = _changes(badge, row)
    if changes:
        log.info("The badge %s changed: %s", badge.id, ", ".join(sorted(changes)))
        api.update_badge(badge.id, **changes)


def _changes(badge: Badge, row: BadgeRow) -> dict[str, Any]:
    wanted = {
        "name": badge.name,
        "image": badge.image_url,
        "description": badge.description,
        "criteria": badge.discussion,
    }
    changes: dict[str, Any] = {
        key: value for key, value in wanted.items() if getattr(row, key) != value
    }
    # Where a rule says nothing of tags, those that were set on the web site stay.
    if badge.tags is not None and sorted(tag.name for tag in row.tags) != list(badge.tags):
        changes["tags"] = list(badge.tags)
    return changes
