"""The tahrir side: who holds which badge, who opted out, awarding, ranks."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, exc, func, insert, or_, select, update
from sqlalchemy.orm import Session
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import (
    Assertion,
    Issuer,
    Person,
    get_assertion_recipient,
    salt_default,
)
from tahrir_api.model import Badge as BadgeRow

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.databases.outages import retry_races, translate_errors
from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of
from fedbadges.errors import Unavailable
from fedbadges.rules.rule import Badge
from fedbadges.tahrir.badges import publish_badge, refused_among
from fedbadges.util.text import describe_error

log = logging.getLogger(__name__)

_NAME = "tahrir"

#: How many people are asked for in one statement; SQLite has a limit.
_AT_ONCE = 1000

# As tahrir_api compares them.
_ADDRESS, _NICKNAME = func.lower(Person.email), func.lower(Person.nickname)

#: How often an award is tried again when another process gets in between.
_TRIES = 3


def _of_people(whom: Any, *more: Any) -> Any:
    held = and_(
        Assertion.person_id == Person.id,
        is_any_of(Assertion.badge_id, array_parameter("ids")),
    )
    return (
        select(
            Person.id.label("number"),
            Person.email,
            Person.nickname,
            _ADDRESS.label("address"),
            _NICKNAME.label("nick"),
            Person.opt_out,
            Assertion.badge_id,
            *more,
        )
        .outerjoin(Assertion, held)
        .where(whom)
    )


def _asked(*more: Any) -> tuple[PreparedStatement, PreparedStatement]:
    # An exact address has an index in any case; what it misses, and only that, is compared in
    # lower case.
    exactly = is_any_of(Person.email, array_parameter("emails"))
    in_lower_case = or_(
        is_any_of(_ADDRESS, array_parameter("emails")),
        is_any_of(_NICKNAME, array_parameter("names")),
    )
    return PreparedStatement(_of_people(exactly, *more)), PreparedStatement(
        _of_people(in_lower_case, *more)
    )


_STANDING = _asked()
_HELD_SINCE = _asked(Assertion.issued_on)


_NEW_PEOPLE = select(
    Person.id.label("number"), Person.email, Person.nickname, Person.opt_out
).where(is_any_of(Person.nickname, array_parameter("names")))


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
class Holdings:
    """What tahrir knows of some people and badges: held ones as (username, badge id)."""

    held: Set[tuple[str, str]]
    opted_out: Set[str]

    def allows(self, username: str, badge_id: str) -> bool:
        """Tell whether this person could still get this badge."""
        return username not in self.opted_out and (username, badge_id) not in self.held


@dataclass(frozen=True)
class Unawardable:
    """Which badges nobody can be awarded: tahrir's legacy ones, and those it refuses, with why."""

    legacy: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AwardResult:
    """A badge that was just given: to which person (tahrir's number), and what to tell the bus."""

    person_id: int
    notices: tuple[Notice, ...]


@dataclass(frozen=True)
class Award:
    """A badge that somebody is to get: because of what, and as of when, naive UTC."""

    badge_id: str
    username: str
    link: str | None
    issued_on: datetime.datetime


@dataclass(frozen=True)
class BulkAwardResult:
    """What became of many awards: those given, and those refused, with what went wrong."""

    given: tuple[tuple[Award, AwardResult], ...] = ()
    refused: tuple[tuple[Award, Exception], ...] = ()


class Tahrir:
    """Questions and changes to tahrir's database; each raises Unavailable while it is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = engine(settings.tahrir_url)
        self._reader = reader(settings.tahrir_url, settings.prepare_statements)

    def publish_badges(self, badges: Iterable[Badge]) -> Unawardable:
        """Make tahrir show these badges as their rules describe them; gives what it cannot award.

        A badge is refused where another has its name already; all others are shown nevertheless.
        """
        wanted = list(badges)
        return retry_races(lambda: self._publish_badges(wanted))

    def _publish_badges(self, wanted: list[Badge]) -> Unawardable:
        with self._session() as (session, api, _):
            issuer = self._issuer(session, api)
            refused = refused_among(session, wanted)
            rows = api.get_badges([badge.id for badge in wanted], include_legacy=True)
            known = {row.id: row for row in rows}
            for badge in wanted:
                if badge.id not in refused:
                    publish_badge(api, badge, known.get(badge.id), issuer)
            session.commit()
            return Unawardable(frozenset(row.id for row in known.values() if row.legacy), refused)

    def badges(self) -> dict[str, bool]:
        """Give the ids of all badges, each with whether it can still be awarded."""
        with translate_errors(_NAME), self._reader.connect() as connection:
            rows = connection.execute(select(BadgeRow.id, BadgeRow.legacy))
            return {row.id: not row.legacy for row in rows}

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Ask for all these people and badges at once: who holds what, and who opted out."""
        held: set[tuple[str, str]] = set()
        opted_out: set[str] = set()
        for name, row in self._rows(_STANDING, usernames, badge_ids):
            if row.opt_out:
                opted_out.add(name)
            if row.badge_id is not None:
                held.add((name, row.badge_id))
        return Holdings(frozenset(held), frozenset(opted_out))

    def held_since(
        self, usernames: Iterable[str], badge_ids: Iterable[str]
    ) -> dict[tuple[str, str], datetime.datetime]:
        """Tell since when, naive UTC, these people hold those of these badges that they hold."""
        return {
            (name, row.badge_id): row.issued_on
            for name, row in self._rows(_HELD_SINCE, usernames, badge_ids)
            if row.badge_id is not None
        }

    def unawardable(self, badges: Iterable[Badge]) -> Unawardable:
        """Tell which of these badges nobody can be awarded, as ``publish_badges`` does."""
        wanted = list(badges)
        with self._session() as (session, api, _):
            rows = api.get_badges([badge.id for badge in wanted], include_legacy=True)
            legacy = frozenset(row.id for row in rows if row.legacy)
            return Unawardable(legacy, refused_among(session, wanted))

    def _rows(
        self,
        asked: tuple[PreparedStatement, PreparedStatement],
        usernames: Iterable[str],
        badge_ids: Iterable[str],
    ) -> Iterator[tuple[str, Any]]:
        names, ids = sorted(set(usernames)), sorted(set(badge_ids))
        for start in range(0, len(names), _AT_ONCE):
            yield from self._known(asked, names[start : start + _AT_ONCE], ids)

    def _known(
        self, asked: tuple[PreparedStatement, PreparedStatement], names: list[str], ids: list[str]
    ) -> list[tuple[str, Any]]:
        """Ask for those people whom tahrir knows, found in the order in which awards find them."""
        exactly, in_lower_case = asked
        by_email = {self._settings.email_of(name): name for name in names}
        with translate_errors(_NAME), self._reader.connect() as connection:
            rows = exactly.execute(connection, {"emails": list(by_email), "ids": ids}).all()
            found = [(by_email[row.email], row) for row in rows]
            missed = set(names) - {name for name, _ in found}
            if not missed:
                return found
            by_email = {self._settings.email_of(name): name for name in missed}
            rest = {"emails": list(by_email), "names": list(missed), "ids": ids}
            rows = in_lower_case.execute(connection, rest).all()
        found += [(by_email[row.address], row) for row in rows if row.address in by_email]
        missed -= {name for name, _ in found}
        return found + [(row.nick, row) for row in rows if row.nick in missed]

    def award(
        self,
        badge_id: str,
        username: str,
        link: str | None,
        issued_on: datetime.datetime | None = None,
    ) -> AwardResult | None:
        """Give a badge; None if the person holds it by now or has opted out.

        ``link`` says because of what; it is given as of ``issued_on``, naive UTC, or of now. The
        person is made where tahrir has none of that name.
        """
        for _ in range(_TRIES):
            try:
                return self._award(badge_id, username, link, issued_on or _now())
            except exc.IntegrityError:
                # Another worker or hub was faster, with the person or with the very award.
                if not self.holdings([username], [badge_id]).allows(username, badge_id):
                    return None
        raise RuntimeError(f"tahrir refused {badge_id} for {username} {_TRIES} times")

    def award_all(self, awards: Iterable[Award]) -> BulkAwardResult:
        """Give many badges in one transaction, with a few statements for all of them.

        Where one is refused, each is given by itself. Those who hold the badge by now, or have
        opted out, are passed over. If the database goes away after some were given, the rest is
        refused as Unavailable.
        """
        wanted = list(awards)
        if len(wanted) > 1:
            try:
                return BulkAwardResult(given=tuple(self._award_all(wanted)))
            except (exc.DBAPIError, RuntimeError) as error:
                log.debug("One by one: %s", describe_error(error))
        return self._award_each(wanted)

    def _award_each(self, wanted: list[Award]) -> BulkAwardResult:
        given: list[tuple[Award, AwardResult]] = []
        refused: list[tuple[Award, Exception]] = []
        away: Unavailable | None = None
        for award in wanted:
            if away is not None:
                refused.append((award, away))
                continue
            try:
                done = self.award(award.badge_id, award.username, award.link, award.issued_on)
            except Unavailable as unavailable:
                if not given:
                    raise
                away = unavailable
                refused.append((award, away))
            except Exception as error:  # what one award stumbles over must not cost the others
                refused.append((award, error))
            else:
                given += [] if done is None else [(award, done)]
        return BulkAwardResult(tuple(given), tuple(refused))

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

    def _award_all(self, wanted: list[Award]) -> list[tuple[Award, AwardResult]]:
        names, ids = {each.username for each in wanted}, {each.badge_id for each in wanted}
        known: dict[str, Any] = {}
        held: set[tuple[int, str | None]] = set()
        for name, row in self._rows(_STANDING, names, ids):
            known.setdefault(name, row)
            held.add((row.number, row.badge_id))
        with self._session() as (session, api, _):
            badges = {badge.id: badge for badge in api.get_badges(list(ids))}
            if len(badges) < len(ids):
                raise RuntimeError(f"tahrir can give no badge {min(ids - set(badges))}")
            # In one order for all, so that two processes cannot each hold what the other waits for.
            people = known | self._add_people(session, sorted(names - set(known)))
            given = []
            for award in sorted(wanted, key=lambda each: (each.badge_id, each.username)):
                person = people[award.username]
                if person.opt_out or (person.number, award.badge_id) in held:
                    continue
                held.add((person.number, award.badge_id))
                session.add(_assertion(award, person))
                given.append((award, _given(person, badges[award.badge_id])))
            session.commit()
            return given

    def _add_people(self, session: Session, names: list[str]) -> dict[str, Any]:
        """Make these people; gives them by name, with the columns of ``_of_people``."""
        if not names:
            return {}
        new = [{"email": self._settings.email_of(name), "nickname": name} for name in names]
        session.execute(insert(Person), new)
        made = session.execute(_NEW_PEOPLE, {"names": names})
        return {row.nickname: row for row in made}

    def _award(
        self, badge_id: str, username: str, link: str | None, issued_on: datetime.datetime
    ) -> AwardResult | None:
        with self._session() as (session, api, notices):
            email = self._settings.email_of(username)
            person = self._person(api, username)
            if person is None:
                api.add_person(email=email, nickname=username)
            elif person.opt_out:
                return None
            else:
                email = person.email
            if not api.add_assertion(badge_id, email, issued_on, link):
                raise RuntimeError(f"tahrir has no badge {badge_id}")
            session.commit()
            number = notices[0].body["user"]["badges_user_id"]
            return AwardResult(number, tuple(notices))

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

        with translate_errors(_NAME), Session(self._engine, autoflush=False) as session:
            api = TahrirDatabase(session=session, autocommit=False, notification_callback=announce)
            yield session, api, notices


def _assertion(award: Award, person: Any) -> Assertion:
    """Make what tahrir_api's ``add_assertion`` makes, without looking up the address each time."""
    salt = salt_default()
    return Assertion(
        id=f"{award.badge_id} -> {person.number}",
        badge_id=award.badge_id,
        person_id=person.number,
        salt=salt,
        issued_on=award.issued_on,
        issued_for=award.link,
        recipient=get_assertion_recipient(person.email, salt),
    )


def _given(person: Any, badge: BadgeRow) -> AwardResult:
    """Make what it announces."""
    body = {
        "badge": {
            "name": badge.name,
            "description": badge.description,
            "image_url": badge.image,
            "badge_id": badge.id,
        },
        "user": {"username": person.nickname, "badges_user_id": person.number},
    }
    return AwardResult(person.number, (Notice("badge.award", body),))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
