"""Which stored messages are found to be missing, by the pass from the start and by sweeps."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from support.builders import make_settings
from support.daemon_restarts import HOUR, sent, store_message
from support.databases import Databases

from fedbadges.databases.connections import engine
from fedbadges.history.history import CHECKED
from fedbadges.history.message_reader import MessageHeader, MessageReader
from fedbadges.messages import Message, parse_message
from fedbadges.service import catch_up_reader
from fedbadges.service.catch_up_reader import Batch, CatchUpReader
from fedbadges.service.in_flight import InFlight

pytestmark = pytest.mark.sqlite


class Clock:
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Verifier:
    """Accepts the messages of some users, and counts how often it is asked."""

    def __init__(self, *users: str) -> None:
        self._users = users
        self.asked: list[str] = []

    def verify_stored(
        self, body: Mapping[str, Any], proof: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        self.asked.append(body["msg"]["user"])
        return {**body, "signed": True} if body["msg"]["user"] in self._users else None


@pytest.fixture
def history(database: Databases, tmp_path: Path) -> MessageReader:
    return MessageReader(make_settings(database, tmp_path))


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(history: MessageReader, in_flight: InFlight, clock: Clock) -> CatchUpReader:
    return CatchUpReader(history, in_flight, clock=clock)


@pytest.fixture
def store(database: Databases) -> Callable[..., Message]:
    """Stores a message of a user that was sent so many seconds ago."""

    def store_(user: str, age: float = 0.0, **more: Any) -> Message:
        body = sent(user, age) | more
        store_message(database, body)
        message = parse_message(body)
        assert message is not None
        return message

    return store_


def users(batches: Iterable[Batch]) -> list[str]:
    return [message.body["msg"]["user"] for batch in batches for message in batch.missing]


def swept(reader: CatchUpReader) -> list[str]:
    return users(reader.stored_since_last_sweep())


def caught_up(reader: CatchUpReader, start: float) -> list[str]:
    reader.begin(start)
    return users(reader.sent_since_start())


def test_pass_finds_what_was_sent_since_the_start_in_order_of_sending(
    reader: CatchUpReader, store: Callable[..., Message]
) -> None:
    store("late", 5)
    store("early", 50)
    store("before", 150)
    start = time.time() - 100

    assert reader.begin(start) == 2
    assert users(reader.sent_since_start()) == ["early", "late"]


def test_pass_finds_many_messages_of_one_moment_each_exactly_once(
    reader: CatchUpReader, store: Callable[..., Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up_reader, "_PAGE", 4)
    monkeypatch.setattr(catch_up_reader, "_MAX_ROWS", 3)
    moment = time.time()
    for number in range(10):
        store(str(number), timestamp=moment)

    assert reader.begin(moment - 1) == 10
    assert users(reader.sent_since_start()) == [str(number) for number in range(10)]


def test_batches_are_limited_by_the_size_of_their_messages(
    reader: CatchUpReader, store: Callable[..., Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catch_up_reader, "_MAX_BYTES", 8_000)
    for name, size in (("alice", 5), ("bob", 4), ("carol", 3), ("dave", 20), ("erin", 1)):
        store(name, msg={"user": name, "text": "x" * (size * 1_000 - 100)})

    reader.begin(0)

    batches = list(reader.sent_since_start())
    assert [users([batch]) for batch in batches] == [
        ["alice"],
        ["bob", "carol"],
        ["dave"],
        ["erin"],
    ]


def test_stored_users_are_read_with_the_message(
    reader: CatchUpReader, store: Callable[..., Message]
) -> None:
    store("alice")

    reader.begin(0)

    ((message,),) = (batch.missing for batch in reader.sent_since_start())
    assert message.users == {"alice"}


def test_delivered_messages_are_not_missing(
    reader: CatchUpReader, in_flight: InFlight, store: Callable[..., Message]
) -> None:
    done, handling, _ = store("done"), store("handling"), store("missing")
    in_flight.begin(done)
    in_flight.done(done)
    in_flight.begin(handling)

    assert caught_up(reader, 0) == ["missing"]


def test_message_delivered_while_earlier_batches_are_handled_is_not_missing(
    reader: CatchUpReader,
    in_flight: InFlight,
    store: Callable[..., Message],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catch_up_reader, "_MAX_ROWS", 1)
    store("first")
    second = store("second")
    reader.begin(0)
    batches = reader.sent_since_start()

    assert users([next(batches)]) == ["first"]
    in_flight.begin(second)

    assert users(batches) == []


def test_sweep_finds_what_was_stored_since_however_old_it_is(
    reader: CatchUpReader, store: Callable[..., Message]
) -> None:
    caught_up(reader, time.time())
    store("alice")
    store("bob", HOUR)

    assert swept(reader) == ["alice", "bob"]


def test_sweep_ignores_what_was_stored_and_sent_before_the_start(
    reader: CatchUpReader, store: Callable[..., Message]
) -> None:
    store("alice", 100)
    caught_up(reader, time.time() - 10)
    store("bob", 100)

    assert swept(reader) == ["bob"]


def test_row_that_is_committed_below_others_is_found_within_a_minute(
    reader: CatchUpReader,
    in_flight: InFlight,
    store: Callable[..., Message],
    database: Databases,
    clock: Clock,
) -> None:
    caught_up(reader, 0)
    slow = store("slow")
    other = store("other")
    for message in (slow, other):
        in_flight.begin(message)
        in_flight.done(message)
    assert swept(reader) == []
    clock.now += 59
    assert swept(reader) == []
    # As if it had not been there.
    in_flight.begin(slow)
    in_flight.release(slow)

    assert swept(reader) == ["slow"]

    in_flight.begin(slow)
    in_flight.done(slow)
    assert swept(reader) == []
    clock.now += 61
    in_flight.begin(slow)
    in_flight.release(slow)
    assert swept(reader) == []


def test_message_that_is_requeued_after_a_sweep_is_found_by_later_sweeps(
    reader: CatchUpReader, in_flight: InFlight, store: Callable[..., Message], clock: Clock
) -> None:
    """However long it was in flight."""
    caught_up(reader, 0)
    handling, later = store("handling"), store("later")
    in_flight.begin(handling)
    in_flight.begin(later)
    in_flight.done(later)
    for _ in range(3):
        assert swept(reader) == []
        clock.now += 100

    in_flight.requeue(handling)

    assert swept(reader) == ["handling"]


def test_batch_names_the_rows_in_flight(
    reader: CatchUpReader, in_flight: InFlight, store: Callable[..., Message]
) -> None:
    caught_up(reader, 0)
    for message in (store("alice"), store("bob")):
        in_flight.begin(message)
    in_flight.done(message)

    (batch,) = reader.stored_since_last_sweep()
    assert (batch.in_flight, [row.number for row in batch.rows]) == ([1], [1, 2])


def test_sweep_that_is_not_read_to_the_end_is_repeated(
    reader: CatchUpReader,
    store: Callable[..., Message],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catch_up_reader, "_MAX_ROWS", 1)
    caught_up(reader, 0)
    store("alice")
    store("bob")

    next(reader.stored_since_last_sweep())
    clock.now += 100

    assert swept(reader) == ["alice", "bob"]


@pytest.mark.parametrize("grown", [(), ("carol",), ("carol", "dave")])
def test_history_has_gone_back_when_the_last_rows_are_gone_even_if_others_have_their_numbers(
    grown: tuple[str, ...],
    reader: CatchUpReader,
    in_flight: InFlight,
    store: Callable[..., Message],
    database: Databases,
    clock: Clock,
) -> None:
    caught_up(reader, 0)
    for message in (store("alice"), store("bob")):
        in_flight.begin(message)
        in_flight.done(message)
    swept(reader)
    clock.now += 100
    swept(reader)
    assert not reader.has_gone_back()

    with engine(database.datanommer_url).begin() as connection:
        connection.execute(text("DELETE FROM messages WHERE id = 2"))
    for name in grown:
        store(name)

    assert reader.has_gone_back()
    caught_up(reader, 0)
    assert not reader.has_gone_back()


def test_history_has_gone_back_when_the_row_of_another_process_is_gone(
    reader: CatchUpReader, store: Callable[..., Message]
) -> None:
    assert reader.has_gone_back(1)
    store("alice")
    assert reader.has_gone_back(2)
    assert not reader.has_gone_back(1)


def test_damaged_last_row_is_no_other_one_when_it_is_read_again(
    reader: CatchUpReader, database: Databases, store: Callable[..., Message]
) -> None:
    store("alice")
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(text("UPDATE messages SET topic = '', timestamp = 'never'"))
    caught_up(reader, 0)

    assert not reader.has_gone_back()


def test_only_messages_with_a_valid_signature_are_missing_as_they_were_signed(
    history: MessageReader, in_flight: InFlight, store: Callable[..., Message]
) -> None:
    verifier = Verifier("alice")
    reader = CatchUpReader(history, in_flight, verifier)  # type: ignore[arg-type]
    store("mallory")
    store("alice")

    reader.begin(0)

    ((message,),) = (batch.missing for batch in reader.sent_since_start())
    assert message.body["signed"]


def test_rejected_row_is_not_verified_again_though_its_id_is(
    history: MessageReader, in_flight: InFlight, store: Callable[..., Message]
) -> None:
    verifier = Verifier("alice")
    reader = CatchUpReader(history, in_flight, verifier)  # type: ignore[arg-type]
    caught_up(reader, 0)
    forged = store("mallory")

    assert swept(reader) == []
    store("alice", msg_id=forged.msg_id)

    assert swept(reader) == ["alice"]
    assert verifier.asked == ["mallory", "alice"]


def test_message_that_the_daemon_stored_itself_is_not_verified_again(
    history: MessageReader, in_flight: InFlight, store: Callable[..., Message], database: Databases
) -> None:
    verifier = Verifier()
    store("alice")
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(text("UPDATE messages SET source_name = :name"), {"name": CHECKED})

    assert caught_up(CatchUpReader(history, in_flight, verifier), 0) == ["alice"]  # type: ignore[arg-type]
    assert verifier.asked == []


def settle(in_flight: InFlight, *messages: Message) -> None:
    for message in messages:
        in_flight.begin(message)
        in_flight.done(message)


def test_number_is_that_up_to_which_all_is_done_and_committed(
    reader: CatchUpReader, in_flight: InFlight, store: Callable[..., Message], clock: Clock
) -> None:
    caught_up(reader, 0)
    assert swept(reader) == []
    assert reader.number == 0
    done, unfinished = store("alice"), store("bob")
    settle(in_flight, done)
    in_flight.begin(unfinished)
    swept(reader)
    clock.now += 59
    assert reader.number == 0

    clock.now += 2
    assert reader.number == 1

    in_flight.done(unfinished)
    swept(reader)
    clock.now += 61
    assert reader.number == 2


def test_number_of_a_history_that_is_longer_than_the_pass_is_known_after_a_sweep(
    reader: CatchUpReader, in_flight: InFlight, store: Callable[..., Message]
) -> None:
    """So that no later process handles what was there before the first one."""
    store("old", 5_000)
    settle(in_flight, store("new", 1))

    caught_up(reader, time.time() - 100)
    assert reader.number is None
    assert swept(reader) == []

    assert reader.number == 2


def test_number_of_a_longer_history_waits_for_what_is_in_flight_since_the_pass(
    reader: CatchUpReader, in_flight: InFlight, store: Callable[..., Message]
) -> None:
    store("old", 5_000)
    unfinished = store("new", 1)
    in_flight.begin(unfinished)

    caught_up(reader, time.time() - 100)
    swept(reader)
    assert reader.number is None

    in_flight.done(unfinished)
    swept(reader)
    assert reader.number == 2


def test_first_sweep_reads_what_follows_a_number_but_for_what_the_pass_has_read(
    reader: CatchUpReader, store: Callable[..., Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.service.catch_up_reader._COMMIT_ROWS", 1)
    for name, age in (("done", 5_000), ("slow", 5_000), ("older", 9_000), ("in time", 1)):
        store(name, age)

    reader.begin(time.time() - 100, 1, time.time() - 6_000)

    assert users(reader.sent_since_start()) == ["in time"]
    assert swept(reader) == ["slow", "in time"]


def test_row_that_comes_again_with_another_message_after_a_backup_is_read(
    history: MessageReader, in_flight: InFlight, store: Callable[..., Message], database: Databases
) -> None:
    verifier = Verifier("bob")
    reader = CatchUpReader(history, in_flight, verifier)  # type: ignore[arg-type]
    store("alice")
    assert caught_up(reader, 0) == []
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(text("DELETE FROM messages"))
    store("bob")

    assert reader.has_gone_back()
    reader.forget()
    assert caught_up(reader, 0) == ["bob"]


def test_ten_thousand_damaged_rows_are_read_once_with_some_dozen_lines(
    reader: CatchUpReader,
    store: Callable[..., Message],
    database: Databases,
    log: pytest.LogCaptureFixture,
) -> None:
    store("alice", 100)
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(
            text(
                "INSERT INTO messages (i, topic, timestamp, category, msg)"
                " WITH RECURSIVE numbers(n) AS"
                " (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)"
                " SELECT 1, topic, timestamp, category, '{' FROM messages, numbers"
            )
        )
    store("bob")

    assert caught_up(reader, 0) == ["alice", "bob"]
    logged = len(log.messages)
    assert 20 < logged < 40
    swept(reader)
    assert len(log.messages) == logged


class Judgements:
    """Finds the same judgement outdated by every row."""

    def __init__(self, number: int) -> None:
        self.number = number

    def outdated(self, rows: Iterable[MessageHeader]) -> list[int]:
        return [self.number]


def test_sweep_ends_with_what_must_be_judged_again_each_message_once(
    history: MessageReader,
    in_flight: InFlight,
    store: Callable[..., Message],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catch_up_reader, "_MAX_ROWS", 1)
    in_flight.begin(store("judged"))
    reader = CatchUpReader(history, in_flight, judgements=Judgements(1))  # type: ignore[arg-type]
    reader.begin(time.time() + HOUR)
    for name in ("alice", "bob", "carol"):
        store(name, HOUR)

    batches = list(reader.stored_since_last_sweep())

    assert users(batches) == ["alice", "bob", "carol", "judged"]
    assert sum(batch.new for batch in batches) == 3
