"""Messages that come fast are worked on together; the answers are those of one after the other."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_message, make_settings, statements, wipe
from support.databases import Databases, badges, create_schemas
from support.rules import rule

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.errors import Stopped, Unavailable
from fedbadges.history.history import History
from fedbadges.messages import Message
from fedbadges.retry import OutageRetry
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import load_text
from fedbadges.service.batching import MOST, Batcher
from fedbadges.service.delay_queue import DelayQueue
from fedbadges.tahrir.awarding import Award, AwardResult, BulkAwardResult
from fedbadges.tahrir.database import Tahrir

COUNTING = """
trigger:
  topic: git.receive
criteria:
  datanommer:
    filter: {topics: ["%(topic)s"], users: ["%(msg.user)s"]}
    operation: count
    condition: {greater than or equal to: THRESHOLD}
recipient: "%(msg.user)s"
"""
TESTING = """
trigger:
  topic: git.receive
criteria:
  datanommer:
    filter: {topics: ["%(topic)s"]}
    operation:
      lambda: "len([m for m in query.all() if m.msg['user'] == '%(msg.user)s'])"
    condition: {greater than or equal to: THRESHOLD}
recipient: "%(msg.user)s"
"""
RULES = {
    **{f"count-{least}": COUNTING.replace("THRESHOLD", str(least)) for least in (1, 3, 5, 100)},
    **{f"test-{least}": TESTING.replace("THRESHOLD", str(least)) for least in (2, 4)},
}


class Office:
    """A desk with all that is behind it."""

    def __init__(self, databases: Databases, settings: Settings) -> None:
        self.databases = databases
        self.settings = settings
        self.history = History(settings)
        self.backlog = 0
        self.failures: list[tuple[str | None, Exception]] = []
        self.done: list[str | None] = []
        self.patience = OutageRetry()
        tahrir = Tahrir(settings)
        self.engine = BadgeEngine(
            settings,
            tahrir,
            RecipientFinder(settings, FedmsgUsernames(settings.fedmsg)),
            RuleSet(),
        )
        self.waiting = DelayQueue(self.history.stored, self.engine.decide, delay=3600, limit=10_000)
        self.waiting.start()
        self.desk = Batcher(
            self.engine,
            self.waiting,
            self.patience,
            stored=self.history.stored,
            backlog=lambda: self.backlog,
            done=lambda message: self.done.append(message.msg_id),
            failed=lambda message, error: self.failures.append((message.msg_id, error)),
        )
        backends = load_backends(settings)
        rules = [
            load_text(rule(name, body).encode(), f"{name}.yml", backends)
            for name, body in RULES.items()
        ]
        tahrir.publish_badges(rule.badge for rule in rules)
        self.engine.rules = RuleSet(rules)

    def store(self, *messages: Message) -> None:
        for message in messages:
            self.history.record(message, [message.body["msg"]["user"]], [])

    def receive(self, *messages: Message) -> None:
        """Hands over messages of which each but the last has others right behind it."""
        for number, message in enumerate(messages, 1):
            self.backlog = len(messages) - number
            self.desk.add(self.engine.match(message))

    def holders(self, *names: str) -> dict[str, set[str]]:
        return {name: set(badges(self.databases, name)) for name in names}


Open = Callable[..., Office]


@pytest.fixture(scope="module")
def tables(shared_database: Databases) -> Databases:
    create_schemas(shared_database)
    return shared_database


@pytest.fixture
def office(tables: Databases, tmp_path: Path) -> Iterator[Office]:
    wipe(tables)
    made = Office(tables, make_settings(tables, tmp_path))
    yield made
    made.patience.stop()
    made.waiting.stop()


def push(user: str = "ann", **envelope: Any) -> Message:
    return make_message("git.receive", {"user": user}, **envelope)


def expected(messages: list[Message], *names: str) -> dict[str, set[str]]:
    """Tells from the messages alone who has earned what, once all of them are stored."""
    counts = {name: [m.body["msg"]["user"] for m in messages].count(name) for name in names}
    return {
        name: {rule for rule in RULES if 0 < int(rule.rpartition("-")[2]) <= counts[name]}
        for name in names
    }


def test_a_message_without_others_behind_it_is_decided_at_once(office: Office) -> None:
    message = push()
    office.store(message)

    office.receive(message)

    assert office.holders("ann") == {"ann": {"count-1"}}


def test_messages_with_others_behind_them_are_decided_with_the_last(office: Office) -> None:
    first, second = push(), push("bob")
    office.store(first, second)

    office.backlog = 1
    office.desk.add(office.engine.match(first))
    assert office.holders("ann") == {"ann": set()}
    office.backlog = 0
    office.desk.add(office.engine.match(second))

    assert office.holders("ann", "bob") == {"ann": {"count-1"}, "bob": {"count-1"}}


def test_a_last_message_that_triggers_nothing_has_the_others_decided(office: Office) -> None:
    message = push()
    office.store(message)

    office.receive(message, make_message("other.topic"))

    assert office.holders("ann") == {"ann": {"count-1"}}


def test_however_many_are_behind_them_so_many_messages_are_decided(office: Office) -> None:
    messages = [push(f"user{number}") for number in range(MOST)]
    office.store(*messages)
    office.backlog = 10_000

    for message in messages:
        office.desk.add(office.engine.match(message))

    assert office.holders("user0", f"user{MOST - 1}") == {
        "user0": {"count-1"},
        f"user{MOST - 1}": {"count-1"},
    }


def test_together_they_ask_each_database_as_much_as_one_does(office: Office) -> None:
    messages = [push() for _ in range(20)]
    office.store(*messages)
    for message in messages[:2]:  # reads what was sent lately, with the second question
        office.receive(message)

    def asked(*some: Message) -> tuple[int, int]:
        with (
            statements(office.settings.tahrir_url) as tahrir,
            statements(office.settings.history_url) as history,
        ):
            office.receive(*some)
        return len(tahrir), len(history)

    # Without kept counts, whether it is stored is another question than how many there are.
    questions = 1 if office.settings.keep_counts else 2
    assert asked(*messages[2:11]) == asked(messages[11]) == (1, questions)


def test_what_they_earned_is_awarded_together(office: Office) -> None:
    names = [f"user{number}" for number in range(30)]
    office.store(*(messages := [push(name) for name in names]))

    with statements(office.settings.tahrir_url) as sent:
        office.receive(*messages)

    assert office.holders(*names) == {name: {"count-1"} for name in names}
    assert len(sent) < len(names) / 2


def test_an_award_that_is_refused_costs_the_others_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [push("ann"), push("bad"), push("bob")]
    office.store(*messages)
    award = Tahrir.award

    def refuse(tahrir: Tahrir, awards: Iterable[Award]) -> BulkAwardResult:
        wanted = list(awards)
        refused = tuple((each, ValueError("refused")) for each in wanted if each.username == "bad")
        result = award(tahrir, [each for each in wanted if each.username != "bad"])
        return replace(result, refused=refused)

    monkeypatch.setattr(Tahrir, "award", refuse)
    monkeypatch.setattr("fedbadges.retry._PAUSE", 0)
    office.receive(*messages)

    held = office.holders("ann", "bad", "bob")
    assert held == {"ann": {"count-1"}, "bad": set(), "bob": {"count-1"}}
    assert [(number, str(error)) for number, error in office.failures] == [
        (messages[1].msg_id, "refused")
    ]
    assert office.done == [messages[0].msg_id, messages[2].msg_id]


def test_awards_that_an_outage_interrupts_are_given_after_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [push("ann"), push("bob"), push("cid")]
    office.store(*messages)
    given: list[AwardResult] = []
    monkeypatch.setattr(office.engine, "_on_award", given.append)
    award, outages = Tahrir.award, iter([Unavailable("away")])

    def interrupted(tahrir: Tahrir, awards: Iterable[Award]) -> BulkAwardResult:
        for outage in outages:
            raise outage
        return award(tahrir, awards)

    monkeypatch.setattr(Tahrir, "award", interrupted)

    office.receive(*messages)

    names = ("ann", "bob", "cid")
    assert office.holders(*names) == {name: {"count-1"} for name in names}
    assert len(given) == 3
    assert office.failures == []


@pytest.mark.parametrize("seed", range(5))
def test_the_awards_are_those_of_one_message_after_the_other(office: Office, seed: int) -> None:
    chance = random.Random(seed)
    names = ["ann", "bob", "cat"]
    messages = [push(chance.choice(names)) for _ in range(12)]

    rest = list(messages)
    while rest:
        count = chance.randint(1, 5)
        some, rest = rest[:count], rest[count:]
        office.store(*some)
        office.receive(*some)

    assert office.holders(*names) == expected(messages, *names)


def test_who_is_not_stored_yet_waits_and_holds_up_nobody(office: Office) -> None:
    late, stored = push(), push("bob")
    office.store(stored)

    office.receive(late, stored)

    assert office.holders("ann", "bob") == {"ann": set(), "bob": {"count-1"}}
    assert len(office.waiting) == 1


def test_what_one_message_fails_with_costs_the_others_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [push(), push("bad"), push("bob")]
    office.store(*messages)
    holdings = office.engine._store.holdings

    def fail(names: Any, ids: Any) -> Any:
        if "bad" in names:
            raise ValueError("bad")
        return holdings(names, ids)

    monkeypatch.setattr(office.engine._store, "holdings", fail)

    office.receive(*messages)

    assert office.holders("ann", "bob") == {"ann": {"count-1"}, "bob": {"count-1"}}
    assert [(number, str(error)) for number, error in office.failures] == [
        (messages[1].msg_id, "bad")
    ]


def test_stopping_in_an_outage_tells_of_every_message(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def away(*question: Any) -> Any:
        asked.append(question)
        raise Unavailable("away")

    monkeypatch.setattr(office.engine._store, "holdings", away)
    office.patience.stop()
    messages = [push(), push("bob")]

    office.receive(*messages)

    assert [number for number, _ in office.failures] == [each.msg_id for each in messages]
    assert all(isinstance(error, Stopped) for _, error in office.failures)
    assert len(asked) == 1
