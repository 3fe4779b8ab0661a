"""Badges for badges: awards that follow from awards, in the same transaction."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection
from support.builders import make_settings, wipe
from support.databases import Databases
from support.held_badges import holding, load, of, pairs, tagged
from support.tahrir import delete_badge, opt_out, revoke
from tahrir_api.dbapi import TahrirDatabase

from fedbadges.config.settings import Settings
from fedbadges.messages import Notice, naive_utc
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import Award, BulkAwardResult, ByHand
from fedbadges.tahrir.bulk_awarding import award_all
from fedbadges.tahrir.database import Tahrir

PLAIN = "trigger: {topic: wiki.edit}\ncriteria: {libravatar: {exists: Yes}}\n"
BODIES = {
    **dict.fromkeys("abe", PLAIN),
    "t": PLAIN + "tags: [event]\n",
    "u": PLAIN + "tags: event\n",
    "both": holding("[a, b]"),
    "more": holding("both", "tags: [event]\n"),
    "three": tagged("event", 3),
    "either": holding("{any: [e, three]}"),
}
OF_AB = ["a", "b", "both", "more"]

Give = Callable[..., BulkAwardResult]


@pytest.fixture
def rules(settings: Settings) -> Sequence[Rule]:
    return load(settings, BODIES)


@pytest.fixture
def give(tahrir: Tahrir, rules: Sequence[Rule]) -> Give:
    """Award badges, each to alice unless said otherwise, as the daemon does."""
    tahrir.publish_badges(rule.badge for rule in rules)

    def give(*badges: str, user: str = "alice", when: float | None = None) -> BulkAwardResult:
        position = naive_utc(time.time() if when is None else when), 1.0
        described = {rule.badge.id: rule.badge for rule in rules}
        awards = [
            Award(badge, user, "https://x", badge=described[badge], position=position)
            for badge in badges
        ]
        return tahrir.award(awards, untriggered(rules))

    return give


def untriggered(rules: Sequence[Rule]) -> list[Rule]:
    return [rule for rule in rules if not rule.has_trigger]


def test_what_follows_from_an_award_is_awarded_with_it(give: Give, settings: Settings) -> None:
    assert [each.award.badge_id for each in give("a").given] == ["a"]

    result = give("b")

    assert [each.award.badge_id for each in result.given] == ["b", "both", "more"]
    assert pairs(settings) == of("alice", OF_AB)
    assert [each.notice.body["badge"]["badge_id"] for each in result.given] == OF_AB[1:]
    assert {each.award.link for each in result.given} == {"https://x"}
    causes = [each.award.cause and each.award.cause.badge_id for each in result.given]
    assert causes == [None, "b", "b"]


def test_what_follows_from_several_awards_at_once_is_given_once(
    give: Give, settings: Settings
) -> None:
    assert len(give("a", "b").given) == 4
    assert not give("a", "b").given
    assert pairs(settings) == of("alice", OF_AB)


def test_badges_with_tags_are_counted_with_those_that_follow(
    give: Give, settings: Settings
) -> None:
    give("t", "u")
    assert pairs(settings) == of("alice", "tu")
    give("a", "b")  # what follows has the tag, too
    assert pairs(settings) == of("alice", ["t", "u", *OF_AB, "three", "either"])


def test_awards_of_other_people_do_not_count(give: Give, settings: Settings) -> None:
    give("a")
    give("b", user="bob")
    assert pairs(settings) == {("alice", "a"), ("bob", "b")}


def test_what_follows_from_an_award_by_hand_is_awarded_with_it(
    give: Give, tahrir: Tahrir, rules: Sequence[Rule], settings: Settings
) -> None:
    by_hand = Award("e", "alice", by_hand=ByHand("root", "why not"))

    result = tahrir.award([by_hand], untriggered(rules))

    assert pairs(settings) == of("alice", ["e", "either"])
    assert ["by_hand" in each.notice.body for each in result.given] == [True, False]


def test_who_opted_out_or_is_banned_gets_nothing_that_follows(
    give: Give,
    api: TahrirDatabase,
    tmp_path: Path,
    rules: Sequence[Rule],
    shared_database: Databases,
) -> None:
    give("a")
    opt_out(api, "alice@example.org")
    assert not give("b").given

    settings = make_settings(shared_database, tmp_path, banned_usernames=["bob"])
    awards = [Award(badge, "bob") for badge in "ab"]
    given = Tahrir(settings).award(awards, untriggered(rules)).given
    assert {each.award.badge_id for each in given} == {"a", "b"}


def test_a_revoked_badge_follows_only_from_what_came_later(
    give: Give, tahrir: Tahrir, settings: Settings
) -> None:
    give("a", "b")
    revoke(tahrir, "both", "alice")
    revoke(tahrir, "more", "alice", for_good=True)
    give("t", when=time.time() - 3600)
    assert pairs(settings) == of("alice", "abt")

    give("u", when=time.time() + 3600)

    assert pairs(settings) == of("alice", ["a", "b", "t", "u", "both"])


def test_an_award_by_hand_gives_nothing_back_that_was_revoked(
    give: Give, tahrir: Tahrir, rules: Sequence[Rule], settings: Settings
) -> None:
    give("a", "b")
    revoke(tahrir, "both", "alice", for_good=True)
    tahrir.award([Award("t", "alice", by_hand=ByHand("root", "x"))], untriggered(rules))
    assert ("alice", "both") not in pairs(settings)


def test_a_badge_that_was_deleted_is_created_again(
    give: Give, api: TahrirDatabase, settings: Settings
) -> None:
    delete_badge(api, "both")
    give("a", "b")
    assert pairs(settings) == of("alice", OF_AB)


def test_a_legacy_badge_does_not_follow(
    give: Give, api: TahrirDatabase, settings: Settings
) -> None:
    api.get_badge("both").legacy = True
    api.session.commit()
    assert not give("a", "b").refused
    assert pairs(settings) == of("alice", "ab")


def test_an_award_and_what_follows_are_committed_together(
    give: Give, tahrir: Tahrir, rules: Sequence[Rule], settings: Settings
) -> None:
    def fail(connection: Connection, notices: Sequence[Notice]) -> list[Notice]:
        assert len(notices) == 4
        raise ConnectionError

    awards = [Award(badge, "alice") for badge in "ab"]
    result = award_all(settings, awards, tahrir.own_tables, store=fail, rules=untriggered(rules))

    assert len(result.refused) == 2
    assert pairs(settings) == set()


def test_one_award_that_is_refused_costs_no_other_what_follows(
    give: Give, tahrir: Tahrir, api: TahrirDatabase, rules: Sequence[Rule], settings: Settings
) -> None:
    api.get_badge("e").legacy = True
    api.session.commit()
    result = give("a", "b", "e")
    assert [award.badge_id for award, _ in result.refused] == ["e"]
    assert pairs(settings) == of("alice", OF_AB)


def test_of_two_awards_at_the_same_time_one_sees_the_other(give: Give, settings: Settings) -> None:
    people = [f"person{number}" for number in range(15)]
    for name in people:
        give("t", user=name)  # tahrir knows them
        start = threading.Barrier(2)

        def award(badge: str, user: str = name, start: threading.Barrier = start) -> None:
            start.wait()
            give(badge, user=user)

        threads = [threading.Thread(target=award, args=(badge,)) for badge in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert {name for name, badge in pairs(settings) if badge == "both"} == set(people)


@pytest.mark.sqlite
@hypothesis.settings(max_examples=30)
@given(data=st.data())
def test_the_order_of_awards_does_not_matter(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory, shared_database: Databases
) -> None:
    settings = make_settings(shared_database, Path("rules"))
    rules = load(settings, BODIES)
    people, badges = ("alice", "bob"), "abetu"
    every = list(itertools.product(people, badges))
    awards = data.draw(st.lists(st.sampled_from(every), unique=True, max_size=8), "awards")
    orders = [awards, data.draw(st.permutations(awards), "order")]
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=2, max_size=2), "batches")
    found = []
    for order, size in zip(orders, sizes, strict=True):
        wipe(shared_database)
        tahrir = Tahrir(settings)
        tahrir.publish_badges(rule.badge for rule in rules)
        for start in range(0, len(order), size):
            batch = [Award(badge, name) for name, badge in order[start : start + size]]
            tahrir.award(batch, untriggered(rules))
        found.append(pairs(settings))
    assert found[0] == found[1]
