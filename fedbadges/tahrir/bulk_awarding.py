"""Awarding badges in bulk: all of them, and what follows from them, in one transaction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.databases.outages import translate_errors
from fedbadges.errors import Unavailable
from fedbadges.rules.rule import Badge, Rule
from fedbadges.tahrir.awarding import (
    NAME,
    Award,
    AwardResult,
    BulkAwardResult,
    Known,
    MissingBadges,
    StoreNotices,
    begin_immediately,
    insert_awards,
)
from fedbadges.tahrir.following import award_following, lock_people
from fedbadges.tahrir.holdings import find_people
from fedbadges.tahrir.limits import within_limits
from fedbadges.tahrir.own_tables import OwnTables
from fedbadges.util.logs import get_logger

log = get_logger(__name__)


def award_all(
    settings: Settings,
    awards: Iterable[Award],
    own_tables: OwnTables,
    create_again: Callable[[Iterable[Badge]], object] = lambda badges: None,
    store: StoreNotices = lambda connection, notices: list(notices),
    rules: Sequence[Rule] = (),
) -> BulkAwardResult:
    """Award badges, and create the people whom tahrir does not know; raises Unavailable.

    All are committed together, or none where this raises. One that is refused costs no other:
    if they cannot be inserted in bulk, each is tried in a savepoint. Those who hold the badge
    by now, lost it after the message, or have opted out, are neither given it nor refused.
    ``create_again`` creates badges that were deleted; ``store`` keeps the notices, committed
    together with the awards. So is what follows from them by ``rules``, which have no triggers.
    """
    # In one order everywhere: two processes must not each hold what the other waits for.
    wanted = sorted(awards, key=lambda award: (award.badge_id, award.username))
    transaction = _Transaction(settings, own_tables, store, rules)
    try:
        try:
            return transaction.award_in_bulk(wanted)
        except MissingBadges as missing:
            described = {award.badge_id: award.badge for award in wanted}
            described |= {rule.badge.id: rule.badge for rule in rules}
            lost = [described[badge_id] for badge_id in missing.badge_ids]
            badges = [badge for badge in lost if badge is not None]
            if not badges:
                raise
            create_again(badges)
            return transaction.award_in_bulk(wanted)
    except Unavailable:
        raise
    except Exception as error:  # of one of them, but it is not known which
        log.debug("Awarding each in a savepoint", count=len(wanted), error=error)
    return transaction.award_in_savepoints(wanted)


@dataclass(frozen=True)
class _Transaction:
    """How awards are committed, with their notices and with what follows from them."""

    settings: Settings
    own_tables: OwnTables
    store: StoreNotices
    rules: Sequence[Rule]

    def award_in_bulk(self, wanted: list[Award]) -> BulkAwardResult:
        settings = self.settings
        names, ids = {award.username for award in wanted}, {award.badge_id for award in wanted}
        with translate_errors(NAME):
            with reader(settings.tahrir_url, settings.prepare_statements).connect() as connection:
                known = find_people(connection, settings, names, ids)
            with engine(settings.tahrir_url).begin() as connection:
                begin_immediately(connection)
                return BulkAwardResult(tuple(self._award(connection, wanted, known)))

    def award_in_savepoints(self, wanted: list[Award]) -> BulkAwardResult:
        settings = self.settings
        given: list[AwardResult] = []
        refused: list[tuple[Award, Exception]] = []
        with translate_errors(NAME), engine(settings.tahrir_url).begin() as connection:
            begin_immediately(connection)
            for award in wanted:
                try:
                    with translate_errors(NAME), connection.begin_nested():
                        names, ids = [award.username], [award.badge_id]
                        known = find_people(connection, settings, names, ids)
                        given += self._award(connection, [award], known)
                except Unavailable:
                    raise
                except Exception as error:  # of this one alone
                    refused.append((award, error))
        return BulkAwardResult(tuple(given), tuple(refused))

    def _award(
        self, connection: Connection, wanted: list[Award], known: Known
    ) -> list[AwardResult]:
        """Award badges, and what follows; the notices are committed together with the awards."""
        settings, own_tables, rules = self.settings, self.own_tables, self.rules
        wanted = within_limits(connection, settings, wanted)
        if rules:
            given = insert_awards(connection, settings, wanted, known, own_tables, lock_people)
            given += award_following(connection, settings, given, rules, own_tables)
        else:
            given = insert_awards(connection, settings, wanted, known, own_tables)
        notices = self.store(connection, [result.notice for result in given])
        return [replace(each, notice=kept) for each, kept in zip(given, notices, strict=True)]
