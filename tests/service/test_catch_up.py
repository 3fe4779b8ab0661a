"""Catching up without a daemon: what is handled, the thread, and what it reports."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.builders import make_settings
from support.daemon_restarts import sent, store_message
from support.databases import Databases
from support.waiting import eventually

from fedbadges.databases.connections import engine
from fedbadges.errors import Stopped, Unavailable
from fedbadges.history.message_reader import MessageReader, StoredMessage
from fedbadges.messages import parse_message
from fedbadges.retry import OutageRetry
from fedbadges.service import catch_up_reader, progress
from fedbadges.service.catch_up import CatchUp
from fedbadges.service.catch_up_reader import CatchUpReader
from fedbadges.service.in_flight import InFlight
from fedbadges.service.state.checkpoint import Checkpoint

pytestmark = pytest.mark.sqlite


class Service:
    """What stands around catching up: it handles messages at once, unless it fails."""

    def __init__(self, database: Databases, directory: Path) -> None:
        self.database = database
        self.directory = directory
        self.in_flight = InFlight()
        self.checkpoint = Checkpoint(directory, self.in_flight, margin=5, limit=3600)
        self.retry = OutageRetry()
        self.backlog = 0
        self.handled: list[str] = []
        self.before_handling: Callable[[], object] = lambda: None
        self.created = self.checkpoint.read_from() + 5
        self.catch_up = CatchUp(
            CatchUpReader(MessageReader(make_settings(database, directory)), self.in_flight),
            self.checkpoint,
            self.handle,
            self.retry,
            interval=0.05,
            backlog=lambda: self.backlog,
        )

    def handle(self, messages: Sequence[StoredMessage]) -> None:
        for stored in messages:
            self.before_handling()
            message = parse_message(stored.body)
            assert message is not None
            self.in_flight.begin(message)
            self.handled.append(message.body["msg"]["user"])
            self.in_flight.done(message)

    def store(self, *users: str, age: float = 0.0) -> None:
        for user in users:
            store_message(self.database, sent(user, age))

    def leave_checkpoint(self, age: float) -> None:
        content = {"until": self.created - age}
        (self.directory / "checkpoint").write_text(json.dumps(content))

    def execute(self, *statements: str) -> None:
        with engine(self.database.datanommer_url).begin() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def stop(self) -> None:
        self.retry.stop()
        self.catch_up.stop()


@pytest.fixture
def service(database: Databases, tmp_path: Path) -> Iterator[Service]:
    made = Service(database, tmp_path)
    yield made
    made.stop()


def fail(*arguments: object) -> None:
    raise ValueError("no")


def test_pass_handles_what_was_sent_since_the_checkpoint_and_logs_how_much(
    service: Service, log: pytest.LogCaptureFixture
) -> None:
    service.leave_checkpoint(age=100)
    service.store("old", age=200)
    service.store("alice", "bob", age=50)

    service.catch_up.catch_up()

    assert service.handled == ["alice", "bob"]
    first, last = log.messages
    assert first.startswith('Catching up since="')
    assert first.endswith('" count=2')
    assert last == "Caught up count=2 new=2"


def test_pass_moves_the_checkpoint_on_and_writes_it(service: Service) -> None:
    service.leave_checkpoint(age=100)
    service.store("alice")

    service.catch_up.catch_up()

    assert service.created - 6 < (service.checkpoint.read() or 0) < service.created


def test_sweep_handles_what_was_stored_since_and_logs_how_much(
    service: Service, log: pytest.LogCaptureFixture
) -> None:
    service.catch_up.catch_up()
    service.store("alice", "bob")
    log.clear()

    service.catch_up.sweep()
    service.catch_up.sweep()

    assert service.handled == ["alice", "bob"]
    assert log.messages == ["Handled messages that the bus did not deliver count=2"]


def test_checkpoint_does_not_pass_a_message_that_is_released_in_the_sweep_that_found_it(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.catch_up.catch_up()
    monkeypatch.setattr(service.in_flight, "done", service.in_flight.requeue)
    service.store("alice", age=60)

    service.catch_up.sweep()
    service.catch_up.stop()

    until = service.checkpoint.read()
    assert until is not None
    assert until < service.created - 50


def test_sweep_keeps_a_requeued_message_while_a_copy_is_in_flight(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up_reader, "_MAX_ROWS", 1)
    service.catch_up.catch_up()
    body = sent("alice", 1000)
    first, second = parse_message(body), parse_message(body)
    assert first is not None
    assert second is not None
    for message in (first, second):
        service.in_flight.begin(message)
    service.in_flight.requeue(first)
    store_message(service.database, body)
    service.store("bob")

    service.catch_up.sweep()
    service.in_flight.done(second)

    assert service.in_flight.oldest_sent() == pytest.approx(body["timestamp"], abs=1e-3)
    service.catch_up.sweep()
    assert service.handled == ["bob", "alice"]
    assert service.in_flight.oldest_sent() is None


def test_history_that_went_back_is_read_again_from_the_checkpoint(
    service: Service, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """As after restoring a backup: what comes then has numbers that were there before."""
    monkeypatch.setattr(catch_up_reader, "_COMMIT_SECONDS", 0.0)
    service.catch_up.catch_up()
    service.store("alice", "bob")
    for _ in range(2):
        service.catch_up.sweep()
    service.execute("DELETE FROM users_messages", "DELETE FROM messages")
    service.store("carol")

    service.catch_up.sweep()
    service.catch_up.sweep()

    assert service.handled == ["alice", "bob", "carol"]
    assert sum(line.startswith("The history has gone back in time") for line in log.messages) == 1


def test_pass_that_failed_after_the_history_went_back_is_repeated(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up_reader, "_COMMIT_SECONDS", 0.0)
    service.catch_up.catch_up()
    service.store("alice", "bob")
    for _ in range(2):
        service.catch_up.sweep()
    service.execute("DELETE FROM users_messages", "DELETE FROM messages")
    service.store("carol")
    service.before_handling = fail

    with pytest.raises(ValueError, match="no"):
        service.catch_up.sweep()
    service.before_handling = lambda: None
    service.catch_up.sweep()

    assert service.handled == ["alice", "bob", "carol"]


def test_thread_catches_up_and_then_sweeps(service: Service) -> None:
    service.leave_checkpoint(age=100)
    service.store("alice", age=50)
    service.catch_up.start()
    eventually(lambda: service.handled == ["alice"], "the pass")

    service.store("bob")

    eventually(lambda: service.handled == ["alice", "bob"], "a sweep")


def test_checkpoint_is_written_at_the_stop_though_the_thread_ended_before(
    service: Service,
) -> None:
    service.catch_up.start()
    eventually(lambda: (service.checkpoint.read() or 0) >= service.created, "a sweep")
    service.catch_up.request_stop()
    service.catch_up._thread.join()
    (service.checkpoint._path or Path()).unlink()
    service.checkpoint._written = None

    service.catch_up.stop()

    assert service.checkpoint.read() == service.catch_up.report()["until"]


def test_wake_begins_a_sweep_at_once(service: Service) -> None:
    service.catch_up._interval = 3600
    service.catch_up.start()
    eventually(lambda: service.catch_up.report()["until"], "the pass")
    service.store("alice")

    def handled() -> bool:
        service.catch_up.wake()
        return service.handled == ["alice"]

    eventually(handled, "a sweep")


def test_sweep_waits_while_delivered_messages_wait_in_memory(service: Service) -> None:
    service.catch_up.start()
    eventually(lambda: (service.checkpoint.read() or 0) >= service.created, "a sweep")
    service.backlog = 1
    # One sweep may have begun before.
    for user in ("alice", "bob"):
        service.store(user)
        threading.Event().wait(0.2)
    assert "bob" not in service.handled

    service.backlog = 0

    eventually(lambda: "bob" in service.handled, "a sweep")


def test_failure_is_logged_once_reported_and_tried_again(
    service: Service, log: pytest.LogCaptureFixture
) -> None:
    failed: list[int] = []

    def fail_and_count() -> None:
        failed.append(1)
        fail()

    service.before_handling = fail_and_count
    service.catch_up.start()
    eventually(lambda: service.catch_up.report()["until"], "the pass")
    service.store("alice")
    eventually(lambda: len(failed) > 2, "several tries")
    assert service.catch_up.report()["trouble"] == "ValueError('no')"

    service.before_handling = lambda: None

    eventually(lambda: service.handled == ["alice"], "another try")
    eventually(lambda: service.catch_up.report()["trouble"] is None, "no trouble")
    errors = [record.getMessage() for record in log.records if record.levelname == "ERROR"]
    assert errors == ["Cannot catch up, trying again later error=ValueError('no')"]


def test_outage_is_waited_for_and_not_reported_as_a_failure(
    service: Service, log: pytest.LogCaptureFixture
) -> None:
    service.catch_up.start()
    eventually(lambda: (service.checkpoint.read() or 0) >= service.created, "a sweep")
    service.execute("ALTER TABLE messages RENAME TO elsewhere")
    eventually(lambda: service.retry.outage, "an outage")
    assert service.catch_up.report()["trouble"] is None
    service.execute("ALTER TABLE elsewhere RENAME TO messages")

    service.store("alice")

    eventually(lambda: service.handled == ["alice"], "the message")
    assert not [record for record in log.records if record.levelname == "ERROR"]


def test_outage_in_the_middle_of_the_pass_does_not_skip_the_rest(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up_reader, "_MAX_ROWS", 1)
    service.leave_checkpoint(age=100)
    service.store("alice", "bob", "carol", age=50)
    answers = iter([None, Unavailable("away")])

    def answer() -> None:
        outage = next(answers, None)
        if outage is not None:
            raise outage

    service.before_handling = answer

    service.retry.call(service.catch_up.catch_up)

    assert service.handled == ["alice", "bob", "carol"]


def test_stop_during_an_outage_ends_the_thread(service: Service) -> None:
    service.execute("ALTER TABLE messages RENAME TO elsewhere")
    service.catch_up.start()
    eventually(lambda: service.retry.outage, "an outage")

    service.stop()

    assert not service.catch_up._thread.is_alive()


def test_stop_while_handling_leaves_the_checkpoint_before_the_rest(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up_reader, "_MAX_ROWS", 1)
    service.leave_checkpoint(age=100)
    service.store("alice", age=50)
    service.store("bob", age=40)

    def stop() -> None:
        raise Stopped

    service.before_handling = stop
    service.catch_up._run()

    assert service.handled == []
    assert (service.checkpoint.read() or 0) <= service.created - 50


def test_status_tells_the_progress_of_the_pass(
    service: Service, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(catch_up_reader, "_MAX_ROWS", 1)
    monkeypatch.setattr(progress, "_INTERVAL", 0.0)
    assert service.catch_up.report()["until"] is None
    service.leave_checkpoint(age=100)
    service.store("alice", "bob", "carol", "dave", age=50)
    seen = []
    service.before_handling = lambda: seen.append(service.catch_up.report())

    service.catch_up.catch_up()

    assert [(each["running"], each["done"], each["count"]) for each in seen] == [
        (True, done, 4) for done in range(4)
    ]
    assert seen[0]["seconds_left"] is None
    assert all((each["seconds_left"] or 0) > 0 for each in seen[1:])
    assert not service.catch_up.report()["running"]
    assert any(
        line.startswith("Still catching up done=2 count=4 seconds_left=") for line in log.messages
    )
