"""Awarding and revoking, as tahrir_api itself sees it."""

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from support.builders import make_settings, statements, wipe
from support.databases import Databases
from support.tahrir import (
    BOTH,
    EDITOR,
    LINK,
    TAGGER,
    at_once,
    award,
    badges_of,
    delete_badge,
    due,
    opt_out,
    ranks,
    revoke,
)
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Assertion, Person, get_assertion_recipient

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.errors import Unavailable
from fedbadges.tahrir.awarding import AwardResult, BulkAwardResult, ByHand
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.revoking import RevokeResult


def test_award_creates_the_person_and_the_assertion(tahrir: Tahrir, api: TahrirDatabase) -> None:
    before = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)

    given = award(tahrir, "editor", "alice", "https://example.org/id?id=1")

    person = api.get_person("alice@example.org")
    (assertion,) = api.get_assertions_by_email("alice@example.org")
    assert person.nickname == "alice"
    assert given is not None
    assert given.person_id == person.id
    assert assertion.badge_id == "editor"
    assert assertion.issued_for == "https://example.org/id?id=1"
    assert before <= assertion.issued_on <= before + datetime.timedelta(seconds=60)


@pytest.mark.sqlite
def test_award_notice_names_the_badge_and_the_person(tahrir: Tahrir, api: TahrirDatabase) -> None:
    given = award(tahrir, "editor", "alice")

    assert given is not None
    assert given.notice.topic == "badge.award"
    assert given.notice.body == {
        "badge": {
            "name": "Editor",
            "description": "Edited a page",
            "image_url": "https://badges.example.org/pngs/editor.png",
            "badge_id": "editor",
        },
        "user": {"username": "alice", "badges_user_id": given.person_id},
    }


def test_badge_is_awarded_only_once(tahrir: Tahrir, api: TahrirDatabase) -> None:
    assert award(tahrir, "editor", "alice") is not None
    assert award(tahrir, "editor", "alice") is None

    assert badges_of(api, "alice@example.org") == ["editor"]


def test_person_who_opted_out_meanwhile_is_awarded_nothing(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    award(tahrir, "editor", "alice")
    opt_out(api, "alice@example.org")

    assert award(tahrir, "tagger", "alice") is None
    assert badges_of(api, "alice@example.org") == ["editor"]


def test_person_with_another_address_is_awarded_a_badge_only_once(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.add_person("alice@elsewhere.example", nickname="alice")

    assert award(tahrir, "editor", "alice") is not None
    assert award(tahrir, "editor", "alice") is None

    assert badges_of(api, "alice@elsewhere.example") == ["editor"]
    assert api.get_person("alice@example.org") is None


@pytest.mark.sqlite
def test_legacy_badge_cannot_be_awarded(tahrir: Tahrir, api: TahrirDatabase) -> None:
    api.update_badge("editor", legacy=True)

    with pytest.raises(ValueError, match="legacy"):
        award(tahrir, "editor", "alice")


@pytest.mark.sqlite
def test_award_of_an_unknown_badge_is_refused(tahrir: Tahrir, api: TahrirDatabase) -> None:
    with pytest.raises(RuntimeError, match="no badge nothing"):
        award(tahrir, "nothing", "alice")

    assert api.get_person("alice@example.org") is None


@pytest.mark.parametrize("known", [False, True])
def test_same_award_from_several_threads_is_given_only_once(
    tahrir: Tahrir, api: TahrirDatabase, known: bool
) -> None:
    if known:
        award(tahrir, "tagger", "alice")

    got = at_once(lambda: award(tahrir, "editor", "alice"))

    assert sorted(type(each).__name__ for each in got) == ["AwardResult", "NoneType", "NoneType"]
    assert (
        api.session.scalar(
            sa.select(sa.func.count(Assertion.id)).where(Assertion.badge_id == "editor")
        )
        == 1
    )


def test_same_award_from_several_processes_is_given_only_once(
    tahrir: Tahrir, settings: Settings, api: TahrirDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fedbadges.tahrir.bulk_awarding.engine",
        lambda url: sa.create_engine(url, poolclass=sa.NullPool),
    )

    got = at_once(lambda: award(Tahrir(settings), "editor", "alice"))

    assert sorted(type(each).__name__ for each in got) == ["AwardResult", "NoneType", "NoneType"]
    assert api.session.scalar(sa.select(sa.func.count(Person.id))) == 1


def test_different_awards_to_a_new_person_at_once_are_both_given(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    wanted = ["editor", "tagger"]

    got = at_once(lambda: award(tahrir, wanted.pop(), "alice"), times=2)

    assert all(isinstance(each, AwardResult) for each in got)
    assert badges_of(api, "alice@example.org") == ["editor", "tagger"]


# Awards in bulk


def gifts(result: BulkAwardResult) -> list[tuple[str, str]]:
    return sorted(
        (each.username, each.badge_id) for each in (given.award for given in result.given)
    )


def rows(api: TahrirDatabase) -> set[tuple[Any, ...]]:
    """Returns all that there is of awards, but for their salts."""
    api.session.rollback()
    found = sa.select(Assertion, Person).join(Person, Person.id == Assertion.person_id)
    listed = api.session.execute(found).all()
    for assertion, person in listed:
        assert assertion.id == f"{assertion.badge_id} -> {person.id}"
        assert assertion.recipient == get_assertion_recipient(person.email, assertion.salt)
    return {
        (a.badge_id, p.email, p.nickname, a.issued_on, a.issued_for, p.opt_out) for a, p in listed
    }


def test_award_inserts_the_rows_that_tahrir_api_inserts(
    tahrir: Tahrir, api: TahrirDatabase, shared_database: Databases
) -> None:
    awards = [due("alice"), due("bob", day=1), due("alice", "tagger", day=2)]
    for each in awards:
        email = f"{each.username}@example.org"
        api.add_person(email, nickname=each.username)
        api.add_assertion(each.badge_id, email, each.issued_on, each.link)
    expected = rows(api)
    wipe(shared_database)
    tahrir.publish_badges([EDITOR, TAGGER])

    result = tahrir.award(awards)

    assert rows(api) == expected
    assert len(expected) == 3
    assert result.refused == ()
    assert gifts(result) == [("alice", "editor"), ("alice", "tagger"), ("bob", "editor")]


def test_award_notice_is_what_tahrir_api_announces(tahrir: Tahrir, settings: Settings) -> None:
    announced: list[Any] = []
    with Session(engine(settings.tahrir_url)) as session:
        theirs = TahrirDatabase(
            session=session, autocommit=False, notification_callback=announced.append
        )
        theirs.add_person("alice@example.org", nickname="alice")
        theirs.add_assertion("editor", "alice@example.org", None)
        session.rollback()

    given = award(tahrir, "editor", "alice")

    (message,) = announced
    assert given is not None
    user = {"username": "alice", "badges_user_id": given.person_id}
    assert message.topic == f"badges.{given.notice.topic}"
    assert given.notice.body == message.body | {"user": user}


def test_bulk_award_takes_few_statements(tahrir: Tahrir, settings: Settings) -> None:
    tahrir.award([due(f"known{n}", "tagger") for n in range(100)])
    awards = [due(f"{kind}{n}") for n in range(100) for kind in ("known", "new")]

    with statements(settings.tahrir_url) as sent:
        result = tahrir.award(awards)

    assert len(result.given) == 200
    assert len([each for each in sent if each != "BEGIN IMMEDIATE"]) <= 6


def test_bulk_award_gives_nobody_a_badge_twice(tahrir: Tahrir, api: TahrirDatabase) -> None:
    award(tahrir, "editor", "alice")
    api.add_person("carol@elsewhere.example", nickname="Carol")

    result = tahrir.award([due(name) for name in ("alice", "bob", "carol", "carol")])

    assert gifts(result) == [("bob", "editor"), ("carol", "editor")]
    assert {(email, link) for _, email, _, _, link, _ in rows(api)} == {
        ("alice@example.org", None),
        ("bob@example.org", LINK),
        ("carol@elsewhere.example", LINK),
    }


def test_bulk_award_gives_nothing_to_those_who_opted_out(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    award(tahrir, "tagger", "bob")
    opt_out(api, "bob@example.org")

    result = tahrir.award([due("alice"), due("bob")])

    assert gifts(result) == [("alice", "editor")]
    assert badges_of(api, "bob@example.org") == ["tagger"]


def test_rows_are_inserted_in_one_order_whatever_the_order_of_the_awards(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    """So that two processes that award the same cannot block each other."""
    awards = [due(f"user{n:02d}", badge) for n in range(20) for badge in BOTH]

    tahrir.award(awards[::-3] + awards)

    place = "ctid" if api.session.get_bind().dialect.name == "postgresql" else "rowid"
    people = sa.select(Person.nickname).order_by(sa.literal_column(f"persons.{place}"))
    assert list(api.session.scalars(people)) == sorted({each.username for each in awards})
    inserted = (
        sa.select(Assertion.badge_id, Person.nickname)
        .join(Person, Person.id == Assertion.person_id)
        .order_by(sa.literal_column(f"assertions.{place}"))
    )
    assert [tuple(row) for row in api.session.execute(inserted)] == sorted(
        (each.badge_id, each.username) for each in awards
    )


def test_refused_award_does_not_cost_the_others(tahrir: Tahrir, api: TahrirDatabase) -> None:
    api.update_badge("tagger", legacy=True)
    awards = [due("alice", "tagger"), due("alice"), due("bob", "nothing"), due("bob")]

    result = tahrir.award(awards)

    assert gifts(result) == [("alice", "editor"), ("bob", "editor")]
    assert [(each.username, each.badge_id) for each, _ in result.refused] == [
        ("bob", "nothing"),
        ("alice", "tagger"),
    ]
    assert {row[:3] for row in rows(api)} == {
        ("editor", "alice@example.org", "alice"),
        ("editor", "bob@example.org", "bob"),
    }


def test_concurrent_bulk_awards_of_the_same_badges_give_each_only_once(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    awards = [due(f"user{n:02d}") for n in range(40)]

    tasks: list[Any] = [
        lambda: tahrir.award(awards),
        lambda: tahrir.award(list(reversed(awards))),
        lambda: BulkAwardResult(
            tuple(g for each in awards[::3] for g in tahrir.award([each]).given)
        ),
    ]

    got = at_once(lambda: tasks.pop()())

    assert [result.refused for result in got] == [()] * 3
    assert sum(len(result.given) for result in got) == 40
    assert len(rows(api)) == 40


# Badges that were deleted


def test_deleted_badge_is_created_again_when_it_is_awarded(
    tahrir: Tahrir, api: TahrirDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    award(tahrir, "editor", "alice")
    delete_badge(api, "editor")
    awards = [replace(due("bob"), badge=EDITOR), due("carol", "tagger")]

    result = tahrir.award(awards)

    assert gifts(result) == [("bob", "editor"), ("carol", "tagger")]
    assert result.refused == ()
    assert badges_of(api, "bob@example.org") == ["editor"]
    assert api.get_badge("editor").description == "Edited a page"
    assert [record.getMessage() for record in caplog.records] == [
        "Created a badge again that was deleted from tahrir badge=editor"
    ]


@pytest.mark.sqlite
def test_badge_is_not_deleted_between_its_look_up_and_its_award(
    tahrir: Tahrir, settings: Settings
) -> None:
    """SQLite has no foreign keys here that would refuse the award afterwards."""
    made, outcomes = engine(settings.tahrir_url), []

    def delete(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        if "FROM badges" not in statement:
            return
        other = sa.create_engine(made.url, connect_args={"timeout": 0})
        try:
            with other.begin() as connection:
                connection.execute(sa.text("DELETE FROM badges WHERE id = 'editor'"))
            outcomes.append("deleted")
        except sa.exc.OperationalError as error:
            outcomes.append(str(error.orig))

    sa.event.listen(made, "after_cursor_execute", delete)
    try:
        award(tahrir, "editor", "alice")
    finally:
        sa.event.remove(made, "after_cursor_execute", delete)

    assert outcomes == ["database is locked"]


def test_several_deleted_badges_are_created_again_in_one_award(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    for badge_id in BOTH:
        delete_badge(api, badge_id)
    awards = [
        replace(due(name, badge.id), badge=badge)
        for badge in (EDITOR, TAGGER)
        for name in ("alice", "bob")
    ]

    result = tahrir.award(awards)

    assert len(result.given) == 4
    assert sorted(tag.name for tag in api.get_badge("tagger").tags) == ["content", "tagging"]


@pytest.mark.sqlite
def test_badge_without_a_rule_that_is_missing_does_not_cost_a_deleted_one(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    delete_badge(api, "editor")

    result = tahrir.award([replace(due("alice"), badge=EDITOR), due("bob", "nothing")])

    assert gifts(result) == [("alice", "editor")]
    assert [str(error) for _, error in result.refused] == ["tahrir has no badge nothing"]


@pytest.mark.sqlite
def test_deleted_badge_whose_name_another_has_is_refused(
    tahrir: Tahrir, api: TahrirDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    delete_badge(api, "editor")
    tahrir.publish_badges([replace(EDITOR, id="writer")])

    result = tahrir.award([replace(due("alice"), badge=EDITOR), due("bob", "tagger")])

    assert gifts(result) == [("bob", "tagger")]
    assert [str(error) for _, error in result.refused] == ["tahrir has no badge editor"]
    assert caplog.records == []


def test_deleted_badge_is_created_once_by_several_threads(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    delete_badge(api, "editor")
    names = ["alice", "bob", "carol"]

    got = at_once(lambda: tahrir.award([replace(due(names.pop()), badge=EDITOR)]))

    assert [len(result.given) for result in got] == [1, 1, 1]


def test_award_with_its_badge_takes_no_more_statements(tahrir: Tahrir, settings: Settings) -> None:
    for badge, name in ((None, "alice"), (EDITOR, "bob")):
        with statements(settings.tahrir_url) as sent:
            tahrir.award([replace(due(name), badge=badge)])
        if badge is None:
            expected = len(sent)
    assert len(sent) == expected


# Awards by hand


@pytest.mark.sqlite
def test_notice_of_an_award_by_hand_has_the_operator_the_reason_and_the_link(
    tahrir: Tahrir,
) -> None:
    by_hand = ByHand("root", "spoke at the conference")

    result = tahrir.award([replace(due("alice"), by_hand=by_hand), due("bob")])

    notices = {given.award.username: given.notice.body for given in result.given}
    assert set(notices["alice"]) == {"badge", "user", "by_hand"}
    assert notices["alice"]["by_hand"] == {
        "operator": "root",
        "reason": "spoke at the conference",
        "link": LINK,
    }
    assert set(notices["bob"]) == {"badge", "user"}


@pytest.mark.sqlite
def test_bulk_award_of_nothing_gives_nothing(tahrir: Tahrir) -> None:
    assert tahrir.award([]) == BulkAwardResult()


def test_row_that_the_database_refuses_does_not_cost_the_others(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    bad = replace(due("bob"), issued_on="soon")

    result = tahrir.award([due("alice"), bad, due("carol")])

    assert gifts(result) == [("alice", "editor"), ("carol", "editor")]
    assert [each for each, _ in result.refused] == [bad]
    assert badges_of(api, "bob@example.org") == []
    assert api.get_person("bob@example.org") is None


def test_every_method_raises_unavailable_while_the_database_is_away(tmp_path: Path) -> None:
    away = Databases("sqlite", f"sqlite:///{tmp_path}/a/b.db", f"sqlite:///{tmp_path}/a/c.db")
    tahrir = Tahrir(make_settings(away, tmp_path))

    for ask in (
        lambda: tahrir.holdings(["alice"], ["editor"]),
        lambda: award(tahrir, "editor", "alice"),
        lambda: tahrir.award([due("alice")]),
        lambda: tahrir.adjust_ranks([1]),
        lambda: tahrir.publish_badges([EDITOR]),
        lambda: tahrir.check(),
        lambda: revoke(tahrir, "editor", "alice"),
    ):
        with pytest.raises(Unavailable):
            ask()


# Revocations


def test_revoke_removes_only_the_badge_of_the_person(tahrir: Tahrir, api: TahrirDatabase) -> None:
    given = award(tahrir, "editor", "alice")
    award(tahrir, "tagger", "alice")
    award(tahrir, "editor", "bob")

    assert given is not None
    result = revoke(tahrir, "editor", "alice")
    assert result.person_id == given.person_id
    assert result.notice is not None
    assert badges_of(api, "alice@example.org") == ["tagger"]
    assert badges_of(api, "bob@example.org") == ["editor"]


@pytest.mark.sqlite
def test_revoke_of_a_badge_that_is_not_held_has_no_notice(tahrir: Tahrir) -> None:
    award(tahrir, "editor", "alice")

    assert revoke(tahrir, "tagger", "alice").notice is None
    assert revoke(tahrir, "editor", "nobody") == RevokeResult(None)


def test_person_without_badges_after_revoke_has_no_rank(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    given = award(tahrir, "editor", "alice")
    assert given is not None
    tahrir.adjust_ranks([given.person_id])
    assert ranks(api) == {"alice": 1}

    revoke(tahrir, "editor", "alice")

    api.session.rollback()
    assert ranks(api) == {"alice": None}
