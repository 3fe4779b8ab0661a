"""Awards, and how they are inserted: many with a few statements."""

import datetime
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Row, Table, bindparam, delete, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from tahrir_api.model import Assertion, Person, get_assertion_recipient, salt_default
from tahrir_api.model import Badge as BadgeRow

from fedbadges.config.settings import Settings
from fedbadges.databases.prepared_statements import array_parameter, is_any_of
from fedbadges.messages import Message, Notice, Position, naive_utc
from fedbadges.rules.rule import Badge
from fedbadges.tahrir.holdings import find_people, is_barred
from fedbadges.tahrir.own_tables import REVOCATIONS, OwnTables
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: What errors call the database.
NAME = "tahrir"

#: tahrir's column for the link of an award holds this many characters.
MAX_LINK = 256

#: Stores notices in the transaction of their awards; returns them with what it added.
StoreNotices = Callable[[Connection, Sequence[Notice]], list[Notice]]

#: The names of people, each with what ``find_people`` found.
Known = list[tuple[str, Any]]

_DIALECTS: Mapping[str, Any] = {"postgresql": postgresql, "sqlite": sqlite}

_PERSONS, _ASSERTIONS = Person.__table__, Assertion.__table__
_BADGES = select(
    BadgeRow.id, BadgeRow.name, BadgeRow.description, BadgeRow.image, BadgeRow.legacy
).where(is_any_of(BadgeRow.id, array_parameter("ids")))

# Whoever revokes one of these badges at the same time waits for the awards, or the awards for them.
_BADGES_LOCKED = _BADGES.with_for_update(read=True, key_share=True)

_REVOKED = (
    select(REVOCATIONS)
    # As text: in what SQLite returns, SQLAlchemy leaves the names of tables out.
    .where(REVOCATIONS.c.badge_id == literal_column("assertions.badge_id"))
    .where(REVOCATIONS.c.person_id == literal_column("assertions.person_id"))
)
# With what is known, as of the statement that inserts them, of a revocation of the same badge.
_WITH_REVOCATION = tuple(
    _REVOKED.with_only_columns(column).scalar_subquery().label(column.name)
    for column in (REVOCATIONS.c.revoked_on, REVOCATIONS.c.last_number, REVOCATIONS.c.for_good)
)
_LIFT = delete(REVOCATIONS).where(
    REVOCATIONS.c.badge_id == bindparam("badge"), REVOCATIONS.c.person_id == bindparam("person")
)


class MissingBadges(RuntimeError):
    """Tahrir has no badges with these ids."""

    def __init__(self, badge_ids: Iterable[str]) -> None:
        self.badge_ids = tuple(badge_ids)
        super().__init__(f"tahrir has no badge {', '.join(self.badge_ids)}")


@dataclass(frozen=True)
class ByHand:
    """Who awards or revokes a badge by hand, and why."""

    operator: str
    reason: str


@dataclass(frozen=True)
class Award:
    """A badge that somebody is to get: because of what, and as of when, naive UTC.

    ``position`` is that of the message that earned it; None if no message did. With ``badge``, as
    its rule describes it, a badge that was deleted from tahrir is created again. ``cause`` is the
    award that it follows from, if it does from one. At most ``limit`` people hold the badge.
    """

    badge_id: str
    username: str
    link: str | None = None
    issued_on: datetime.datetime = field(default_factory=lambda: naive_utc(time.time()))
    badge: Badge | None = field(default=None, compare=False, repr=False)
    by_hand: ByHand | None = None
    position: Position | None = None
    cause: "Award | None" = field(default=None, compare=False, repr=False)
    limit: int | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class AwardResult:
    """An award that was committed: to which person (tahrir's number), and its announcement.

    ``rank`` is the person's before the award, if they had one.
    """

    award: Award
    person_id: int
    notice: Notice
    rank: int | None = None


@dataclass(frozen=True)
class BulkAwardResult:
    """What became of many awards: those given, and those refused, with what went wrong."""

    given: tuple[AwardResult, ...] = ()
    refused: tuple[tuple[Award, Exception], ...] = ()


def as_of(award: Award) -> Position:
    """Return the position of an award; one by hand, which has no message, is as of now.

    So what follows from it gives no badge back that was revoked for good.
    """
    return award.position or (naive_utc(time.time()), math.inf)


def link_to(message: Message, settings: Settings) -> str | None:
    """Link to a message in datagrepper, where it has an id and tahrir can hold the link."""
    if message.msg_id is None:
        return None
    link = (
        f"{settings.datagrepper_url}/id"
        f"?id={quote(message.msg_id, safe='')}&is_raw=true&size=extra-large"
    )
    return link if len(link) <= MAX_LINK else None


def insert_awards(
    connection: Connection,
    settings: Settings,
    wanted: list[Award],
    known: Known,
    own_tables: OwnTables,
    lock_people: Callable[[Connection, Known], object] = lambda connection, known: None,
) -> list[AwardResult]:
    """Award badges within a transaction; return what was given. Raises MissingBadges.

    ``known`` are those people whom tahrir knows; the others are created. Then they are locked.
    """
    recorded = own_tables.has(REVOCATIONS)
    ids = {award.badge_id for award in wanted}
    statement = _BADGES_LOCKED if recorded and own_tables.may_lock_badges else _BADGES
    badges = {row.id: row for row in connection.execute(statement, {"ids": list(ids)})}
    missing = sorted(ids - badges.keys())
    if missing:
        raise MissingBadges(missing)
    for badge_id in sorted(ids):
        if badges[badge_id].legacy:
            raise ValueError(f"Badge {badge_id!r} is a legacy badge and cannot be awarded")
    new = sorted({award.username for award in wanted} - {name for name, _ in known})
    insert_people(connection, settings, new)
    known = [*known, *find_people(connection, settings, new, ids)]
    lock_people(connection, known)
    rows = _assertions(wanted, known)
    inserted = _insert_assertions(connection, rows, recorded)
    persons = dict(known)
    return [
        AwardResult(
            award,
            row["person_id"],
            _notice(award, badges[award.badge_id], persons[award.username]),
            persons[award.username].rank,
        )
        for award, row in rows.items()
        if row["id"] in inserted
    ]


def _assertions(wanted: list[Award], known: Known) -> dict[Award, dict[str, Any]]:
    """Return the rows to insert, as tahrir_api's ``add_assertion`` makes them."""
    people = dict(known)
    held = {(row.number, row.badge_id) for _, row in known}
    rows: dict[Award, dict[str, Any]] = {}
    for award in wanted:
        person = people[award.username]
        if person.opt_out or (person.number, award.badge_id) in held:
            continue
        held.add((person.number, award.badge_id))
        salt = salt_default()
        rows[award] = {
            "id": f"{award.badge_id} -> {person.number}",
            "badge_id": award.badge_id,
            "person_id": person.number,
            "salt": salt,
            "issued_on": award.issued_on,
            "issued_for": award.link,
            "recipient": get_assertion_recipient(person.email, salt),
        }
    return rows


def _notice(award: Award, badge: Any, person: Any) -> Notice:
    """Return the announcement that tahrir_api's ``add_assertion`` makes.

    That of an award by hand has one key more.
    """
    body = body_of(badge, person)
    if award.by_hand is not None:
        body["by_hand"] = {**asdict(award.by_hand), "link": award.link}
    return Notice("badge.award", body)


def insert_people(connection: Connection, settings: Settings, names: Iterable[str]) -> None:
    """Create people whom tahrir does not know."""
    people = [{"email": settings.email_of(name), "nickname": name} for name in names]
    _insert_new(connection, _PERSONS, people)


def body_of(badge: Any, person: Any) -> dict[str, Any]:
    """Return what each notice says of a badge and a person."""
    return {
        "badge": {
            "name": badge.name,
            "description": badge.description,
            "image_url": badge.image,
            "badge_id": badge.id,
        },
        "user": {"username": person.nickname, "badges_user_id": person.number},
    }


def begin_immediately(connection: Connection) -> None:
    """Keep other writers out of SQLite, whose driver begins no transaction before a change."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _insert_assertions(
    connection: Connection, rows: Mapping[Award, dict[str, Any]], recorded: bool
) -> set[str]:
    """Insert the rows of awards that nothing bars; return the ids of those inserted.

    With ``recorded`` revocations, a badge that somebody lost since the candidates were looked up is
    not given by a message from before; and an award by hand removes the entry.
    """
    more = _WITH_REVOCATION if recorded else ()
    found = _insert_new(connection, _ASSERTIONS, list(rows.values()), *more)
    inserted = {row.id for row in found}
    revoked = {row.id: row for row in found if recorded and row.revoked_on is not None}
    lifted, barred = [], []
    for award, row in rows.items():
        entry = revoked.get(row["id"])
        if entry is None:
            continue
        if award.position is None:
            lifted.append({"badge": award.badge_id, "person": row["person_id"]})
        elif is_barred(award.position, entry.revoked_on, entry.last_number, entry.for_good):
            barred.append(row["id"])
    if lifted:
        connection.execute(_LIFT, lifted)
    if barred:
        connection.execute(delete(_ASSERTIONS).where(_ASSERTIONS.c.id.in_(barred)))
    return inserted.difference(barred)


def insert(connection: Connection, table: Table) -> Any:
    """Return the database's own INSERT, which can deal with conflicts."""
    return _DIALECTS[connection.dialect.name].insert(table)


def _insert_new(
    connection: Connection, table: Table, rows: list[dict[str, Any]], *more: Any
) -> list[Row[Any]]:
    """Insert the rows that no other process has inserted meanwhile; return their ids, and more."""
    if not rows:
        return []
    statement = insert(connection, table).on_conflict_do_nothing()
    return list(connection.execute(statement.returning(table.c.id, *more), rows).all())
