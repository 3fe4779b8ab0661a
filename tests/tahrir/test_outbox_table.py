"""The table of the outbox, on both databases."""

import datetime
import time

import pytest
import sqlalchemy as sa
from support.builders import statements
from support.tahrir import EDITOR, at_once, award, due

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.messages import Notice
from fedbadges.tahrir.awarding import Award
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.own_tables import OUTBOX, OWN


@pytest.fixture
def announcing(tahrir: Tahrir, settings: Settings) -> Tahrir:
    """Return tahrir, whose notices are kept in the outbox."""
    OWN.create_all(engine(settings.tahrir_url))
    with engine(settings.tahrir_url).begin() as connection:
        connection.execute(OUTBOX.delete())
    return Tahrir(settings, announce=True)


def other(settings: Settings) -> Tahrir:
    """Return what another process would have."""
    return Tahrir(settings, announce=True)


def change(settings: Settings, **values: object) -> None:
    """Change all rows."""
    with engine(settings.tahrir_url).begin() as connection:
        connection.execute(OUTBOX.update().values(**values))


def rows(settings: Settings) -> list[sa.Row]:
    with engine(settings.tahrir_url).connect() as connection:
        return list(connection.execute(OUTBOX.select().order_by(OUTBOX.c.id)).all())


def test_notice_is_kept_with_its_award(announcing: Tahrir, settings: Settings) -> None:
    given = award(announcing, "editor", "alice")

    assert given is not None
    (row,) = rows(settings)
    assert row.msg_id == given.notice.msg_id
    assert row.topic == "badge.award"
    assert given.notice.timestamp is not None
    assert abs(given.notice.timestamp - time.time()) < 60


def test_notice_of_an_award_that_is_rolled_back_is_not_kept(
    announcing: Tahrir, settings: Settings
) -> None:
    result = announcing.award([due("alice", "editor"), due("bob", "no-such-badge")])

    assert len(result.given) == 1
    assert [row.msg_id for row in rows(settings)] == [result.given[0].notice.msg_id]


def test_nothing_is_kept_for_who_has_the_badge(announcing: Tahrir, settings: Settings) -> None:
    award(announcing, "editor", "alice")
    award(announcing, "editor", "alice")

    assert len(rows(settings)) == 1


def test_notices_of_ranks_are_kept(announcing: Tahrir, settings: Settings) -> None:
    given = award(announcing, "editor", "alice")
    assert given is not None

    (notice,) = announcing.adjust_ranks([given.person_id])

    assert [row.topic for row in rows(settings)] == ["badge.award", "person.rank.advance"]
    assert notice.msg_id == rows(settings)[1].msg_id


def test_nothing_is_kept_unless_it_is_to_be_announced(
    announcing: Tahrir, tahrir: Tahrir, settings: Settings
) -> None:
    given = award(tahrir, "editor", "alice")

    assert given is not None
    assert given.notice.msg_id is None
    assert rows(settings) == []


def test_badge_is_awarded_without_the_table(tahrir: Tahrir, settings: Settings) -> None:
    OWN.drop_all(engine(settings.tahrir_url))
    try:
        given = award(other(settings), "editor", "alice")
    finally:
        OWN.create_all(engine(settings.tahrir_url))

    assert given is not None
    assert given.notice.msg_id is None


def test_many_notices_take_one_statement(announcing: Tahrir, settings: Settings) -> None:
    award(announcing, "editor", "alice")  # it knows its tables now

    with statements(settings.tahrir_url) as sent:
        announcing.award([due(f"person{number}") for number in range(200)])

    assert len([each for each in sent if "fedbadges_outbox" in each]) == 1
    assert len(rows(settings)) == 201


def test_award_to_a_new_person_takes_at_most_nine_statements(
    announcing: Tahrir, settings: Settings
) -> None:
    award(announcing, "editor", "alice")

    with statements(settings.tahrir_url) as sent:
        award(announcing, "editor", "bob")

    assert len(sent) <= 9


def test_others_leave_what_was_just_awarded(announcing: Tahrir, settings: Settings) -> None:
    award(announcing, "editor", "alice")

    assert other(settings).outbox.lease() == []


def test_leased_notices_are_those_that_were_kept_in_their_order(
    announcing: Tahrir, settings: Settings
) -> None:
    result = announcing.award([due(name) for name in ("alice", "bob", "carol")])
    change(settings, leased_until=datetime.datetime(2014, 1, 1))

    leased = other(settings).outbox.lease()

    assert leased == [given.notice for given in result.given]


def test_leased_notices_are_left_by_others_until_they_are_released(
    announcing: Tahrir, settings: Settings
) -> None:
    award(announcing, "editor", "alice")
    change(settings, leased_by=None, leased_until=None)
    first, second = other(settings).outbox, other(settings).outbox

    (notice,) = first.lease()
    assert second.lease() == []
    second.release([str(notice.msg_id)])
    assert second.lease() == []
    first.release([str(notice.msg_id)])

    assert second.lease() == [notice]


def test_renewed_lease_is_not_expired(announcing: Tahrir, settings: Settings) -> None:
    given = award(announcing, "editor", "alice")
    assert given is not None
    change(settings, leased_until=datetime.datetime(2014, 1, 1))

    announcing.outbox.renew([str(given.notice.msg_id)])

    assert other(settings).outbox.lease() == []


def test_lease_of_before_the_clock_was_set_back_is_over(
    announcing: Tahrir, settings: Settings
) -> None:
    given = award(announcing, "editor", "alice")
    assert given is not None
    change(settings, leased_until=datetime.datetime(2100, 1, 1))

    assert announcing.outbox.waiting().free == 1
    assert other(settings).outbox.lease() == [given.notice]


def test_notices_are_leased_by_one_process_only(announcing: Tahrir, settings: Settings) -> None:
    announcing.award([due(f"person{number}") for number in range(50)])
    change(settings, leased_by=None, leased_until=None)
    tables = [other(settings).outbox for _ in range(3)]

    leased = at_once(lambda: tables.pop().lease())

    assert sorted(map(len, leased)) == [0, 0, 50]


def test_deleted_notices_are_gone(announcing: Tahrir, settings: Settings) -> None:
    result = announcing.award([due("alice"), due("bob")])

    announcing.outbox.delete([str(result.given[0].notice.msg_id)])

    assert [row.msg_id for row in rows(settings)] == [result.given[1].notice.msg_id]


def test_waiting_notices_are_counted(announcing: Tahrir, settings: Settings) -> None:
    assert announcing.outbox.waiting().count == 0
    assert announcing.outbox.waiting().since is None
    announcing.award([due("alice"), due("bob")])

    leased = announcing.outbox.waiting()
    change(settings, leased_until=datetime.datetime(2014, 1, 1))
    free = announcing.outbox.waiting()

    assert (leased.count, leased.free) == (2, 0)
    assert (free.count, free.free) == (2, 2)
    assert leased.since is not None
    assert abs(leased.since - time.time()) < 60


def test_notices_of_days_ago_expire(announcing: Tahrir, settings: Settings) -> None:
    award(announcing, "editor", "alice")
    change(settings, created=datetime.datetime(2014, 1, 1))
    award(announcing, "editor", "bob")

    assert announcing.outbox.expire(86_400) == 1

    assert len(rows(settings)) == 1


def test_notices_do_not_expire_by_the_clock_of_a_host(
    announcing: Tahrir, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    award(announcing, "editor", "alice")
    fast = time.time() + 30 * 86_400
    monkeypatch.setattr(time, "time", lambda: fast)

    assert announcing.outbox.expire(86_400) == 0


def test_body_of_a_notice_is_the_same_when_it_is_read_back(
    announcing: Tahrir, settings: Settings
) -> None:
    odd = 'Gr\u00fc\u00dfe \U0001f600 "\\" \x00'
    with engine(settings.tahrir_url).begin() as connection:
        (kept,) = announcing.outbox.insert(connection, [Notice("badge.award", {"text": odd})])
    change(settings, leased_by=None, leased_until=None)

    assert announcing.outbox.lease() == [kept]


def test_badge_that_is_created_again_has_one_notice(announcing: Tahrir, settings: Settings) -> None:
    with engine(settings.tahrir_url).begin() as connection:
        connection.execute(sa.text("DELETE FROM badges WHERE id = 'editor'"))

    announcing.award([Award("editor", "alice", badge=EDITOR)])

    assert len(rows(settings)) == 1
