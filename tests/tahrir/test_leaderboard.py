"""Ranks, as tahrir_api itself sees them."""

from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session
from support.builders import statements
from support.tahrir import EDITOR, award, opt_out, ranks
from tahrir_api.dbapi import TahrirDatabase

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.tahrir.database import Tahrir


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


def test_ranks_are_those_of_the_leaderboard(tahrir: Tahrir, api: TahrirDatabase) -> None:
    given = award_some(tahrir)

    tahrir.adjust_ranks([given["alice"]])

    assert ranks(api) == {"alice": 3, "bob": 1, "carol": 1}


def test_person_who_opted_out_has_no_rank(tahrir: Tahrir, api: TahrirDatabase) -> None:
    given = award_some(tahrir)
    opt_out(api, "bob@example.org")

    tahrir.adjust_ranks(given.values())

    assert ranks(api) == {"alice": 2, "bob": None, "carol": 1}


def test_rank_notice_is_what_tahrir_api_announces(
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


def test_each_person_has_one_rank_notice(tahrir: Tahrir) -> None:
    given = award_some(tahrir)

    notices = tahrir.adjust_ranks([given["bob"], given["carol"], given["bob"]])

    assert sorted(notice.body["person"]["nickname"] for notice in notices) == ["bob", "carol"]


def test_rank_notice_has_the_old_rank(tahrir: Tahrir) -> None:
    given = award_some(tahrir)
    tahrir.adjust_ranks(given.values())
    tahrir.publish_badges([replace(EDITOR, id=f"more-{n}", name=f"More {n}") for n in range(2)])
    for number in range(2):
        award(tahrir, f"more-{number}", "alice")

    (notice,) = tahrir.adjust_ranks([given["alice"]])

    assert notice.body["old_rank"] == 3
    assert notice.body["person"]["rank"] == 1


def test_rank_notice_has_the_rank_before_the_award_though_another_daemon_has_adjusted_it(
    tahrir: Tahrir,
) -> None:
    given = award_some(tahrir)
    tahrir.adjust_ranks(given.values())
    tahrir.publish_badges([replace(EDITOR, id="more", name="More")])
    result = award(tahrir, "more", "alice")
    assert result is not None
    tahrir.adjust_ranks([given["bob"]])

    (notice,) = tahrir.adjust_ranks([result.person_id], {result.person_id: result.rank})

    assert notice.body["old_rank"] == 3
    assert notice.body["person"]["rank"] == 1


def test_leaderboard_is_computed_once_for_everybody(tahrir: Tahrir, settings: Settings) -> None:
    given = award_some(tahrir)

    with statements(settings.tahrir_url) as sent:
        tahrir.adjust_ranks(given.values())

    assert sum("count" in statement for statement in sent) == 1
