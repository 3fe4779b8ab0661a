"""Many badges given in one transaction are as if each had been given by itself."""

import datetime
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from support.builders import make_settings, statements, wipe
from support.databases import Databases, create_schemas
from support.threads import at_once
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Assertion, Person, get_assertion_recipient

from fedbadges.databases import engine
from fedbadges.rules.criteria import Unavailable
from fedbadges.rules.rule import Badge
from fedbadges.settings import Settings
from fedbadges.tahrir import Award, Handout, Tahrir

EDITOR = Badge("editor", "Editor", "Edited a page", "editor.png", "ideas/1", "alice")
TAGGER = replace(EDITOR, id="tagger", name="Tagger")
DAY = datetime.datetime(2014, 10, 3, 12, 30, 5)
LINK = "https://example.org/id?id=1"

Rows = set[tuple[Any, ...]]


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
    made = Tahrir(settings)
    made.publish_badges([EDITOR, TAGGER])
    return made


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    with Session(engine(settings.tahrir_url)) as session:
        yield session


def award(username: str, badge: str = "editor", day: int = 0) -> Award:
    return Award(badge, username, LINK, DAY + datetime.timedelta(days=day))


def given(handout: Handout) -> list[tuple[str, str]]:
    return sorted((each.username, each.badge_id) for each, _ in handout.given)


def rows(session: Session) -> Rows:
    """Returns all that there is of awards, but for their salts."""
    session.rollback()
    found = sa.select(Assertion, Person).join(Person, Person.id == Assertion.person_id)
    listed = session.execute(found).all()
    for assertion, person in listed:
        assert assertion.id == f"{assertion.badge_id} -> {person.id}"
        assert assertion.recipient == get_assertion_recipient(person.email, assertion.salt)
    return {
        (a.badge_id, p.email, p.nickname, a.issued_on, a.issued_for, p.opt_out) for a, p in listed
    }


def test_the_rows_are_those_that_single_awards_make(
    tahrir: Tahrir, session: Session, tables: Databases
) -> None:
    awards = [award("alice"), award("bob", day=1), award("alice", "tagger", day=2)]
    for each in awards:
        tahrir.award(each.badge_id, each.username, each.link, each.issued_on)
    singly = rows(session)
    wipe(tables)
    tahrir.publish_badges([EDITOR, TAGGER])

    handout = tahrir.award_all(awards)

    assert rows(session) == singly
    assert len(singly) == 3
    assert handout.refused == ()
    assert given(handout) == [("alice", "editor"), ("alice", "tagger"), ("bob", "editor")]


def test_the_bus_is_told_what_tahrir_announces_of_single_awards(tahrir: Tahrir) -> None:
    single = tahrir.award("editor", "alice", None)
    assert single is not None

    ((_, bulk),) = tahrir.award_all([award("alice", "tagger")]).given

    assert bulk.person_id == single.person_id
    (expected,), (notice,) = single.notices, bulk.notices
    badge = expected.body["badge"] | {"name": "Tagger", "badge_id": "tagger"}
    assert notice.topic == expected.topic
    assert notice.body == expected.body | {"badge": badge}


def test_many_awards_take_a_few_statements(tahrir: Tahrir, settings: Settings) -> None:
    tahrir.award_all([award(f"known{n}", "tagger") for n in range(100)])
    awards = [award(f"{kind}{n}") for n in range(100) for kind in ("known", "new")]

    with statements(settings.tahrir_url) as sent:
        handout = tahrir.award_all(awards)

    assert len(handout.given) == 200
    assert len(sent) <= 6


def test_nobody_gets_it_twice_or_against_their_will(tahrir: Tahrir, session: Session) -> None:
    tahrir.award("editor", "alice", None)
    session.add(Person(email="bob@example.org", nickname="bob", opt_out=True))
    session.add(Person(email="carol@elsewhere.example", nickname="Carol"))
    session.commit()

    handout = tahrir.award_all([award(name) for name in ("alice", "bob", "carol", "carol")])

    assert given(handout) == [("carol", "editor")]
    assert {(email, link) for _, email, _, _, link, _ in rows(session)} == {
        ("alice@example.org", None),
        ("carol@elsewhere.example", LINK),
    }


def test_what_is_refused_costs_the_others_nothing(tahrir: Tahrir, session: Session) -> None:
    with Session(session.get_bind()) as other:
        TahrirDatabase(session=other).update_badge("tagger", legacy=True)
    awards = [award("alice", "tagger"), award("alice"), award("bob", "nothing"), award("bob")]

    handout = tahrir.award_all(awards)

    assert given(handout) == [("alice", "editor"), ("bob", "editor")]
    assert [(each.username, each.badge_id) for each, _ in handout.refused] == [
        ("alice", "tagger"),
        ("bob", "nothing"),
    ]
    assert {row[:3] for row in rows(session)} == {
        ("editor", "alice@example.org", "alice"),
        ("editor", "bob@example.org", "bob"),
    }


def test_several_who_give_the_same_give_it_once(tahrir: Tahrir, session: Session) -> None:
    awards = [award(f"user{n:02d}") for n in range(40)]

    got = at_once(
        lambda: tahrir.award_all(awards),
        lambda: tahrir.award_all(list(reversed(awards))),
        lambda: [tahrir.award("editor", f"user{n:02d}", None) for n in range(0, 40, 3)],
    )

    first, second, single = got
    assert first.refused == second.refused == ()
    assert len(first.given) + len(second.given) + sum(each is not None for each in single) == 40
    assert len(rows(session)) == 40


def test_nothing_to_give_is_nothing(tahrir: Tahrir) -> None:
    assert tahrir.award_all([]) == Handout()


def test_a_database_that_is_away_is_unavailable(tmp_path: Path) -> None:
    away = Databases("sqlite", f"sqlite:///{tmp_path}/a/b.db", f"sqlite:///{tmp_path}/a/c.db")

    with pytest.raises(Unavailable):
        Tahrir(make_settings(away, tmp_path)).award_all([award("alice")])
