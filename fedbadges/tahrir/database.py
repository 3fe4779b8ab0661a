"""Everything that is asked of, and changed in, tahrir's database."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Assertion, Person
from tahrir_api.model import Badge as BadgeRow

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.databases.outages import retry_races, translate_errors
from fedbadges.messages import Notice
from fedbadges.rules.rule import Badge
from fedbadges.tahrir.awarding import Award, Awarder, BulkAwardResult
from fedbadges.tahrir.badges import Unawardable, find_unawardable, publish_badges
from fedbadges.tahrir.holdings import NAME, Holdings, HoldingsReader
from fedbadges.tahrir.ranks import adjust_ranks


class Tahrir:
    """Tahrir's database; each method raises Unavailable while it is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._holdings = HoldingsReader(settings)
        self._awarder = Awarder(settings, self._holdings)

    def publish_badges(self, badges: Iterable[Badge]) -> Unawardable:
        """Make tahrir show these badges as their rules describe them; return what it cannot award.

        A badge is refused where another has its name already; all others are shown nevertheless.
        """
        wanted = list(badges)

        def publish() -> Unawardable:
            with self._api() as api:
                return publish_badges(api, wanted, self._settings.issuer)

        return retry_races(publish)

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
        """Return who of these people holds which of these badges, and who opted out."""
        return self._holdings.holdings(usernames, badge_ids)

    def award(self, awards: Iterable[Award]) -> BulkAwardResult:
        """Award badges, in one transaction: see ``Awarder.award``."""
        return self._awarder.award(awards)

    def revoke(self, badge_id: str, username: str) -> int | None:
        """Revoke a badge; return tahrir's number of the person, None if they do not hold it.

        Who has no badge left has no rank; those of others are adjusted by ``adjust_ranks``.
        """
        with self._api() as api:
            email = self._settings.email_of(username)
            person: Person | None = api.get_person(email) or api.get_person(nickname=username)
            if person is None or not api.remove_assertion(badge_id, person.email):
                return None
            left = select(Assertion.id).where(Assertion.person_id == person.id).limit(1)
            if api.session.scalar(left) is None:
                person.rank = None
            return int(person.id)

    def adjust_ranks(self, person_ids: Iterable[int]) -> tuple[Notice, ...]:
        """Compute the leaderboard; return the announcements of these people's new ranks."""
        with self._api() as api:
            return adjust_ranks(api.session, person_ids)

    @contextmanager
    def _api(self) -> Iterator[TahrirDatabase]:
        made = engine(self._settings.tahrir_url)
        with translate_errors(NAME), Session(made, autoflush=False) as session:
            yield TahrirDatabase(session=session, autocommit=False, notification_callback=None)
            session.commit()
