"""A replay finds what a daemon would have awarded that was there from the beginning."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy.orm import Session
from support.builders import make_settings, statements, wipe
from support.databases import Databases
from support.histories import PastMessage, Storage, earned, live
from support.rules import load_rules
from support.rules import rule as rule_text
from support.sizes import size
from support.strategies import START, histories, rule_texts
from tahrir_api.model import Person

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import past_messages
from fedbadges.databases.connections import engine, parse_url
from fedbadges.engine.engine import Earned
from fedbadges.errors import Unavailable
from fedbadges.messages import Message, Usernames
from fedbadges.replay.backfill import due_award
from fedbadges.replay.replay import Replay
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.criteria import Question
from fedbadges.rules.recipients import TrustedDomains
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir

Peaks = dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def settings(shared_database: Databases, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    # The messages are of long ago, and stored only now.
    return make_settings(shared_database, tmp_path_factory.mktemp("rules"), keep_counts=False)


@pytest.fixture
def databases(shared_database: Databases) -> Databases:
    wipe(shared_database)
    return shared_database


@pytest.mark.thorough
@given(messages=histories(), texts=st.lists(rule_texts(), min_size=1, max_size=6))
@examples(
    max_examples=size(15, 100),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_a_replay_finds_what_a_daemon_awards(
    shared_database: Databases, settings: Settings, messages: list[PastMessage], texts: list[str]
) -> None:
    wipe(shared_database)
    expected = live(settings, load_rules(texts, load_backends(settings)), messages)

    replay = Replay(settings, Tahrir(settings))
    found = earned(settings, replay.run(load_rules(texts, replay.backends)))

    assert found == expected
    assert replay.done == replay.total == len(messages)


def counted(rules: list[Rule], usernames: Usernames) -> tuple[Callable[[Message], None], Peaks]:
    """Returns what finds the highest counts of candidates as messages come, and these.

    A daemon counts no further than a condition needs.
    """
    peaks: Peaks = defaultdict(dict)

    def see(message: Message) -> None:
        for rule in rules:
            criterion = past_messages(rule.criteria)
            if criterion is None or not isinstance(criterion.condition, Comparison):
                continue
            for name in named(rule, message, usernames):
                question = Question(message, name if rule.names_recipient else None)
                with contextlib.suppress(Exception):
                    value = criterion.value(question)
                    if isinstance(value, int):
                        known = peaks[rule.badge.id].get(name, value)
                        peaks[rule.badge.id][name] = max(known, value)

    return see, peaks


def named(rule: Rule, message: Message, usernames: Usernames) -> list[str]:
    """Returns whom a message names for a rule, if it triggers it."""
    with contextlib.suppress(Exception):
        if rule.trigger.holds(message):
            trusted = TrustedDomains()
            if rule.recipient is None:
                found = list(usernames.users(message))
            else:
                people = rule.recipient.find(message.body, trusted)
                found = [each.name for each in people if each.name is not None]
            if rule.excepted is None:
                return found
            return [
                name for name in found if name not in rule.excepted.names(message.body, trusted)
            ]
    return []


@pytest.mark.thorough
@given(messages=histories(), texts=st.lists(rule_texts(), min_size=1, max_size=4))
@examples(
    max_examples=size(10, 50),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_peaks_are_the_highest_counts_of_candidates(
    shared_database: Databases, settings: Settings, messages: list[PastMessage], texts: list[str]
) -> None:
    wipe(shared_database)
    rules = load_rules(texts, load_backends(settings))
    see, expected = counted(rules, FedmsgUsernames(settings.fedmsg))
    live(settings, rules, messages, see)

    replay = Replay(settings, Tahrir(settings))
    for _ in replay.run(load_rules(texts, replay.backends)):
        pass

    enough = {
        rule.badge.id: criterion.condition.enough
        for rule in rules
        if (criterion := past_messages(rule.criteria)) is not None
    }
    found = {
        badge: {
            name: shortened(peak, enough[badge], expected[badge][name])
            for name, peak in people.items()
        }
        for badge, people in replay.peaks.items()
        if people
    }
    assert found == expected


def shortened(peak: int, enough: int | None, counted: int) -> int:
    """Returns what a daemon says of a count, which it may have made in full."""
    return peak if enough is None or counted > enough else min(peak, max(enough, 0))


FIVE = """
trigger: {topic: wiki.edit}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(recipient)s"]}
  operation: count
  condition: {greater than or equal to: 5}
recipient: "%(msg.user)s"
"""


def badge(body: str) -> str:
    """Returns the text of a rule, as ``load_rules`` takes it."""
    return rule_text("Badge {number}", body.replace("{", "{{").replace("}", "}}"))


@pytest.fixture
def edits(databases: Databases, settings: Settings) -> list[PastMessage]:
    """Twelve edits, in turn by alice and bob."""
    history = [
        PastMessage(n, START + timedelta(days=n), "wiki.edit", {"user": name}, (name,))
        for n, name in enumerate(["alice", "bob"] * 6, 1)
    ]
    Storage(settings).store(history)
    return history


def run(settings: Settings, body: str = FIVE, **options: bool) -> tuple[Replay, list[Earned]]:
    replay = Replay(settings, Tahrir(settings))
    rules = load_rules([badge(body)], replay.backends)
    return replay, list(replay.run(rules, **options))


def test_an_earned_badge_has_the_message_that_earned_it(
    edits: list[PastMessage], settings: Settings
) -> None:
    _, found = run(settings)

    assert [(each.username, each.message.msg_id, each.message.sent) for each in found] == [
        ("alice", "2024-9", START + timedelta(days=9)),
        ("bob", "2024-10", START + timedelta(days=10)),
    ]


def test_peaks_rise_after_the_badge_was_earned(
    edits: list[PastMessage], settings: Settings
) -> None:
    replay, _ = run(settings)

    assert replay.peaks == {"badge-0": {"alice": 6, "bob": 6}}


def test_a_replay_without_measuring_has_no_peaks(
    edits: list[PastMessage], settings: Settings
) -> None:
    replay, found = run(settings, measure=False)

    assert len(found) == 2
    assert replay.peaks == {}


def test_a_replay_leaves_out_people_who_opted_out(
    edits: list[PastMessage], settings: Settings
) -> None:
    with Session(engine(settings.tahrir_url)) as session:
        session.add(Person(email="Alice@example.org", nickname="al", opt_out=True))
        session.commit()

    replay, found = run(settings)

    assert [each.username for each in found] == ["bob"]
    assert replay.peaks == {"badge-0": {"bob": 6}}


def test_a_replay_does_not_query_for_each_message(
    edits: list[PastMessage], settings: Settings
) -> None:
    with statements(settings.history_url) as sent:
        run(settings)

    # One of them asks for rows without a time, and one for names that are new.
    assert len(sent) <= 8


OWN = """topics: ["%(topic)s"], users: ["%(recipient)s"]"""


@pytest.mark.parametrize(
    ("chosen", "operation"),
    [
        (OWN, "len({m.msg_id for m in query.all()})"),
        (OWN, "sum(m.topic.endswith('edit') for m in query)"),
        (OWN, "len([m for m in query.all() if m.msg['user'] is not None])"),
        ('topics: ["%(topic)s"]', "sum(1 for m in query if m.msg['user'] == '%(msg.user)s')"),
        (OWN + ", start: 60 days ago", "count"),
        (
            OWN + ", start: 60 days ago",
            "len([m for m in query if '%(msg.user)s' == m.msg['user']])",
        ),
        ("""contains: ['"user": "%(recipient)s"']""", "count"),
        ("""contains: ['"user": "%(msg.user)s"']""", "len({m.number for m in query.all()})"),
    ],
)
def test_nor_does_it_for_other_operations_and_filters(
    edits: list[PastMessage], settings: Settings, chosen: str, operation: str
) -> None:
    body = FIVE.replace(OWN, chosen)
    if operation != "count":
        body = body.replace("count", f'{{lambda: "{operation}"}}')
    with statements(settings.history_url) as sent:
        replay, found = run(settings, body)

    assert [each.message.msg_id for each in found] == ["2024-9", "2024-10"]
    assert replay.peaks == {"badge-0": {"alice": 6, "bob": 6}}
    assert len(sent) <= 8


@pytest.mark.parametrize(
    ("chosen", "operation"),
    [
        (OWN, "sum(m.msg['user'] == '%(msg.user)s' for m in query)"),
        (
            'topics: ["%(topic)s"]',
            "len({m.number for m in query if m.msg['user'] == '%(msg.user)s'})",
        ),
    ],
)
def test_a_fold_with_templates_asks_once_for_each_value(
    edits: list[PastMessage], settings: Settings, chosen: str, operation: str
) -> None:
    body = FIVE.replace(OWN, chosen).replace("count", f'{{lambda: "{operation}"}}')
    replay, found = run(settings, body)

    assert [each.message.msg_id for each in found] == ["2024-9", "2024-10"]
    assert replay.peaks == {"badge-0": {"alice": 6, "bob": 6}}
    assert replay._history.asked.questions == 2


def test_a_fold_over_several_people_asks_once(edits: list[PastMessage], settings: Settings) -> None:
    body = FIVE.replace('"%(recipient)s"', '"%(msg.user)s", alice, bob')
    replay, _ = run(settings, body.replace("count", '{lambda: "len({m.number for m in query})"}'))

    assert replay.peaks == {"badge-0": {"alice": 11, "bob": 12}}
    # As soon as there is something of both.
    assert replay._history.asked.questions == 1


@pytest.mark.parametrize("what", ["m.agent", "m.text", "getattr(m, 'position')"])
def test_an_operation_finds_no_more_in_a_message_than_a_daemon_does(
    edits: list[PastMessage], settings: Settings, what: str
) -> None:
    _, found = run(
        settings, FIVE.replace("count", f'{{lambda: "len([m for m in query if {what}])"}}')
    )

    assert found == []


def test_nobody_is_asked_about_a_badge_that_they_hold(
    edits: list[PastMessage], settings: Settings
) -> None:
    body = FIVE.replace("count", '{lambda: "len(list(query))"}')
    replay, found = run(settings, body, measure=False)
    assert len(found) == 2
    # About five messages of each.
    assert replay._history.asked.questions == 10

    tahrir = Tahrir(settings)
    (alices, _) = [due_award(each, settings).award for each in found]
    tahrir.award([alices])
    replay, found = run(settings, body, measure=False, skip_held=True)

    assert [each.username for each in found] == ["bob"]
    assert replay._history.asked.questions == 5


def test_a_window_leaves_out_what_is_older(edits: list[PastMessage], settings: Settings) -> None:
    replay, found = run(settings, FIVE.replace(OWN, OWN + ", start: 7 days ago"))

    assert found == []
    assert replay.peaks == {"badge-0": {"alice": 4, "bob": 4}}


def test_a_replay_raises_what_reading_the_history_raises(
    edits: list[PastMessage], settings: Settings
) -> None:
    away = replace(settings, history_url=parse_url("sqlite:////nowhere/datanommer.db"))

    with pytest.raises(Unavailable):
        run(away)


@pytest.mark.parametrize("content", ["{", "[" * 100_000 + "]" * 100_000])
def test_a_message_that_cannot_be_parsed_does_not_stop_a_replay(
    edits: list[PastMessage], settings: Settings, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    with engine(settings.history_url).begin() as connection:
        changed = {"content": content}
        connection.execute(sa.text("UPDATE messages SET msg = :content WHERE id = 1"), changed)

    _, found = run(settings)

    assert [each.username for each in found] == ["alice", "bob"]
    assert [message.partition(" error=")[0] for message in caplog.messages] == [
        "Could not parse a message of the history, skipping it row=1 msg_id=2024-1"
    ]


def test_a_replay_can_be_run_again(edits: list[PastMessage], settings: Settings) -> None:
    replay = Replay(settings, Tahrir(settings))
    rules = load_rules([badge(FIVE)], replay.backends)

    first, second = ([each.username for each in replay.run(rules)] for _ in range(2))

    assert first == second == ["alice", "bob"]


def test_a_replay_can_be_stopped_in_the_middle(
    edits: list[PastMessage], settings: Settings
) -> None:
    replay = Replay(settings, Tahrir(settings))
    rules = load_rules([badge(FIVE)], replay.backends)

    found = replay.run(rules)
    assert next(found).username == "alice"
    found.close()

    assert "fedbadges-prefetch" not in {
        thread.name.rpartition("_")[0] for thread in threading.enumerate()
    }
