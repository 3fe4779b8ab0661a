"""Rules about badges in a replay: it finds what a daemon awards, and what tahrir's awards earn."""

from datetime import datetime, timedelta
from pathlib import Path

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import make_settings, wipe
from support.databases import Databases
from support.held_badges import holding, load, of, pairs, tagged
from support.histories import PastMessage, Storage, earned, live
from support.tahrir import revoke_as_of
from tahrir_api.model import Assertion

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.replay.replay import Replay
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import Award
from fedbadges.tahrir.database import Tahrir

START = datetime(2024, 1, 1)


def counting(topic: str, least: int, more: str = "") -> str:
    return f"""\
trigger: {{topic: {topic}}}
criteria:
  filter: {{topics: ["%(topic)s"], users: ["%(recipient)s"]}}
  operation: count
  condition: {{greater than or equal to: {least}}}
recipient: "%(msg.user)s"
{more}"""


def after(topic: str, criteria: str) -> str:
    """Return a rule that asks at a message what somebody holds."""
    return f'trigger: {{topic: {topic}}}\ncriteria: {criteria}\nrecipient: "%(msg.user)s"\n'


BODIES = {
    "a": counting("wiki.edit", 1, "tags: [event]\n"),
    "b": counting("wiki.edit", 3, "tags: [event]\n"),
    "c": counting("git.receive", 2),
    "both": holding("[a, c]", "tags: [event]\n"),
    "more": holding("{any: [both, b]}"),
    "three": tagged("event", 3),
    "then": after("git.receive", "{tahrir: {holds: both}}"),
    "first": after("wiki.edit", "{all: [{tahrir: {holds: a}}, {not: {tahrir: {holds: c}}}]}"),
}
UNTRIGGERED = {"both", "more", "three"}
PEOPLE = ("alice", "bob")
TOPICS = ("wiki.edit", "git.receive")


@pytest.fixture
def settings(shared_database: Databases, tmp_path: Path) -> Settings:
    wipe(shared_database)
    return make_settings(shared_database, tmp_path, banned_usernames=["robot"])


def edits(*days: int, user: str = "alice", topic: str = "wiki.edit") -> list[PastMessage]:
    return [
        PastMessage(day, START + timedelta(days=day), topic, {"user": user}, (user,))
        for day in days
    ]


def hold(tahrir: Tahrir, username: str, **days: int) -> None:
    """Let somebody hold badges since some days."""
    tahrir.award(
        Award(badge, username, issued_on=START + timedelta(days=day)) for badge, day in days.items()
    )


def replayed(settings: Settings, badges: str, **options: bool) -> list[tuple[str, str, int]]:
    """Return who earns which of these badges on which day."""
    replay = Replay(settings, Tahrir(settings))
    rules = [rule for rule in load(replay.backends, BODIES) if rule.badge.id in badges.split()]
    found = replay.run(rules, **options)
    return [(each.username, each.rule.badge.id, (each.message.sent - START).days) for each in found]


@st.composite
def histories(draw: st.DrawFn) -> list[PastMessage]:
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(TOPICS), st.sampled_from(("alice", "bob")), st.integers(0, 9)
            ),
            max_size=12,
        )
    )
    return [
        PastMessage(number, START + timedelta(hours=hour), topic, {"user": user}, (user,))
        for number, (topic, user, hour) in enumerate(drawn, 1)
    ]


@hypothesis.settings(max_examples=25)
@given(messages=histories())
def test_a_replay_finds_what_a_daemon_awards(
    messages: list[PastMessage],
    shared_database: Databases,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    wipe(shared_database)
    settings = make_settings(shared_database, Path("rules"), keep_counts=False)
    rules = load(settings, BODIES)
    awarded = live(settings, rules, messages)
    again = Replay(settings, Tahrir(settings))
    assert earned(settings, again.run(load(again.backends, BODIES), skip_held=True)) == set()

    for nobody_holds_anything in (None, Tahrir(settings)):
        if nobody_holds_anything is not None:
            _forget_awards(settings)
        replay = Replay(settings, nobody_holds_anything)
        assert earned(settings, replay.run(load(replay.backends, BODIES))) == awarded


def _forget_awards(settings: Settings) -> None:
    with engine(settings.tahrir_url).begin() as connection:
        connection.execute(Assertion.__table__.delete())


def publish(settings: Settings) -> tuple[Tahrir, list[Rule]]:
    tahrir, rules = Tahrir(settings), load(settings, BODIES)
    tahrir.publish_badges(rule.badge for rule in rules)
    return tahrir, rules


def test_holders_in_tahrir_earn_a_badge_on_the_day_of_the_last_that_they_need(
    settings: Settings,
) -> None:
    tahrir, _ = publish(settings)
    hold(tahrir, "alice", a=5, c=2)
    hold(tahrir, "bob", a=1)
    hold(tahrir, "robot", a=1, c=1)

    assert replayed(settings, "both") == [("alice", "both", 5)]
    assert replayed(settings, "both more") == [("alice", "both", 5), ("alice", "more", 5)]


def test_badges_with_tags_are_counted_of_those_in_tahrir(settings: Settings) -> None:
    tahrir, _ = publish(settings)
    hold(tahrir, "alice", a=5, b=2, c=7)
    assert replayed(settings, "three") == []
    assert replayed(settings, "both three") == [("alice", "both", 7), ("alice", "three", 7)]


def test_what_is_held_in_tahrir_and_what_the_replay_finds_count_together(
    settings: Settings,
) -> None:
    tahrir, _ = publish(settings)
    Storage(settings).store(edits(3, user="alice") + edits(4, user="bob"))
    hold(tahrir, "alice", c=1)
    hold(tahrir, "bob", c=6)

    expected = {("alice", "a", 3), ("alice", "both", 3), ("bob", "a", 4), ("bob", "both", 6)}
    assert set(replayed(settings, "a both", skip_held=True)) == expected


def test_a_message_is_judged_by_what_was_held_before(settings: Settings) -> None:
    tahrir, _ = publish(settings)
    Storage(settings).store(edits(1, 5, topic="git.receive"))
    hold(tahrir, "alice", both=3)
    assert replayed(settings, "then") == [("alice", "then", 5)]


def test_what_is_held_by_now_is_not_earned_again(settings: Settings) -> None:
    tahrir, _ = publish(settings)
    hold(tahrir, "alice", a=1, c=2, both=3)
    assert replayed(settings, "both", skip_held=True) == []
    assert replayed(settings, "both") == [("alice", "both", 2)]


def test_a_revoked_badge_is_earned_by_what_came_later_alone(settings: Settings) -> None:
    tahrir, _ = publish(settings)
    hold(tahrir, "alice", a=1, c=2)
    hold(tahrir, "bob", a=1, c=2, b=8)
    for name in ("alice", "bob"):
        revoke_as_of(tahrir, "both", name, START + timedelta(days=4))
    assert replayed(settings, "both", skip_held=True) == [("bob", "both", 8)]


def test_only_what_the_replay_awards_leads_to_what_follows(settings: Settings) -> None:
    tahrir, rules = publish(settings)
    Storage(settings).store(edits(3, user="alice"))
    for name in ("alice", "bob"):
        hold(tahrir, name, c=1)
    hold(tahrir, "bob", a=2)
    following = [rule for rule in rules if rule.badge.id in UNTRIGGERED]

    replay = Replay(settings, tahrir)
    found = replay.run(
        [rule for rule in load(replay.backends, BODIES) if rule.badge.id == "a"],
        skip_held=True,
        following=following,
    )

    assert {(each.username, each.rule.badge.id) for each in found} == of(
        "alice", ["a", "both", "more"]
    )
    assert ("bob", "both") not in pairs(settings)
