"""The first so many people: the same, whoever handles which message, and when it was stored."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders import make_settings, wipe
from support.databases import Databases
from support.held_badges import load, pairs
from support.histories import PastMessage, Storage, in_order
from support.tahrir import revoke

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.history.message_reader import MessageReader
from fedbadges.replay.replay import Replay
from fedbadges.retry import OutageRetry
from fedbadges.rules.index import RuleSet
from fedbadges.service.first_comers import FirstComers
from fedbadges.tahrir.awarding import Award
from fedbadges.tahrir.database import Tahrir

START = datetime(2024, 1, 1)
PEOPLE = ("alice", "bob", "carol", "dave", "erin")
EVERYBODY = (*PEOPLE, "robot")
BODIES = {
    "early": """\
trigger: {topic: meeting.end}
recipient: "%(msg.people)s"
first: 3
""",
    "regular": """\
trigger: {topic: meeting.end}
criteria:
  filter: {topics: ["%(topic)s"], usernames: ["%(recipient)s"]}
  operation: count
  condition: {greater than or equal to: 2}
recipient: "%(msg.people)s"
first: 2
""",
}


def seconds(hour: float) -> float:
    return (START + timedelta(hours=hour)).replace(tzinfo=timezone.utc).timestamp()


def meeting(number: int, hour: int, *people: str) -> PastMessage:
    sent = START + timedelta(hours=hour)
    return PastMessage(number, sent, "meeting.end", {"people": list(people)}, people)


def make(settings: Settings, distance: float = 1e9) -> FirstComers:
    """Return what a daemon has that begins now."""
    tahrir = Tahrir(settings)
    recipients = RecipientFinder(settings, FedmsgUsernames(settings.fedmsg))
    engine = BadgeEngine(settings, tahrir, recipients, RuleSet())
    made = FirstComers(
        MessageReader(settings),
        engine,
        tahrir.count_holders,
        lambda messages: messages,
        OutageRetry(),
        distance,
    )
    made.rules = RuleSet(load(settings, BODIES))
    return made


def replayed(settings: Settings, **options: Any) -> set[tuple[str, str]]:
    replay = Replay(settings, Tahrir(settings))
    found = replay.run(load(replay.backends, BODIES), **options)
    return {(each.username, each.rule.badge.id) for each in found}


@pytest.fixture
def settings(shared_database: Databases, tmp_path: Path) -> Settings:
    return prepared(shared_database)


def prepared(database: Databases) -> Settings:
    wipe(database)
    settings = make_settings(database, Path("rules"), keep_counts=False, banned_usernames=["robot"])
    Tahrir(settings).publish_badges(rule.badge for rule in load(settings, BODIES))
    return settings


@st.composite
def meetings(draw: st.DrawFn) -> list[PastMessage]:
    drawn = draw(
        st.lists(
            st.tuples(
                st.integers(0, 5), st.lists(st.sampled_from((*PEOPLE, "robot")), unique=True)
            ),
            max_size=8,
        )
    )
    return [meeting(number, hour, *people) for number, (hour, people) in enumerate(drawn, 1)]


@hypothesis.settings(max_examples=20)
@given(messages=meetings(), data=st.data())
def test_whoever_handles_what_when_the_same_people_come_first(
    messages: list[PastMessage], data: st.DataObject, shared_database: Databases
) -> None:
    settings = prepared(shared_database)
    storage = Storage(settings)
    left = data.draw(st.permutations(messages), "order of storage")
    settled = 0
    daemons = [make(settings), make(settings)]
    while left:
        # Whatever was sent before the time up to which daemons go is stored by then.
        storing = data.draw(st.integers(1, len(left)), "stored")
        storage.store(left[:storing])
        left = left[storing:]
        oldest = min((each.sent for each in left), default=START + timedelta(hours=9))
        settled = (oldest - START) // timedelta(hours=1)
        which = data.draw(st.integers(0, 1), "daemon")
        daemons[which].step(seconds(settled - 0.5))
        if data.draw(st.booleans(), "restarted"):
            daemons[which] = make(settings)
    for daemon in daemons:
        daemon.step(seconds(9))

    awarded = pairs(settings)
    assert replayed(settings, skip_held=True) == set()
    assert replayed(settings) == awarded
    assert awarded == expected(messages)


def expected(messages: Sequence[PastMessage]) -> set[tuple[str, str]]:
    """Return who gets what, found without any of the code."""
    found: dict[str, list[str]] = {"early": [], "regular": []}
    counts: dict[str, int] = {}
    for message in in_order(messages):
        people = sorted(set(message.msg["people"]) - {"robot"})
        for name in people:
            counts[name] = counts.get(name, 0) + 1
        for badge, least, limit in (("early", 1, 3), ("regular", 2, 2)):
            earned = [name for name in people if counts[name] >= least]
            for name in earned:
                if name not in found[badge] and len(found[badge]) < limit:
                    found[badge].append(name)
    return {(name, badge) for badge, names in found.items() for name in names}


def test_what_was_sent_later_waits(settings: Settings) -> None:
    Storage(settings).store([meeting(1, 1, "alice"), meeting(2, 3, "bob")])
    daemon = make(settings)
    daemon.step(seconds(2))
    assert pairs(settings) == {("alice", "early")}
    daemon.step(seconds(3))
    assert pairs(settings) == {("alice", "early"), ("bob", "early")}


def test_what_is_stored_late_gives_a_badge_that_is_left(settings: Settings) -> None:
    storage, daemon = Storage(settings), make(settings)
    storage.store([meeting(1, 5, "alice", "bob")])
    daemon.step(seconds(9))
    storage.store([meeting(2, 2, "carol"), meeting(3, 1, "dave")])
    daemon.step(seconds(9))
    early = {name for name, badge in pairs(settings) if badge == "early"}
    assert early == {"alice", "bob", "dave"}


def test_a_badge_given_by_hand_counts(settings: Settings) -> None:
    Tahrir(settings).award([Award("early", name) for name in ("yan", "zoe")])
    Storage(settings).store([meeting(1, 1, "bob"), meeting(2, 2, "alice")])
    make(settings).step(seconds(9))
    assert replayed(settings, skip_held=True) == set()
    assert pairs(settings) == {(name, "early") for name in ("yan", "zoe", "bob")}


def test_the_next_in_order_gets_a_badge_that_was_revoked(settings: Settings) -> None:
    daemon = make(settings)
    Storage(settings).store([meeting(number, number, PEOPLE[number - 1]) for number in range(1, 6)])
    daemon.step(seconds(9))
    revoke(Tahrir(settings), "early", "bob")
    assert replayed(settings, skip_held=True) == {("dave", "early")}
    daemon.step(seconds(9))
    daemon.step(seconds(9))
    assert pairs(settings) == {(name, "early") for name in ("alice", "carol", "dave")}


def test_a_changed_rule_is_judged_from_the_beginning(settings: Settings) -> None:
    daemon = make(settings)
    Storage(settings).store([meeting(number, number, PEOPLE[number - 1]) for number in range(1, 6)])
    daemon.step(seconds(9))
    daemon.rules = RuleSet(load(settings, {"early": BODIES["early"].replace("3", "4")}))
    daemon.step(seconds(9))
    assert len(pairs(settings)) == 4
