"""Badges that at most so many people hold, whoever awards them at the same time."""

import threading
from datetime import timedelta

import pytest
from support.held_badges import pairs
from support.tahrir import DAY, opt_out
from tahrir_api.dbapi import TahrirDatabase

from fedbadges.config.settings import Settings
from fedbadges.tahrir.awarding import Award
from fedbadges.tahrir.database import Tahrir


def due(username: str, day: int, limit: int | None = 2) -> Award:
    """Return an award that a message of a day earned."""
    return Award("editor", username, position=(DAY + timedelta(days=day), 1.0), limit=limit)


def holders(settings: Settings) -> set[str]:
    return {name for name, badge in pairs(settings) if badge == "editor"}


def test_those_whose_messages_come_first_get_the_badge(tahrir: Tahrir, settings: Settings) -> None:
    tahrir.award([due("alice", 3), due("bob", 1), due("carol", 2)])
    assert holders(settings) == {"bob", "carol"}
    assert tahrir.count_holders(["editor", "tagger"]) == {"editor": 2, "tagger": 0}


def test_nobody_more_gets_it_later(tahrir: Tahrir, settings: Settings) -> None:
    tahrir.award([due("alice", 3), due("bob", 4)])
    assert not tahrir.award([due("carol", 1)]).given
    assert holders(settings) == {"alice", "bob"}


def test_who_holds_it_or_opted_out_takes_no_place(
    tahrir: Tahrir, api: TahrirDatabase, settings: Settings
) -> None:
    tahrir.award([Award("tagger", "dave")])
    opt_out(api, "dave@example.org")
    tahrir.award([due("alice", 1)])
    tahrir.award([due("alice", 2), due("dave", 3), due("bob", 4), due("carol", 5)])
    assert holders(settings) == {"alice", "bob"}


def test_an_award_by_hand_counts_and_has_no_limit(tahrir: Tahrir, settings: Settings) -> None:
    tahrir.award([due("alice", 1, None), due("bob", 2, None), due("carol", 3, None)])
    assert not tahrir.award([due("dave", 1)]).given
    tahrir.award([Award("editor", "erin")])
    assert holders(settings) == {"alice", "bob", "carol", "erin"}


def test_other_badges_of_a_batch_have_no_limit(tahrir: Tahrir, settings: Settings) -> None:
    tahrir.award([due("alice", 1, 1), due("bob", 2, 1), Award("tagger", "bob")])
    assert pairs(settings) == {("alice", "editor"), ("bob", "tagger")}


def test_processes_that_award_at_once_do_not_exceed_the_limit(settings: Settings) -> None:
    Tahrir(settings).award([Award("tagger", f"person{number}") for number in range(24)])
    start = threading.Barrier(4)

    def award(first: int) -> None:
        start.wait()
        for number in range(first, 24, 4):
            Tahrir(settings).award([due(f"person{number}", number, 5)])

    threads = [threading.Thread(target=award, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(holders(settings)) == 5


@pytest.fixture(autouse=True)
def _badges(tahrir: Tahrir) -> None:
    """Have tahrir know the badges."""
