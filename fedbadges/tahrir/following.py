"""Awards that follow from awards: badges for badges, in the same transaction."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select, text
from tahrir_api.model import Badge as BadgeRow

from fedbadges.config.settings import Settings
from fedbadges.databases.prepared_statements import array_parameter, is_any_of
from fedbadges.rules.badge_rules import earned_by_holding
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import Award, AwardResult, Known, as_of, insert_awards
from fedbadges.tahrir.held_badges import held_badges
from fedbadges.tahrir.holdings import find_people
from fedbadges.tahrir.own_tables import OwnTables

#: The first half of the keys of advisory locks, each for a person: a random number.
_LOCKS = 0x4C1D_93E6
_LOCK = text(
    "SELECT pg_advisory_xact_lock(:locks, number)"
    " FROM unnest(CAST(:people AS INTEGER[])) WITH ORDINALITY AS them (number, place)"
    " ORDER BY place"
)
_LEGACY = select(BadgeRow.id).where(BadgeRow.legacy, is_any_of(BadgeRow.id, array_parameter("ids")))


def lock_people(connection: Connection, known: Known) -> None:
    """Let nobody else award these people badges until the transaction ends.

    Of two awards at the same time, neither would see the other, and what follows from both would
    be lost. SQLite has one writer in any case.
    """
    numbers = sorted({row.number for _, row in known})
    if numbers and connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"locks": _LOCKS, "people": numbers})


def award_following(
    connection: Connection,
    settings: Settings,
    given: Sequence[AwardResult],
    rules: Sequence[Rule],
    own_tables: OwnTables,
) -> list[AwardResult]:
    """Award what follows from awards of this transaction, and what follows from that in turn.

    Raises MissingBadges.
    """
    found: list[AwardResult] = []
    latest = list(given)
    while latest:
        wanted = _earned(connection, settings, latest, rules)
        ids = {award.badge_id for award in wanted}
        if not ids:
            break
        known = find_people(connection, settings, {award.username for award in wanted}, ids)
        latest = insert_awards(connection, settings, wanted, known, own_tables)
        found += latest
    return found


def _earned(
    connection: Connection,
    settings: Settings,
    latest: Iterable[AwardResult],
    rules: Sequence[Rule],
) -> list[Award]:
    causes: dict[int, Award] = {}
    for result in sorted(latest, key=lambda result: as_of(result.award)):
        if result.award.username not in settings.banned_usernames:
            causes[result.person_id] = result.award
    held = held_badges(connection, causes)
    legacy = _legacy(connection, rules)
    return [
        Award(
            rule.badge.id,
            award.username,
            award.link,
            badge=rule.badge,
            position=as_of(award),
            cause=award.cause or award,
        )
        for person_id, award in sorted(causes.items())
        for rule in earned_by_holding(
            rules, award.username, held[person_id], lambda rule: rule.badge.id not in legacy
        )
    ]


def _legacy(connection: Connection, rules: Iterable[Rule]) -> set[str]:
    ids = [rule.badge.id for rule in rules]
    return set(connection.scalars(_LEGACY, {"ids": ids}))
