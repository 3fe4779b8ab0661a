"""The tahrir side: who holds what, awarding, ranks; as tahrir_api itself sees it."""

import datetime
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from support.builders import make_config, make_settings, statements, wipe
from support.databases import Databases, create_schemas
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Assertion, Issuer, Person, get_assertion_recipient

from fedbadges.config.settings import Settings, read_settings
from fedbadges.databases.connections import engine
from fedbadges.errors import Unavailable
from fedbadges.rules.rule import Badge
from fedbadges.tahrir.awarding import Award, AwardResult, BulkAwardResult
from fedbadges.tahrir.badges import Unawardable
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import Holdings

EDITOR = Badge(
    id="editor",
    name="Editor",
    description="Edited a page",
    image_url="https://badges.example.org/pngs/editor.png",
    discussion="https://badges.example.org/discussion",
    creator="alice",
)
TAGGER = replace(EDITOR, id="tagger", name="Tagger", tags=("content", "tagging"))
BOTH = ("editor", "tagger")

DAY = datetime.datetime(2014, 10, 3, 12, 30, 5)
LINK = "https://example.org/id?id=1"


@pytest.fixture(scope="module")
def tables(shared_database: Databases) -> Databases:
    create_schemas(shared_database)
    return shared_database


@pytest.fixture
def settings(tables: Databases, tmp_path: Path) -> Settings:
    wipe(tables)
    return make_settings(tables, tmp_path)


@pytest.fixture
def tahrir(settings: Settings) -> Tahrir:
    """With two badges, Editor and Tagger."""
    made = Tahrir(settings)
    made.publish_badges([EDITOR, TAGGER])
    return made


@pytest.fixture
def api(settings: Settings) -> Iterator[TahrirDatabase]:
    """What the web site works with."""
    with Session(engine(settings.tahrir_url)) as session:
        yield TahrirDatabase(session=session)


def badges_of(api: TahrirDatabase, email: str) -> list[str]:
    api.session.rollback()
    return sorted(each.badge_id for each in api.get_assertions_by_email(email) or [])


def opt_out(api: TahrirDatabase, email: str) -> None:
    api.get_person(email).opt_out = True
    api.session.commit()


def award(tahrir: Tahrir, badge: str, username: str, link: str | None = None) -> AwardResult | None:
    """Awards one badge; returns None where it was held already, or the person has opted out."""
    result = tahrir.award([Award(badge, username, link)])
    for _, error in result.refused:
        raise error
    return result.given[0] if result.given else None


# Badges


def test_a_rule_becomes_a_badge(tahrir: Tahrir, api: TahrirDatabase) -> None:
    badge = api.get_badge("tagger")

    assert badge.name == "Tagger"
    assert badge.image == TAGGER.image_url
    assert badge.description == TAGGER.description
    assert badge.criteria == TAGGER.discussion
    assert sorted(tag.name for tag in badge.tags) == ["content", "tagging"]
    assert badge.issuer.name == "Example Badges"
    assert badge.issuer.origin == "https://badges.example.org"


def test_what_changed_in_a_rule_reaches_the_badge(tahrir: Tahrir, api: TahrirDatabase) -> None:
    changed = replace(
        TAGGER,
        name="TAGGER",
        image_url="new.png",
        description="New",
        discussion="https://example.org/new",
        tags=("content", "new"),
    )

    tahrir.publish_badges([changed])

    badge = api.get_badge("tagger")
    assert (badge.name, badge.image, badge.description) == ("TAGGER", "new.png", "New")
    assert badge.criteria == "https://example.org/new"
    assert sorted(tag.name for tag in badge.tags) == ["content", "new"]


def test_a_rule_that_did_not_change_changes_nothing(
    tahrir: Tahrir, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with statements(settings.tahrir_url) as sent, caplog.at_level("INFO", "fedbadges"):
        tahrir.publish_badges([EDITOR, TAGGER])

    assert all(statement.startswith("SELECT") for statement in sent)
    assert caplog.messages == []


def test_a_change_is_logged(tahrir: Tahrir, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "fedbadges"):
        tahrir.publish_badges([replace(EDITOR, description="New", image_url="new.png")])

    assert caplog.messages == ["Changed badge badge=editor changed=description,image"]


def test_tags_of_the_web_site_stay_where_the_rule_says_nothing(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.update_badge("editor", tags=["by-hand"])

    tahrir.publish_badges([EDITOR])

    assert [tag.name for tag in api.get_badge("editor").tags] == ["by-hand"]


def test_a_rule_that_says_no_tags_removes_them(tahrir: Tahrir, api: TahrirDatabase) -> None:
    tahrir.publish_badges([replace(TAGGER, tags=())])

    assert api.get_badge("tagger").tags == []


def test_an_issuer_whose_origin_changed_is_the_same_issuer(
    tahrir: Tahrir, api: TahrirDatabase, tables: Databases, tmp_path: Path
) -> None:
    config = make_config(tables, tmp_path, issuer_origin="https://new.example.org")
    moved, _ = read_settings(config)

    Tahrir(moved).publish_badges([EDITOR, replace(TAGGER, id="new", name="New")])

    assert api.session.scalar(sa.select(sa.func.count(Issuer.id))) == 1
    assert api.get_badge("new").issuer.name == "Example Badges"


def test_several_daemons_may_publish_the_same_badges_at_once(
    settings: Settings, api: TahrirDatabase
) -> None:
    assert at_once(lambda: Tahrir(settings).publish_badges([EDITOR, TAGGER])) == [Unawardable()] * 3

    assert sorted(badge.id for badge in api.get_all_badges()) == ["editor", "tagger"]


def test_legacy_badges_are_named(tahrir: Tahrir, api: TahrirDatabase) -> None:
    api.update_badge("editor", legacy=True)

    assert tahrir.publish_badges([EDITOR, TAGGER]) == Unawardable(legacy=frozenset(["editor"]))


def test_a_badge_whose_name_another_one_has_is_refused_and_costs_no_other_its_place(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.update_badge("tagger", name="Second")
    second, third = (replace(EDITOR, id=name.lower(), name=name) for name in ("Second", "Third"))

    published = tahrir.publish_badges([second, third])

    assert published.refused == {
        "second": "tahrir has a badge of this name under another id, 'tagger'"
    }
    assert sorted(badge.id for badge in api.get_all_badges()) == ["editor", "tagger", "third"]


def test_a_badge_whose_new_name_another_one_has_stays_as_it_was(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.update_badge("tagger", name="EDITOR")

    published = tahrir.publish_badges([replace(EDITOR, name="EDITOR"), replace(TAGGER, name="X")])

    assert set(published.refused) == {"editor"}
    assert api.get_badge("editor").name == "Editor"


def test_a_name_that_is_taken_while_badges_are_published_is_refused_too(
    tahrir: Tahrir, settings: Settings
) -> None:
    made = engine(settings.tahrir_url)
    asked: list[str] = []

    def take(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        if "WHERE badges.name IN" not in statement:
            return
        asked.append(statement)
        if len(asked) == 1:
            with sa.create_engine(made.url).begin() as other:
                other.execute(sa.text("UPDATE badges SET name = 'Second' WHERE id = 'tagger'"))

    sa.event.listen(made, "after_cursor_execute", take)
    try:
        published = tahrir.publish_badges([replace(EDITOR, id="second", name="Second")])
    finally:
        sa.event.remove(made, "after_cursor_execute", take)

    assert len(asked) == 2
    assert set(published.refused) == {"second"}


# Standing


def test_nothing_stands_in_the_way_of_people_that_tahrir_does_not_know(tahrir: Tahrir) -> None:
    assert tahrir.holdings(["alice"], BOTH) == Holdings(frozenset(), frozenset())


def test_a_standing_is_about_the_people_and_badges_that_were_asked_for(tahrir: Tahrir) -> None:
    award(tahrir, "editor", "alice")
    award(tahrir, "tagger", "alice")
    award(tahrir, "editor", "bob")

    standing = tahrir.holdings(["alice", "carol"], ["editor"])

    assert standing.held == {("alice", "editor")}
    assert not standing.allows("alice", "editor")
    assert standing.allows("carol", "editor")


def test_who_opted_out_is_allowed_nothing(tahrir: Tahrir, api: TahrirDatabase) -> None:
    award(tahrir, "editor", "alice")
    opt_out(api, "alice@example.org")

    standing = tahrir.holdings(["alice"], ["tagger"])

    assert standing.opted_out == {"alice"}
    assert not standing.allows("alice", "tagger")


def test_people_that_tahrir_knows_cost_one_statement(tahrir: Tahrir, settings: Settings) -> None:
    for name in ("alice", "bob"):
        award(tahrir, "editor", name)

    with statements(settings.tahrir_url) as sent:
        tahrir.holdings(["alice", "bob"], BOTH)

    assert len(sent) == 1


def test_people_that_it_does_not_know_cost_a_second_one(tahrir: Tahrir, settings: Settings) -> None:
    award(tahrir, "editor", "alice")

    with statements(settings.tahrir_url) as sent:
        tahrir.holdings(["alice", *(f"user{number}" for number in range(100))], BOTH)

    assert len(sent) == 2


def test_an_address_in_upper_case_is_found(tahrir: Tahrir, api: TahrirDatabase) -> None:
    api.add_person("Alice@Example.org", nickname="somebody")
    api.add_assertion("editor", "alice@example.org", None)

    assert tahrir.holdings(["alice"], BOTH).held == {("alice", "editor")}
    assert award(tahrir, "editor", "alice") is None


def test_a_person_with_another_address_is_found_by_the_nickname(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.add_person("alice@elsewhere.example", nickname="Alice")
    api.add_assertion("editor", "alice@elsewhere.example", None)
    api.add_person("bob@elsewhere.example", nickname="bob")
    opt_out(api, "bob@elsewhere.example")

    standing = tahrir.holdings(["alice", "bob"], BOTH)

    assert standing == Holdings(frozenset([("alice", "editor")]), frozenset(["bob"]))


def test_since_when_a_badge_is_held_is_known_of_those_who_hold_it(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    since = datetime.datetime(2014, 9, 20, 12)
    api.add_person("Alice@Example.org", nickname="somebody")
    api.add_assertion("editor", "alice@example.org", since)
    award(tahrir, "tagger", "bob")

    held = tahrir.held_since(["alice", "bob", "carol"], ["editor"])

    assert held == {("alice", "editor"): since}


def test_what_nobody_can_be_awarded_is_known_without_a_change(
    tahrir: Tahrir, settings: Settings, api: TahrirDatabase
) -> None:
    api.session.execute(sa.text("UPDATE badges SET legacy = true WHERE id = 'tagger'"))
    api.session.commit()
    other = replace(EDITOR, id="other")

    with statements(settings.tahrir_url) as sent:
        found = tahrir.unawardable([EDITOR, TAGGER, other, replace(EDITOR, id="new", name="New")])

    assert found.legacy == {"tagger"}
    assert list(found.refused) == ["other"]
    assert {statement.split()[0] for statement in sent} == {"SELECT"}


def test_the_address_counts_before_the_nickname(tahrir: Tahrir, api: TahrirDatabase) -> None:
    """As it does for awards."""
    api.add_person("Alice@example.org", nickname="bob")
    api.add_person("carol@example.org", nickname="alice")
    api.add_assertion("editor", "carol@example.org", None)

    assert tahrir.holdings(["alice"], BOTH).held == set()
    award(tahrir, "tagger", "alice")
    assert badges_of(api, "alice@example.org") == ["tagger"]
    assert tahrir.holdings(["alice", "bob"], BOTH).held == {("alice", "tagger"), ("bob", "tagger")}


def test_more_people_than_a_statement_can_hold_are_asked_for(tahrir: Tahrir) -> None:
    names = [f"user{number}" for number in range(40_000)]
    award(tahrir, "editor", names[-1])

    assert tahrir.holdings(names, BOTH).held == {(names[-1], "editor")}


# Awards


def test_an_award_makes_the_person_and_the_assertion(tahrir: Tahrir, api: TahrirDatabase) -> None:
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


def test_the_bus_is_told_what_tahrir_announces(tahrir: Tahrir, api: TahrirDatabase) -> None:
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


def test_a_badge_is_given_once(tahrir: Tahrir, api: TahrirDatabase) -> None:
    assert award(tahrir, "editor", "alice") is not None
    assert award(tahrir, "editor", "alice") is None

    assert badges_of(api, "alice@example.org") == ["editor"]


def test_who_opted_out_meanwhile_is_given_nothing(tahrir: Tahrir, api: TahrirDatabase) -> None:
    award(tahrir, "editor", "alice")
    opt_out(api, "alice@example.org")

    assert award(tahrir, "tagger", "alice") is None
    assert badges_of(api, "alice@example.org") == ["editor"]


def test_a_person_with_another_address_is_given_the_badge_once(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.add_person("alice@elsewhere.example", nickname="alice")

    assert award(tahrir, "editor", "alice") is not None
    assert award(tahrir, "editor", "alice") is None

    assert badges_of(api, "alice@elsewhere.example") == ["editor"]
    assert api.get_person("alice@example.org") is None


def test_a_legacy_badge_cannot_be_given(tahrir: Tahrir, api: TahrirDatabase) -> None:
    api.update_badge("editor", legacy=True)

    with pytest.raises(ValueError, match="legacy"):
        award(tahrir, "editor", "alice")


def test_a_badge_that_tahrir_lacks_is_an_error(tahrir: Tahrir, api: TahrirDatabase) -> None:
    with pytest.raises(RuntimeError, match="no badge nothing"):
        award(tahrir, "nothing", "alice")

    assert api.get_person("alice@example.org") is None


def at_once(ask: Any, times: int = 3) -> list[Any]:
    """Does the same in several threads at the same moment; returns what each got."""
    got: list[Any] = []

    def work() -> None:
        start.wait()
        try:
            got.append(ask())
        except Exception as error:
            got.append(error)

    start = threading.Barrier(times)
    threads = [threading.Thread(target=work) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


@pytest.mark.parametrize("known", [False, True])
def test_the_same_award_from_several_threads_is_given_once(
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


def test_the_same_award_from_several_processes_is_given_once(
    tahrir: Tahrir, settings: Settings, api: TahrirDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "fedbadges.tahrir.awarding.engine", lambda url: sa.create_engine(url, poolclass=sa.NullPool)
    )

    got = at_once(lambda: award(Tahrir(settings), "editor", "alice"))

    assert sorted(type(each).__name__ for each in got) == ["AwardResult", "NoneType", "NoneType"]
    assert api.session.scalar(sa.select(sa.func.count(Person.id))) == 1


def test_different_awards_of_a_new_person_at_once_are_both_given(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    wanted = ["editor", "tagger"]

    got = at_once(lambda: award(tahrir, wanted.pop(), "alice"), times=2)

    assert all(isinstance(each, AwardResult) for each in got)
    assert badges_of(api, "alice@example.org") == ["editor", "tagger"]


# Awards in bulk


def due(username: str, badge: str = "editor", day: int = 0) -> Award:
    """Returns an award as of a day of long ago."""
    return Award(badge, username, LINK, DAY + datetime.timedelta(days=day))


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
    tahrir: Tahrir, api: TahrirDatabase, tables: Databases
) -> None:
    awards = [due("alice"), due("bob", day=1), due("alice", "tagger", day=2)]
    for each in awards:
        email = f"{each.username}@example.org"
        api.add_person(email, nickname=each.username)
        api.add_assertion(each.badge_id, email, each.issued_on, each.link)
    expected = rows(api)
    wipe(tables)
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


def test_many_awards_take_a_few_statements(tahrir: Tahrir, settings: Settings) -> None:
    tahrir.award([due(f"known{n}", "tagger") for n in range(100)])
    awards = [due(f"{kind}{n}") for n in range(100) for kind in ("known", "new")]

    with statements(settings.tahrir_url) as sent:
        result = tahrir.award(awards)

    assert len(result.given) == 200
    assert len(sent) <= 6


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


def test_what_is_refused_costs_the_others_nothing(tahrir: Tahrir, api: TahrirDatabase) -> None:
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


def test_several_who_give_the_same_give_it_once(tahrir: Tahrir, api: TahrirDatabase) -> None:
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


def test_nothing_to_give_is_nothing(tahrir: Tahrir) -> None:
    assert tahrir.award([]) == BulkAwardResult()


# Ranks


def award_some(tahrir: Tahrir) -> dict[str, int]:
    """Gives bob and carol two badges and alice one; returns their numbers."""
    given = {}
    for name, badge in (
        ("alice", "editor"),
        ("bob", "editor"),
        ("bob", "tagger"),
        ("carol", "editor"),
        ("carol", "tagger"),
    ):
        result = award(tahrir, badge, name)
        assert result is not None
        given[name] = result.person_id
    return given


def ranks(api: TahrirDatabase) -> dict[str, int | None]:
    api.session.rollback()
    return {person.nickname: person.rank for person in api.session.scalars(sa.select(Person))}


def test_ranks_are_those_of_the_leaderboard(tahrir: Tahrir, api: TahrirDatabase) -> None:
    given = award_some(tahrir)

    tahrir.adjust_ranks([given["alice"]])

    assert ranks(api) == {"alice": 3, "bob": 1, "carol": 1}


def test_who_opted_out_has_no_rank(tahrir: Tahrir, api: TahrirDatabase) -> None:
    given = award_some(tahrir)
    opt_out(api, "bob@example.org")

    tahrir.adjust_ranks(given.values())

    assert ranks(api) == {"alice": 2, "bob": None, "carol": 1}


def test_what_the_bus_is_told_of_ranks_is_what_tahrir_announces(
    tahrir: Tahrir, api: TahrirDatabase, settings: Settings
) -> None:
    given = award_some(tahrir)
    announced: list[Any] = []
    with Session(engine(settings.tahrir_url)) as session:
        theirs = TahrirDatabase(
            session=session, autocommit=False, notification_callback=announced.append
        )
        theirs.adjust_ranks(theirs.get_person("alice@example.org"))
        session.rollback()

    (notice,) = tahrir.adjust_ranks([given["alice"]])

    (message,) = announced
    assert message.topic == f"badges.{notice.topic}"
    assert notice.body == message.body
    assert notice.body["person"]["rank"] == 3
    assert notice.body["old_rank"] is None


def test_everybody_who_was_given_a_badge_is_told_of_once(tahrir: Tahrir) -> None:
    given = award_some(tahrir)

    notices = tahrir.adjust_ranks([given["bob"], given["carol"], given["bob"]])

    assert sorted(notice.body["person"]["nickname"] for notice in notices) == ["bob", "carol"]


def test_an_old_rank_is_told(tahrir: Tahrir) -> None:
    given = award_some(tahrir)
    tahrir.adjust_ranks(given.values())
    tahrir.publish_badges([replace(EDITOR, id=f"more-{n}", name=f"More {n}") for n in range(2)])
    for number in range(2):
        award(tahrir, f"more-{number}", "alice")

    (notice,) = tahrir.adjust_ranks([given["alice"]])

    assert notice.body["old_rank"] == 3
    assert notice.body["person"]["rank"] == 1


def test_the_leaderboard_is_computed_once_for_everybody(tahrir: Tahrir, settings: Settings) -> None:
    given = award_some(tahrir)

    with statements(settings.tahrir_url) as sent:
        tahrir.adjust_ranks(given.values())

    assert sum("count" in statement for statement in sent) == 1


def test_a_database_that_is_away_is_unavailable(tmp_path: Path) -> None:
    away = Databases("sqlite", f"sqlite:///{tmp_path}/a/b.db", f"sqlite:///{tmp_path}/a/c.db")
    tahrir = Tahrir(make_settings(away, tmp_path))

    for ask in (
        lambda: tahrir.holdings(["alice"], ["editor"]),
        lambda: award(tahrir, "editor", "alice"),
        lambda: tahrir.award([due("alice")]),
        lambda: tahrir.adjust_ranks([1]),
        lambda: tahrir.publish_badges([EDITOR]),
    ):
        with pytest.raises(Unavailable):
            ask()


# Revocations


def test_a_revoked_badge_is_gone_and_others_stay(tahrir: Tahrir, api: TahrirDatabase) -> None:
    given = award(tahrir, "editor", "alice")
    award(tahrir, "tagger", "alice")
    award(tahrir, "editor", "bob")

    assert given is not None
    assert tahrir.revoke("editor", "alice") == given.person_id
    assert badges_of(api, "alice@example.org") == ["tagger"]
    assert badges_of(api, "bob@example.org") == ["editor"]


def test_what_somebody_does_not_hold_is_not_revoked(tahrir: Tahrir) -> None:
    award(tahrir, "editor", "alice")

    assert tahrir.revoke("tagger", "alice") is None
    assert tahrir.revoke("editor", "nobody") is None


def test_who_has_no_badge_left_has_no_rank(tahrir: Tahrir, api: TahrirDatabase) -> None:
    given = award(tahrir, "editor", "alice")
    assert given is not None
    tahrir.adjust_ranks([given.person_id])
    assert ranks(api) == {"alice": 1}

    tahrir.revoke("editor", "alice")

    api.session.rollback()
    assert ranks(api) == {"alice": None}


def test_all_badges_are_known_with_whether_they_can_be_awarded(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.get_badge("tagger").legacy = True
    api.session.commit()

    assert tahrir.badges() == {"editor": True, "tagger": False}
