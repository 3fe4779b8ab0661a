"""The way of a message: batches give the answers of one message after the other."""

import random
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_message, make_settings, statements, wipe
from support.databases import Databases, badges, tahrir
from support.rules import only_rule, rule
from support.tahrir import delete_badge
from support.waiting import TIMEOUT, eventually

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.errors import CannotStart, Unavailable
from fedbadges.history.history import History, Recorder
from fedbadges.messages import Message, Position
from fedbadges.retry import OutageRetry
from fedbadges.rules.index import RuleSet
from fedbadges.service.delay_queue import DelayQueue
from fedbadges.service.lifecycle import Lifecycle, State
from fedbadges.service.pipeline import MAX_BATCH, Batcher, Pipeline
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


class RecordingDelivery:
    """A delivery that remembers its end."""

    position: Position | None = None
    redelivered = False

    def __init__(self, message: Message, ends: list[tuple[str | None, str]]) -> None:
        self.message = message
        self.settled = False
        self.recoverable = True
        self._ends = ends

    def _end(self, end: str) -> None:
        assert not self.settled
        self.settled = True
        self._ends.append((self.message.msg_id, end))

    def done(self, *, stored: bool = True) -> None:
        self._end("done" if stored else "done before it was stored")

    def failed(self, error: Exception) -> None:
        self._end(f"failed: {error}")

    def release(self) -> None:
        self._end("released")


class Service:
    """A pipeline with all that is behind it."""

    def __init__(self, databases: Databases, settings: Settings) -> None:
        self.databases = databases
        self.settings = settings
        self.history = History(settings)
        self.backlog = 0
        self.ends: list[tuple[str | None, str]] = []
        self.announced: list[AwardResult] = []
        self.outages = OutageRetry()
        self.lifecycle = Lifecycle()
        self.tahrir = Tahrir(settings)
        self.engine = BadgeEngine(
            settings,
            self.tahrir,
            RecipientFinder(settings, FedmsgUsernames(settings.fedmsg)),
            RuleSet(),
            self.announced.append,
        )
        self.delay_queue = DelayQueue(self.history.positions, delay=3600, limit=10_000)
        self.pipeline = self.make_pipeline(None)
        backends = load_backends(settings)
        rules = [
            only_rule(rule(name, body).encode(), f"{name}.yml", backends)
            for name, body in RULES.items()
        ]
        self.tahrir.publish_badges(rule.badge for rule in rules)
        self.engine.rules = RuleSet(rules)
        self.lifecycle.on(State.DRAINING, self.outages.stop, self.delay_queue.drain)
        self.lifecycle.on(State.STOPPED, self.delay_queue.stop)
        self.lifecycle.enter(State.STARTING)

    def make_pipeline(self, recorder: Recorder | None) -> Pipeline:
        return Pipeline(
            self.engine,
            recorder,
            Batcher(lambda: self.backlog),
            self.delay_queue,
            self.outages,
            self.lifecycle,
        )

    def store(self, *messages: Message) -> None:
        for message in messages:
            self.history.record(message, [message.body["msg"]["user"]], [])

    def deliver(self, message: Message, **attributes: Any) -> None:
        delivery = RecordingDelivery(message, self.ends)
        vars(delivery).update(attributes)
        self.pipeline.receive(delivery)

    def receive(self, *messages: Message) -> None:
        """Hands over messages of which each but the last has others right behind it."""
        for number, message in enumerate(messages, 1):
            self.backlog = len(messages) - number
            self.deliver(message)

    def holders(self, *names: str) -> dict[str, set[str]]:
        return {name: set(badges(self.databases, name)) for name in names}


@pytest.fixture
def service(shared_database: Databases, tmp_path: Path) -> Iterator[Service]:
    wipe(shared_database)
    made = Service(shared_database, make_settings(shared_database, tmp_path))
    made.delay_queue.start()
    made.lifecycle.enter(State.RUNNING)
    yield made
    made.lifecycle.stop()


def push(user: str = "ann", **envelope: Any) -> Message:
    return make_message("git.receive", {"user": user}, **envelope)


def expected(messages: list[Message], *names: str) -> dict[str, set[str]]:
    """Tells from the messages alone who has earned what, once all of them are stored."""
    counts = {name: [m.body["msg"]["user"] for m in messages].count(name) for name in names}
    return {
        name: {rule for rule in RULES if 0 < int(rule.rpartition("-")[2]) <= counts[name]}
        for name in names
    }


def test_message_without_backlog_is_decided_at_once(service: Service) -> None:
    message = push()
    service.store(message)

    service.receive(message)

    assert service.holders("ann") == {"ann": {"count-1"}}


def test_messages_with_backlog_are_decided_with_the_last(service: Service) -> None:
    first, second = push(), push("bob")
    service.store(first, second)

    service.backlog = 1
    service.deliver(first)
    assert service.holders("ann") == {"ann": set()}
    service.backlog = 0
    service.deliver(second)

    assert service.holders("ann", "bob") == {"ann": {"count-1"}, "bob": {"count-1"}}


def test_last_message_that_triggers_nothing_completes_the_batch(service: Service) -> None:
    message = push()
    service.store(message)

    service.receive(message, make_message("other.topic"))

    assert service.holders("ann") == {"ann": {"count-1"}}


def test_batch_of_the_maximum_size_is_decided_whatever_the_backlog(service: Service) -> None:
    messages = [push(f"user{number}") for number in range(MAX_BATCH)]
    service.store(*messages)
    service.backlog = 10_000

    for message in messages:
        service.deliver(message)

    assert service.holders("user0", f"user{MAX_BATCH - 1}") == {
        "user0": {"count-1"},
        f"user{MAX_BATCH - 1}": {"count-1"},
    }


def test_batch_asks_each_database_as_often_as_one_message_does(service: Service) -> None:
    messages = [push() for _ in range(20)]
    service.store(*messages)
    for message in messages[:5]:  # reads what was sent lately, and earns all but one badge
        service.receive(message)

    def asked(*some: Message) -> tuple[int, int]:
        with (
            statements(service.settings.tahrir_url) as tahrir,
            statements(service.settings.history_url) as history,
        ):
            service.receive(*some)
        return len(tahrir), len(history)

    # Without kept counts, whether it is stored is another question than how many there are.
    questions = 1 if service.settings.keep_counts else 2
    assert asked(*messages[5:14]) == asked(messages[14]) == (1, questions)


def test_awards_of_a_batch_are_made_together(service: Service) -> None:
    names = [f"user{number}" for number in range(30)]
    service.store(*(messages := [push(name) for name in names]))

    with statements(service.settings.tahrir_url) as sent:
        service.receive(*messages)

    assert service.holders(*names) == {name: {"count-1"} for name in names}
    assert len(sent) < len(names) / 2


def test_refused_award_fails_its_message_only(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [push("ann"), push("bad"), push("bob")]
    service.store(*messages)
    award = Tahrir.award

    def refuse(tahrir: Tahrir, awards: Iterable[Award], rules: Any) -> BulkAwardResult:
        wanted = list(awards)
        refused = tuple((each, ValueError("refused")) for each in wanted if each.username == "bad")
        result = award(tahrir, [each for each in wanted if each.username != "bad"])
        return replace(result, refused=refused)

    monkeypatch.setattr(Tahrir, "award", refuse)
    monkeypatch.setattr("fedbadges.retry._PAUSE", 0)
    service.receive(*messages)

    held = service.holders("ann", "bad", "bob")
    assert held == {"ann": {"count-1"}, "bad": set(), "bob": {"count-1"}}
    assert sorted(service.ends) == sorted(
        zip([each.msg_id for each in messages], ["done", "failed: refused", "done"], strict=True)
    )


def test_badge_that_was_deleted_meanwhile_is_awarded_with_those_of_its_batch(
    service: Service,
) -> None:
    messages = [push("ann"), push("ann"), push("ann"), push("bob"), push("cid")]
    service.store(*messages)
    with tahrir(service.databases) as database:
        delete_badge(database, "count-3")

    service.receive(*messages)

    assert service.holders("ann", "bob", "cid") == expected(messages, "ann", "bob", "cid")
    assert {end for _, end in service.ends} == {"done"}
    with tahrir(service.databases) as database:
        assert database.get_badge("count-3") is not None


def test_awards_that_an_outage_interrupts_are_given_after_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [push("ann"), push("bob"), push("cid")]
    service.store(*messages)
    award, outages = Tahrir.award, iter([Unavailable("away")])

    def interrupted(tahrir: Tahrir, awards: Iterable[Award], rules: Any) -> BulkAwardResult:
        for outage in outages:
            raise outage
        return award(tahrir, awards)

    monkeypatch.setattr(Tahrir, "award", interrupted)

    service.receive(*messages)

    names = ("ann", "bob", "cid")
    assert service.holders(*names) == {name: {"count-1"} for name in names}
    assert len(service.announced) == 3
    assert [end for _, end in service.ends] == ["done"] * 3


@pytest.mark.parametrize("seed", range(5))
def test_batches_award_what_single_messages_would(service: Service, seed: int) -> None:
    chance = random.Random(seed)
    names = ["ann", "bob", "cat"]
    messages = [push(chance.choice(names)) for _ in range(12)]

    rest = list(messages)
    while rest:
        count = chance.randint(1, 5)
        some, rest = rest[:count], rest[count:]
        service.store(*some)
        service.receive(*some)

    assert service.holders(*names) == expected(messages, *names)


def test_message_that_is_not_stored_is_delayed_and_holds_up_no_other(service: Service) -> None:
    late, stored = push(), push("bob")
    service.store(stored)

    service.receive(late, stored)

    assert service.holders("ann", "bob") == {"ann": set(), "bob": {"count-1"}}
    assert len(service.delay_queue) == 1
    assert service.ends == [(stored.msg_id, "done")]


def test_error_of_one_message_fails_that_message_only(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = [push(), push("bad"), push("bob")]
    service.store(*messages)
    holdings = service.engine._store.holdings

    def fail(names: Any, ids: Any) -> Any:
        if "bad" in names:
            raise ValueError("bad")
        return holdings(names, ids)

    monkeypatch.setattr(service.engine._store, "holdings", fail)

    service.receive(*messages)

    assert service.holders("ann", "bob") == {"ann": {"count-1"}, "bob": {"count-1"}}
    assert (messages[1].msg_id, "failed: bad") in service.ends


def test_drain_during_an_outage_releases_the_whole_batch(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def away(*question: Any) -> Any:
        asked.append(question)
        raise Unavailable("away")

    monkeypatch.setattr(service.engine._store, "holdings", away)
    service.outages.stop()
    messages = [push(), push("bob")]

    service.receive(*messages)

    assert service.ends == [(each.msg_id, "released") for each in messages]
    assert len(asked) == 1


def test_delayed_message_is_decided_when_it_is_stored(service: Service) -> None:
    message = push()
    service.receive(message)
    assert service.ends == []

    service.store(message)

    eventually(lambda: service.ends == [(message.msg_id, "done")], "the end")
    assert service.holders("ann") == {"ann": {"count-1"}}


@pytest.mark.parametrize(
    ("recoverable", "end"), [(True, "released"), (False, "done before it was stored")]
)
def test_drain_releases_a_delayed_message_that_comes_again(
    service: Service, recoverable: bool, end: str
) -> None:
    message = push()
    service.deliver(message, recoverable=recoverable)

    service.lifecycle.stop()

    assert service.ends == [(message.msg_id, end)]


@pytest.mark.parametrize(("recoverable", "end"), [(True, "released"), (False, "done")])
def test_message_that_comes_while_draining_is_released_if_it_comes_again(
    service: Service, recoverable: bool, end: str
) -> None:
    message = push()
    service.store(message)
    service.lifecycle.enter(State.DRAINING)

    service.deliver(message, recoverable=recoverable)

    assert service.ends == [(message.msg_id, end)]


@pytest.mark.parametrize("recoverable", [True, False])
def test_message_that_waits_for_the_start_is_released_by_a_drain(
    shared_database: Databases, tmp_path: Path, recoverable: bool
) -> None:
    service = Service(shared_database, make_settings(shared_database, tmp_path))
    message = push()
    worker = threading.Thread(target=lambda: service.deliver(message, recoverable=recoverable))
    worker.start()

    service.lifecycle.stop()
    worker.join(TIMEOUT)

    assert service.ends == [(message.msg_id, "released")]


def test_message_that_waits_for_a_start_that_fails_is_released(
    shared_database: Databases, tmp_path: Path
) -> None:
    service = Service(shared_database, make_settings(shared_database, tmp_path))
    message = push()
    worker = threading.Thread(target=lambda: service.deliver(message))
    worker.start()

    service.lifecycle.fail(CannotStart("no"))
    worker.join(TIMEOUT)

    assert service.ends == [(message.msg_id, "released")]
    service.lifecycle.stop()


@pytest.mark.parametrize(
    ("redelivered", "end"),
    [
        (True, "released"),
        (False, "failed: it could not be stored before the daemon stopped"),
    ],
)
def test_message_that_cannot_be_stored_before_the_stop_fails_unless_it_is_redelivered(
    service: Service, monkeypatch: pytest.MonkeyPatch, redelivered: bool, end: str
) -> None:
    def unavailable(*arguments: Any) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(History, "record", unavailable)
    recorder = Recorder(service.history, FedmsgUsernames(service.settings.fedmsg), service.outages)
    service.pipeline = service.make_pipeline(recorder)
    service.lifecycle.enter(State.DRAINING)
    message = push()

    service.deliver(message, redelivered=redelivered)

    assert service.ends == [(message.msg_id, end)]


def test_message_read_back_from_the_history_is_not_stored_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = push()
    position = service.history.record(message, ["ann"], [])
    recorder = Recorder(service.history, FedmsgUsernames(service.settings.fedmsg), service.outages)
    monkeypatch.setattr(recorder, "record", lambda message: 1 // 0)
    service.pipeline = service.make_pipeline(recorder)

    service.deliver(message, position=position)

    assert service.ends == [(message.msg_id, "done")]
