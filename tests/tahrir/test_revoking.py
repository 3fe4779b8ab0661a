"""Revoking: what messages from before, later ones, and an award by hand give afterwards."""

import datetime
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import make_settings, statements
from support.databases import Databases
from support.tahrir import BOTH, EDITOR, TAGGER, at, award, badges_of, opt_out, revoke
from support.waiting import TIMEOUT, eventually
from tahrir_api.dbapi import TahrirDatabase

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.messages import Position, naive_utc
from fedbadges.tahrir import awarding, bulk_awarding, revoking
from fedbadges.tahrir.awarding import Award, ByHand
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import BELIEVED
from fedbadges.tahrir.own_tables import OWN, REVOCATIONS

SECOND = datetime.timedelta(seconds=1)
PAIR = ("alice", "editor")


def earned(tahrir: Tahrir, sent: datetime.datetime, username: str = "alice") -> bool:
    """Award Editor as of a message that was sent then; return whether it was given."""
    return bool(tahrir.award([Award("editor", username, position=at(sent))]).given)


def last_barred(tahrir: Tahrir) -> datetime.datetime:
    """Have alice lose Editor; return when the last message was sent that does not give it again."""
    award(tahrir, "editor", "alice")
    revoke(tahrir, "editor", "alice")
    return tahrir.holdings(["alice"], BOTH).revoked[PAIR].revoked_on + BELIEVED


def test_messages_up_to_the_revocation_are_not_allowed_to_give_the_badge(tahrir: Tahrir) -> None:
    when = last_barred(tahrir)

    holdings = tahrir.holdings(["alice"], BOTH)

    assert not holdings.allows("alice", "editor", at(when - SECOND))
    assert not holdings.allows("alice", "editor", at(when))
    assert holdings.allows("alice", "editor", at(when + SECOND))
    assert holdings.allows("alice", "editor", None)
    assert holdings.allows("alice", "tagger", at(when - SECOND))


def test_award_as_of_a_message_up_to_the_revocation_gives_nothing(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    when = last_barred(tahrir)

    assert not earned(tahrir, when)
    assert badges_of(api, "alice@example.org") == []
    assert earned(tahrir, when + SECOND)


def test_message_that_was_stored_by_the_revocation_does_not_give_the_badge_whatever_its_clock_says(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    award(tahrir, "editor", "alice")
    revoke(tahrir, "editor", "alice", last_number=7)
    fast = naive_utc(time.time()) + datetime.timedelta(minutes=10)

    def given(position: Position) -> bool:
        allowed = tahrir.holdings(["alice"], BOTH).allows("alice", "editor", position)
        result = tahrir.award([Award("editor", "alice", position=position)])
        assert allowed == bool(result.given)
        return allowed

    assert not given(at(fast, 1))
    assert not given(at(fast, 7))
    assert badges_of(api, "alice@example.org") == []
    assert given(at(fast, 8))


def test_message_that_is_stored_later_does_not_give_a_revoked_badge_by_an_earlier_time(
    tahrir: Tahrir,
) -> None:
    award(tahrir, "editor", "alice")
    revoke(tahrir, "editor", "alice", last_number=7)

    position = at(naive_utc(time.time()), 8)
    assert not tahrir.holdings(["alice"], BOTH).allows("alice", "editor", position)


@pytest.mark.parametrize(("numbers", "last"), [((7, 9), 9), ((7, None), 7), ((None, 9), 9)])
def test_revoking_again_without_the_row_number_keeps_the_known_one(
    tahrir: Tahrir, numbers: tuple[int | None, ...], last: int
) -> None:
    for number in numbers:
        assert earned(tahrir, naive_utc(time.time()) + datetime.timedelta(minutes=10))
        revoke(tahrir, "editor", "alice", last_number=number)

    assert tahrir.holdings(["alice"], BOTH).revoked[PAIR].last_number == last


def test_messages_that_get_the_numbers_of_lost_rows_give_a_revoked_badge_again(
    tahrir: Tahrir,
) -> None:
    """After a backup of datanommer with five messages was restored."""
    for name, number in (("alice", 7), ("bob", 3)):
        award(tahrir, "editor", name)
        revoke(tahrir, "editor", name, last_number=number)
    later = naive_utc(time.time()) + datetime.timedelta(minutes=10)

    tahrir.limit_revocations(5)

    holdings = tahrir.holdings(["alice", "bob"], BOTH)
    assert not holdings.allows("alice", "editor", at(later, 5))
    assert holdings.allows("alice", "editor", at(later, 6))
    assert not holdings.allows("bob", "editor", at(later, 3))
    assert holdings.allows("bob", "editor", at(later, 4))


def test_numbers_that_cannot_be_lowered_are_one_warning(
    tahrir: Tahrir, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert tahrir.own_tables.has(REVOCATIONS)
    OWN.drop_all(engine(settings.tahrir_url))
    try:
        tahrir.limit_revocations(5)
    finally:
        OWN.create_all(engine(settings.tahrir_url))

    (record,) = caplog.records
    assert record.getMessage().startswith("Cannot lower the row numbers of revocations")


def test_revocation_of_one_badge_costs_nobody_another(tahrir: Tahrir) -> None:
    when = last_barred(tahrir)

    result = tahrir.award(
        [
            Award("editor", "alice", position=at(when)),
            Award("tagger", "alice", position=at(when)),
            Award("editor", "bob", position=at(when)),
        ]
    )

    given = {(each.award.username, each.award.badge_id) for each in result.given}
    assert given == {("alice", "tagger"), ("bob", "editor")}
    assert result.refused == ()


def test_badge_revoked_for_good_is_given_by_no_later_message(tahrir: Tahrir) -> None:
    award(tahrir, "editor", "alice")
    revoke(tahrir, "editor", "alice", for_good=True)
    later = naive_utc(time.time()) + datetime.timedelta(days=365)

    assert not tahrir.holdings(["alice"], BOTH).allows("alice", "editor", at(later))
    assert not earned(tahrir, later)


def test_award_by_hand_gives_what_was_revoked_for_good_and_removes_the_entry(
    tahrir: Tahrir,
) -> None:
    award(tahrir, "editor", "alice")
    revoke(tahrir, "editor", "alice", for_good=True)
    revoke(tahrir, "tagger", "alice", for_good=True)

    (given,) = tahrir.award(
        [Award("editor", "alice", by_hand=ByHand("root", "it was right"))]
    ).given

    assert given.award.username == "alice"
    assert tahrir.holdings(["alice"], BOTH).revoked.keys() == {("alice", "tagger")}
    assert tahrir.check() == {"count": 1, "for_good": 1}


def test_award_by_hand_of_who_opted_out_keeps_the_entry(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    award(tahrir, "editor", "alice")
    revoke(tahrir, "editor", "alice", for_good=True)
    opt_out(api, "alice@example.org")

    assert award(tahrir, "editor", "alice") is None
    assert tahrir.check() == {"count": 1, "for_good": 1}


def test_revoking_again_moves_the_moment_and_keeps_what_was_for_good(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    award(tahrir, "editor", "alice")
    revoke(tahrir, "editor", "alice", for_good=True)
    before = tahrir.holdings(["alice"], BOTH).revoked[PAIR]
    api.add_assertion("editor", "alice@example.org", None)  # as the web site does
    api.session.commit()

    revoke(tahrir, "editor", "alice")

    after = tahrir.holdings(["alice"], BOTH).revoked[PAIR]
    assert after.revoked_on > before.revoked_on
    assert after.for_good


@pytest.mark.parametrize("known", [True, False])
def test_revoking_for_good_what_somebody_does_not_hold_keeps_it_away(
    tahrir: Tahrir, known: bool
) -> None:
    if known:
        award(tahrir, "tagger", "alice")

    result = revoke(tahrir, "editor", "alice", for_good=True, create=True)

    assert result.notice is None
    assert not earned(tahrir, naive_utc(time.time()) + SECOND)


def test_revoking_what_somebody_does_not_hold_records_nothing(tahrir: Tahrir) -> None:
    award(tahrir, "tagger", "alice")

    revoke(tahrir, "editor", "alice")

    assert tahrir.check() == {"count": 0, "for_good": 0}


def test_revoking_for_good_creates_nobody_unless_asked_to(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    assert revoke(tahrir, "editor", "alice", for_good=True).person_id is None
    assert api.get_person("alice@example.org") is None


def test_award_dated_after_the_clock_of_who_revokes_does_not_come_back(tahrir: Tahrir) -> None:
    """The message of the award was sent before it, by whatever clock."""
    ahead = naive_utc(time.time()) + datetime.timedelta(minutes=5)
    tahrir.award([Award("editor", "alice", issued_on=ahead, position=at(ahead))])

    revoke(tahrir, "editor", "alice")

    assert not earned(tahrir, ahead)


def test_notice_of_a_revocation_is_like_that_of_the_award(tahrir: Tahrir) -> None:
    given = award(tahrir, "editor", "alice")
    assert given is not None

    notice = revoke(tahrir, "editor", "alice", for_good=True).notice

    assert notice is not None
    assert notice.topic == "badge.revoke"
    by_hand = {"operator": "root", "reason": "by mistake", "for_good": True}
    assert notice.body == {**given.notice.body, "by_hand": by_hand}


def test_revocations_take_no_more_statements(tahrir: Tahrir, settings: Settings) -> None:
    award(tahrir, "tagger", "alice")
    when = naive_utc(time.time())
    with statements(settings.tahrir_url) as with_table:
        assert tahrir.holdings(["alice"], BOTH).allows("alice", "editor", at(when))
        assert earned(tahrir, when)
    revoke(tahrir, "editor", "alice")
    OWN.drop_all(engine(settings.tahrir_url))
    try:
        bare = Tahrir(settings)
        assert not bare.own_tables.has(REVOCATIONS)
        with statements(settings.tahrir_url) as without_table:
            assert bare.holdings(["alice"], BOTH).allows("alice", "editor", at(when))
            assert earned(bare, when)
    finally:
        OWN.create_all(engine(settings.tahrir_url))

    assert len(with_table) <= len(without_table)
    assert not any("fedbadges_revocations" in statement for statement in without_table)


def test_revoke_works_without_the_table(settings: Settings, api: TahrirDatabase) -> None:
    OWN.drop_all(engine(settings.tahrir_url))
    try:
        bare = Tahrir(settings)
        bare.publish_badges([EDITOR])
        award(bare, "editor", "alice")

        assert revoke(bare, "editor", "alice").notice is not None
        assert badges_of(api, "alice@example.org") == []
        assert bare.check() is None
    finally:
        OWN.create_all(engine(settings.tahrir_url))


# Races


def test_badge_revoked_between_the_lookup_and_the_award_is_not_given(
    tahrir: Tahrir, api: TahrirDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    award(tahrir, "editor", "alice")
    before = naive_utc(time.time())
    find_people = bulk_awarding.find_people

    def revoke_then(*arguments: Any, **options: Any) -> list[tuple[str, Any]]:
        found = find_people(*arguments, **options)
        monkeypatch.setattr(bulk_awarding, "find_people", find_people)
        revoke(tahrir, "editor", "alice", for_good=False)
        return [(name, _without_badge(row)) for name, row in found]

    monkeypatch.setattr(bulk_awarding, "find_people", revoke_then)

    given = tahrir.award(
        [Award("editor", "alice", position=at(before)), Award("editor", "bob", position=at(before))]
    ).given

    assert [each.award.username for each in given] == ["bob"]
    assert badges_of(api, "alice@example.org") == []


def _without_badge(row: object) -> object:
    """Return the row as it was before the badge was awarded, by another process."""

    class Row:
        badge_id = None

        def __getattr__(self, name: str) -> object:
            return getattr(row, name)

    return Row()


def wait_for_lock(databases: Databases, what: str) -> None:
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )

    def locked() -> bool:
        with engine(databases.tahrir_url).connect() as connection:
            return bool(connection.scalar(waiting))

    eventually(locked, what)


def test_award_waits_for_a_revocation_that_is_not_committed(
    postgresql_database: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tahrir = Tahrir(make_settings(postgresql_database, tmp_path))
    tahrir.publish_badges([EDITOR, TAGGER])
    award(tahrir, "tagger", "alice")
    before = naive_utc(time.time())
    record, recorded, proceed = revoking._record, threading.Event(), threading.Event()

    def wait(*arguments: Any) -> None:
        record(*arguments)
        recorded.set()
        assert proceed.wait(TIMEOUT)

    monkeypatch.setattr(revoking, "_record", wait)
    revoker = threading.Thread(
        target=lambda: revoke(tahrir, "editor", "alice", for_good=True), daemon=True
    )
    revoker.start()
    assert recorded.wait(TIMEOUT)
    got: list[bool] = []
    awarder = threading.Thread(target=lambda: got.append(earned(tahrir, before)), daemon=True)
    awarder.start()
    wait_for_lock(postgresql_database, "the award waits")
    proceed.set()
    awarder.join(TIMEOUT)
    revoker.join(TIMEOUT)

    assert got == [False]
    assert tahrir.holdings(["alice"], BOTH).held.keys() == {("alice", "tagger")}


def test_award_that_is_not_committed_yet_is_revoked(
    postgresql_database: Databases, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tahrir = Tahrir(make_settings(postgresql_database, tmp_path))
    tahrir.publish_badges([EDITOR, TAGGER])
    award(tahrir, "tagger", "alice")
    before = naive_utc(time.time())
    insert, inserted, proceed = awarding._insert_assertions, threading.Event(), threading.Event()

    def wait(*arguments: Any) -> set[str]:
        result = insert(*arguments)
        inserted.set()
        assert proceed.wait(TIMEOUT)
        return result

    monkeypatch.setattr(awarding, "_insert_assertions", wait)
    awarder = threading.Thread(target=lambda: earned(tahrir, before), daemon=True)
    awarder.start()
    assert inserted.wait(TIMEOUT)
    notices: list[object] = []
    revoker = threading.Thread(
        target=lambda: notices.append(revoke(tahrir, "editor", "alice").notice), daemon=True
    )
    revoker.start()
    wait_for_lock(postgresql_database, "the revocation waits")
    proceed.set()
    awarder.join(TIMEOUT)
    revoker.join(TIMEOUT)

    assert notices != [None]
    assert tahrir.holdings(["alice"], BOTH).held.keys() == {("alice", "tagger")}


def test_user_who_may_not_change_badges_awards_and_revokes_without_the_lock(
    postgresql_database: Databases, tmp_path: Path
) -> None:
    url = engine(postgresql_database.tahrir_url).url
    name = f"limited_of_{url.database}"
    tables = "persons, assertions, fedbadges_outbox, fedbadges_revocations"
    with engine(url).begin() as connection:
        Tahrir(make_settings(postgresql_database, tmp_path)).publish_badges([EDITOR])
        for statement in (
            f"CREATE ROLE {name} LOGIN",
            f"GRANT SELECT ON badges TO {name}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {name}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {name}",
        ):
            connection.execute(sa.text(statement))
    spelled = url.set(username=name).render_as_string(hide_password=False)
    try:
        limited = Tahrir(
            make_settings(
                Databases("postgresql", spelled, postgresql_database.datanommer_url), tmp_path
            )
        )
        award(limited, "editor", "alice")
        assert revoke(limited, "editor", "alice").notice is not None
        assert not earned(limited, naive_utc(time.time()) - SECOND)
    finally:
        engine(url.set(username=name)).dispose()
        reader(url.set(username=name)).dispose()
        with engine(url).begin() as connection:
            connection.execute(sa.text(f"DROP OWNED BY {name}"))
            connection.execute(sa.text(f"DROP ROLE {name}"))
