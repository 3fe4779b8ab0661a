"""Everything that is asked of, and changed in, tahrir's database."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from sqlalchemy import Connection, func, select, update
from sqlalchemy.orm import Session
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Assertion, Person
from tahrir_api.model import Badge as BadgeRow

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.databases.outages import retry_races, translate_errors
from fedbadges.messages import Notice
from fedbadges.rules.held_badges import Held
from fedbadges.rules.rule import Badge, Rule
from fedbadges.tahrir.awarding import NAME, Award, BulkAwardResult
from fedbadges.tahrir.badges import Unawardable, find_unawardable, publish_badges
from fedbadges.tahrir.bulk_awarding import award_all
from fedbadges.tahrir.held_badges import (
    HeldSince,
    held_by_name,
    held_since,
    holders_of,
    tags_of_badges,
)
from fedbadges.tahrir.holders import Holder, Holders, count_holders, find_badge, find_holders
from fedbadges.tahrir.holdings import Holdings, find_people, holdings_of
from fedbadges.tahrir.outbox_table import OutboxTable
from fedbadges.tahrir.own_tables import REVOCATIONS, OwnTables
from fedbadges.tahrir.revoking import (
    RevokeRequest,
    RevokeResult,
    count_revocations,
    limit_numbers,
    revoke_badge,
)
from fedbadges.tahrir.series import BadgeSeries, publish_series
from fedbadges.tahrir.similar_names import find_unknown
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

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


class Tahrir:
    """Tahrir's database; each method raises Unavailable while it is away.

    With ``announce``, notices are kept in the outbox until they are published, if there is one.
    """

    def __init__(self, settings: Settings, *, announce: bool = False) -> None:
        self._settings = settings
        self.own_tables = OwnTables(settings.tahrir_url, settings.prepare_statements)
        self.outbox = OutboxTable(settings.tahrir_url, self.own_tables)
        self._announce = announce
        # The ids of badges that tahrir has had; such a badge is only created after a deletion.
        self._published: set[str] = set()
        self._reader = reader(settings.tahrir_url, settings.prepare_statements)

    def publish_badges(self, badges: Iterable[Badge]) -> Unawardable:
        """Make tahrir show these badges as their rules describe them; return what it cannot award.

        A badge is refused where another has its name already; all others are shown nevertheless.
        """
        wanted = list(badges)

        def publish() -> tuple[Unawardable, list[str]]:
            with self._api() as api:
                return publish_badges(api, wanted, self._settings.issuer)

        unawardable, created = retry_races(publish)
        for badge_id in created:
            if badge_id in self._published:
                log.warning("Created a badge again that was deleted from tahrir", badge=badge_id)
        shown = {badge.id for badge in wanted}
        self._published |= shown.difference(unawardable.refused)
        return unawardable

    def publish_series(self, series: Iterable[BadgeSeries]) -> None:
        """Make tahrir show these series of badges, and no others of fedbadges.

        Raises Unavailable.
        """
        wanted = list(series)

        def publish() -> None:
            with self._api() as api:
                publish_series(api.session, wanted)

        retry_races(publish)

    def unawardable(self, badges: Iterable[Badge]) -> Unawardable:
        """Return which of these badges nobody can be awarded, as ``publish_badges`` does."""
        with self._api() as api:
            return find_unawardable(api, list(badges))

    def badges(self) -> dict[str, bool]:
        """Return the ids of all badges, each with whether it can still be awarded."""
        with self._api() as api:
            rows = api.session.execute(select(BadgeRow.id, BadgeRow.legacy))
            return {row.id: not row.legacy for row in rows}

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Return who of these people holds, or lost, which of these badges, and who opted out."""
        revocations = self.own_tables.has(REVOCATIONS)
        with translate_errors(NAME), self._reader.connect() as connection:
            found = find_people(
                connection, self._settings, usernames, badge_ids, revocations=revocations
            )
        return holdings_of(found, revocations)

    def holders(self, badge_ids: Iterable[str]) -> dict[str, Holders]:
        """Return how many hold each of these badges; those that nobody holds are left out."""
        with translate_errors(NAME), self._reader.connect() as connection:
            return count_holders(connection, badge_ids)

    def latest_holders(self, badge_id: str, limit: int, skip: int = 0) -> list[Holder]:
        """Return so many holders of a badge, the latest first, without the first to ``skip``."""
        with translate_errors(NAME), self._reader.connect() as connection:
            return find_holders(connection, badge_id, limit, skip)

    def described(self, badge_id: str) -> tuple[str, str] | None:
        """Return the name and the description of a badge; None if there is none with this id."""
        with translate_errors(NAME), self._reader.connect() as connection:
            return find_badge(connection, badge_id)

    def unknown(self, usernames: Iterable[str]) -> dict[str, list[str]]:
        """Return the names that tahrir does not know, each with the most similar that it does."""
        with translate_errors(NAME), self._reader.connect() as connection:
            return find_unknown(connection, self._settings, usernames)

    def held_by(self, username: str) -> Held:
        """Return all badges that somebody holds."""
        with translate_errors(NAME), self._reader.connect() as connection:
            return held_by_name(connection, self._settings, username)

    def held_since(self, usernames: Iterable[str]) -> dict[str, list[HeldSince]]:
        """Return all badges that people hold, the oldest first; unknown people are left out."""
        with translate_errors(NAME), self._reader.connect() as connection:
            return held_since(connection, self._settings, usernames)

    def holders_of(self, badge_ids: Iterable[str]) -> list[str]:
        """Return who holds one of these badges, and has not opted out."""
        with translate_errors(NAME), self._reader.connect() as connection:
            return holders_of(connection, self._settings, badge_ids)

    def count_holders(self, badge_ids: Iterable[str]) -> dict[str, int]:
        """Return how many people hold each of these badges."""
        ids = list(badge_ids)
        return dict.fromkeys(ids, 0) | {key: each.number for key, each in self.holders(ids).items()}

    def tags(self) -> dict[str, set[str]]:
        """Return the tags of all badges, by their ids."""
        with translate_errors(NAME), self._reader.connect() as connection:
            return tags_of_badges(connection)

    def award(self, awards: Iterable[Award], rules: Sequence[Rule] = ()) -> BulkAwardResult:
        """Award badges, and what follows from them by ``rules``: see ``award_all``."""
        return award_all(
            self._settings, awards, self.own_tables, self.publish_badges, self._store, rules
        )

    def revoke(self, wanted: RevokeRequest) -> RevokeResult:
        """Revoke a badge, in one transaction: see ``revoke_badge``."""
        return revoke_badge(self._settings, wanted, self.own_tables, self._store)

    def limit_revocations(self, last_number: int) -> None:
        """Expect no row number of datanommer above its last one: see ``limit_numbers``."""
        limit_numbers(self._settings, self.own_tables, last_number)

    def check(self) -> dict[str, int] | None:
        """Ask the database; return how many revocations are recorded, None where they are not."""
        recorded = self.own_tables.has(REVOCATIONS)
        with translate_errors(NAME), self._reader.connect() as connection:
            if recorded:
                return count_revocations(connection)
            connection.execute(select(1))
            return None

    def adjust_ranks(
        self, person_ids: Iterable[int], old_ranks: Mapping[int, int | None] = MappingProxyType({})
    ) -> tuple[Notice, ...]:
        """Set everybody's rank; return the notices for these people, as tahrir_api makes them.

        ``old_ranks`` are those from before the awards: another daemon may have set them since.
        """
        with self._api() as api:
            session = api.session
            of_them = select(Person).where(Person.id.in_(set(person_ids)))
            before = {person.id: person.rank for person in session.scalars(of_them)}
            before |= old_ranks
            session.connection().execute(_SET_RANKS)
            people = session.scalars(of_them.execution_options(populate_existing=True))
            notices = [
                Notice(
                    "person.rank.advance",
                    {"person": person.as_dict(), "old_rank": before[person.id]},
                )
                for person in people
            ]
            return tuple(self._store(session.connection(), notices))

    def _store(self, connection: Connection, notices: Sequence[Notice]) -> list[Notice]:
        """Keep notices in the outbox, in the transaction of a connection."""
        return self.outbox.insert(connection, notices) if self._announce else list(notices)

    @contextmanager
    def _api(self) -> Iterator[TahrirDatabase]:
        made = engine(self._settings.tahrir_url)
        with translate_errors(NAME), Session(made, autoflush=False) as session:
            yield TahrirDatabase(session=session, autocommit=False, notification_callback=None)
            session.commit()
