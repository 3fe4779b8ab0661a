"""Counts of rules of fedbadges 2.x start no earlier than the account of the candidate."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.builders import candidates_of, make_message, make_settings
from support.databases import Databases
from support.histories import awarded
from support.rule_test_files import make_runner, run, write_suite
from support.rules import rule

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import Datanommer
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.history.history import History
from fedbadges.replay.replay import Replay
from fedbadges.rules.criteria import Backends
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import load_text
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir

START = datetime(2024, 1, 1)

TEXT = rule(
    "Twice",
    """
trigger: {topic: wiki.edit}
previous:
  filter:
    topics: [message.topic]
    users: [recipient]
  operation: count
condition: {greater than or equal to: 2}
recipient: message.body["user"]
""",
)


def created(username: str) -> datetime | None:
    """Return when an account was created: that of alice after her first message."""
    return START + timedelta(hours=1) if username == "alice" else None


@pytest.fixture
def settings(database: Databases, tmp_path: Path) -> Settings:
    return make_settings(database, tmp_path, keep_counts=False)


def load(backends: Backends) -> Rule:
    (found,) = load_text(TEXT.encode(), "rule.yml", backends)
    return found


def test_messages_from_before_the_account_do_not_count(settings: Settings) -> None:
    history, tahrir = History(settings), Tahrir(settings)
    found = load({"datanommer": Datanommer(settings, history, created)})
    tahrir.publish_badges([found.badge])
    recipients = RecipientFinder(settings, FedmsgUsernames(settings.fedmsg))
    engine = BadgeEngine(settings, tahrir, recipients, RuleSet([found]))
    expected = set()
    for number in range(6):
        name = ("alice", "bob")[number % 2]
        sent = START + timedelta(minutes=40 * number)
        message = make_message("wiki.edit", {"user": name}, timestamp=seconds(sent))
        position = history.record(message, [name], [])
        # alice's first one is older than her account.
        if number == {"alice": 4, "bob": 3}[name]:
            expected.add((name, message.msg_id))
        case = candidates_of(engine, message)
        if case is not None:
            engine.decide(case.at(position))

    assert {
        (user, link.rpartition("id=")[2].partition("&")[0]) for _, user, link in awarded(settings)
    } == expected

    replay = Replay(settings)
    backend = replay.backends["datanommer"]
    assert isinstance(backend, Datanommer)
    backends = {"datanommer": Datanommer(settings, backend.history, created)}
    replayed = {(each.username, each.message.msg_id) for each in replay.run([load(backends)])}
    assert replayed == expected


def seconds(sent: datetime) -> float:
    return (sent - datetime(1970, 1, 1)).total_seconds()


def test_rule_test_says_when_an_account_was_created(tmp_path: Path) -> None:
    test = """
messages:
  edit: {topic: org.fedoraproject.prod.wiki.edit, msg: {user: "%(from)s"}}
tests:
- name: a
  accounts: {alice: {created: 2024-01-02}, bob: {}}
  past: [{like: edit, from: [alice, bob], timestamp: 2024-01-01}]
  incoming:
  - {like: edit, from: [alice, bob], timestamp: 2024-01-03, awards: {bob: twice}}
  - {like: edit, from: alice, timestamp: 2024-01-04, awards: {alice: twice}}
"""
    assert list(run(make_runner(), write_suite(tmp_path, test, TEXT))) == []


def test_rules_are_tested_in_the_dialect_of_the_deployment(tmp_path: Path) -> None:
    # Without a recipient, the agent gets it and not all whom a message concerns.
    body = rule("Once", "trigger: {topic: wiki.edit}\n")
    test = """
tests:
- name: a
  incoming:
  - topic: org.fedoraproject.prod.wiki.edit
    usernames: [alice, bob]
    agent: alice
    awards: {alice: once}
"""
    path = write_suite(tmp_path, test, body)
    assert list(run(make_runner(dialect="fedbadges-2"), path)) == []
    assert list(run(make_runner(), path)) != []
