"""What datanommer has and the bus did not bring is handled all the same."""

import json
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.bus import fedmsg_body
from support.databases import Databases, spoil, unspoil
from support.restarts import (
    FIRST,
    HOUR,
    Start,
    checkpoint,
    held,
    sent,
    store_message,
    write_checkpoint,
)
from support.rules import write_rules
from support.waiting import eventually

from fedbadges.databases.connections import engine
from fedbadges.errors import CannotStart, NotHandled, Unavailable
from fedbadges.history.history import History
from fedbadges.history.message_reader import MessageReader, StoredMessage
from fedbadges.service.daemon import Daemon
from fedbadges.tahrir.schema import create_tahrir

pytestmark = pytest.mark.filterwarnings("ignore:fedmsg is not configured to send:UserWarning")


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "fedbadges")
    return caplog


def test_what_the_bus_did_not_bring_is_handled(start: Start, database: Databases) -> None:
    start()

    store_message(database, sent("alice"))

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_what_came_while_the_daemon_was_down_is_handled(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    start().stop()
    write_checkpoint(tmp_path, HOUR)
    store_message(database, sent("alice", HOUR / 2))
    store_message(database, sent("bob", 2 * HOUR))

    start()

    eventually(lambda: held(database, "alice") == [True], "the badge")
    assert held(database, "bob") == [False]


def test_whom_it_concerns_is_what_datanommer_says(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    """Where no plugin names anybody: not everything that was in the message is stored."""
    text = FIRST.replace('recipient: "%(msg.user)s"', "")
    daemon = start()
    write_rules(tmp_path / "rules", {"first": text})
    daemon._reload()

    store_message(database, sent("alice"))

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_what_was_stored_late_is_handled(start: Start, database: Databases, tmp_path: Path) -> None:
    """Sent before the checkpoint, but by no more than datanommer may be late."""
    write_checkpoint(tmp_path, 10)
    store_message(database, sent("alice", 14))
    store_message(database, sent("bob", 16))

    start()

    eventually(lambda: held(database, "alice") == [True], "the badge")
    assert held(database, "bob") == [False]


def test_what_was_sent_before_the_daemon_was_ever_there_is_not_owed(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    store_message(database, sent("alice", 100))

    start()
    store_message(database, sent("bob"))

    eventually(lambda: held(database, "bob") == [True], "a sweep")
    assert held(database, "alice") == [False]


@pytest.mark.parametrize("kept", [True, False])
def test_what_does_not_fit_while_the_first_start_waits_is_caught_up(
    start: Start, database: Databases, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """Also what has long since been followed by others."""
    monkeypatch.setattr("fedbadges.service.catch_up._NUMBERS_IN_FLIGHT", 0)
    create_tahrir(database.tahrir_url)
    with monkeypatch.context() as away:
        away.setattr("fedbadges.service.daemon.prepare_databases", unavailable)
        start(**({} if kept else {"state_directory": None}))
        store_message(database, sent("alice"))
        time.sleep(0.1)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_a_start_that_cannot_be_owes_nothing(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.service.daemon.prepare_databases", fail)

    with pytest.raises(CannotStart):
        start()

    assert checkpoint(tmp_path) is None


def test_to_hand_messages_in_again_owes_nothing(start: Start, tmp_path: Path) -> None:
    assert start(retry=True).retry_failed() == []

    assert checkpoint(tmp_path) is None


def test_the_checkpoint_does_not_go_back_while_it_catches_up(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """Else it would go back further at each of several starts in a row."""
    store_message(database, sent("alice", 40))
    began = time.time()
    daemon = start(keep_counts_distance=50, sweep_interval=60)
    eventually(lambda: "Caught up:" in log.text, "the first look")

    daemon.stop()

    assert (checkpoint(tmp_path) or 0) >= began


def test_what_comes_while_the_first_start_waits_is_left_to_the_next(
    start: Start, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr("fedbadges.service.daemon.prepare_databases", unavailable)
        daemon = start(keep_counts_distance=0)
        daemon.hurry()
        message = sent("alice")
        store_message(database, message)
        daemon.handle(message)
        time.sleep(0.1)
        daemon.stop()
    time.sleep(0.1)

    start(keep_counts_distance=0)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_what_came_is_not_handled_again(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(consume_delay=3600)
    came, missing = sent("alice"), sent("bob")

    daemon.handle(came)
    store_message(database, came)
    store_message(database, missing)

    eventually(lambda: held(database, "bob") == [True], "a sweep")
    eventually(lambda: any("did not bring" in line for line in log.messages), "its end")
    assert [line for line in log.messages if "did not bring" in line] == [
        "Handled 1 messages that the bus did not bring, or that were put off"
    ]


def test_many_messages_are_caught_up(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """More than are read at once, all sent at the same moment."""
    write_checkpoint(tmp_path, HOUR)
    moment = time.time() - HOUR / 2
    for number in range(1_200):
        store_message(database, sent(f"user{number % 7}") | {"timestamp": moment})

    start()

    names = [f"user{number}" for number in range(7)]
    eventually(lambda: all(held(database, *names)), "all badges")
    eventually(lambda: any(line.startswith("Caught up") for line in log.messages), "the end")
    assert "Caught up: 1200 messages were new of 1200" in log.messages
    assert any("datanommer has 1200 messages since" in line for line in log.messages)


@pytest.mark.parametrize("content", ["", '{"until": 9e99}', '{"until": 99999999999}'])
def test_where_the_checkpoint_is_damaged_all_is_caught_up(
    start: Start,
    database: Databases,
    tmp_path: Path,
    content: str,
    log: pytest.LogCaptureFixture,
) -> None:
    """In the future it is where a clock was wrong; then it says nothing of the past."""
    write_checkpoint(tmp_path, 0)
    (tmp_path / "state" / "checkpoint").write_text(content)
    store_message(database, sent("alice", 2 * HOUR))
    store_message(database, sent("bob", HOUR / 2))

    start(catchup_limit=HOUR)

    eventually(lambda: held(database, "bob") == [True], "the badge")
    assert held(database, "alice") == [False]
    # Once more where the first look failed, as on a database that was busy.
    lines = {each for each in log.messages if "catching up everything" in each}
    assert len(lines) == 1
    assert "checkpoint" in lines.pop()
    eventually(lambda: "Caught up:" in log.text, "the end of it")
    assert (checkpoint(tmp_path) or 0) < time.time()


def test_a_message_from_the_future_does_not_take_the_checkpoint_there(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, HOUR)
    store_message(database, sent("alice", -HOUR))

    # No look comes after the first one.
    daemon = start(sweep_interval=HOUR)
    eventually(lambda: held(database, "alice") == [True], "the badge")
    daemon.stop()

    assert (checkpoint(tmp_path) or 0) <= time.time()


def test_a_message_from_before_all_time_does_not_spoil_the_checkpoint(
    start: Start, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(consume_delay=3600)
    daemon.handle(sent("alice") | {"timestamp": -1e9})
    eventually(lambda: checkpoint(tmp_path) == 0, "a checkpoint that waits for it")
    daemon.stop()

    start()

    eventually(lambda: (checkpoint(tmp_path) or 0) > 1e9, "another")
    assert not [each for each in log.records if each.levelno >= logging.ERROR]


def test_what_is_too_long_ago_is_said_and_left(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    write_checkpoint(tmp_path, 3 * HOUR)
    store_message(database, sent("alice", 2 * HOUR))
    store_message(database, sent("bob", HOUR / 2))

    start(catchup_limit=HOUR)

    eventually(lambda: held(database, "bob") == [True], "the badge")
    assert held(database, "alice") == [False]
    (line,) = [line for line in log.messages if "are not caught up" in line]
    assert "'badges.catchup_limit' is 3600 seconds" in line


def test_the_checkpoint_moves_on_and_is_written_at_the_stop(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    before = time.time()
    daemon = start()
    eventually(lambda: (checkpoint(tmp_path) or 0) > before, "a checkpoint")

    daemon.stop()

    assert before < (checkpoint(tmp_path) or 0) <= time.time()


def test_the_checkpoint_does_not_pass_what_is_in_hand(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    daemon = start(consume_delay=3600)
    message = sent("alice", 2)
    daemon.handle(message)

    eventually(lambda: checkpoint(tmp_path) is not None, "a checkpoint")
    time.sleep(1.5)

    assert (checkpoint(tmp_path) or 0) <= message["timestamp"] + 0.001
    store_message(database, message)
    eventually(lambda: (checkpoint(tmp_path) or 0) > message["timestamp"], "it to move on")


def test_what_waits_for_datanommer_is_in_memory_too(start: Start, database: Databases) -> None:
    daemon = start(backlog_limit=10, delay_limit=100, consume_delay=3600)
    messages = [sent(f"user{number}") for number in range(10)]

    for message in messages[:9]:
        daemon.handle(message)
    assert not daemon.overflows(0)
    assert daemon.overflows(1)
    daemon.handle(messages[9])
    assert daemon.overflows(0)

    for message in messages:
        store_message(database, message)
    eventually(lambda: not daemon.overflows(0), "all to be decided")


def test_what_does_not_fit_into_memory_is_caught_up(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(backlog_limit=10)

    assert not daemon.overflows(9)
    assert all(daemon.overflows(10) for _ in range(3))
    store_message(database, sent("alice"))

    eventually(lambda: held(database, "alice") == [True], "the badge")
    warnings = [
        record for record in log.records if "wait; those that come now" in record.getMessage()
    ]
    assert len(warnings) == 1


def test_what_is_too_large_to_wait_is_caught_up_too(start: Start, database: Databases) -> None:
    daemon = start(consume_delay=3600)
    message = sent("alice")

    assert not daemon.overflows(1, 31_999_999)
    assert daemon.overflows(1, 32_000_000)
    daemon.handle(message, size=30_000_000)
    assert daemon.overflows(1, 2_000_000)

    store_message(database, message)
    eventually(lambda: not daemon.overflows(1, 2_000_000), "it to be done")


def test_large_messages_are_caught_up_a_few_at_once(
    start: Start, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = MessageReader.messages
    read_at_once: list[int] = []

    def messages(self: MessageReader, numbers: Sequence[int]) -> list[StoredMessage]:
        found = read(self, numbers)
        read_at_once.append(len(found))
        return found

    monkeypatch.setattr(MessageReader, "messages", messages)
    start().stop()
    for name, size in (("alice", 5), ("bob", 4), ("carol", 3), ("dave", 20), ("erin", 1)):
        message = sent(name)
        message["msg"]["text"] = "x" * (size * 1_000_000 - 1_000)
        store_message(database, message)

    start()

    eventually(lambda: all(held(database, "alice", "bob", "carol", "dave", "erin")), "the badges")
    assert read_at_once == [1, 2, 1, 1]


def test_that_others_are_put_off_is_said_once_until_nothing_waits(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(backlog_limit=10)
    for name in ("alice", "bob"):
        assert daemon.overflows(10)
        store_message(database, sent(name))
        eventually(lambda name=name: held(database, name) == [True], "the badge")
    assert log.text.count("wait; those that come now") == 1
    # Nothing waits any more.
    assert not daemon.report()["overflown"]

    daemon.pause()
    assert daemon.overflows(10)
    assert log.text.count("wait; those that come now") == 2


@pytest.mark.parametrize("record", [True, False])
def test_what_still_comes_at_the_stop_is_left_to_the_next_start(
    start: Start, database: Databases, record: bool
) -> None:
    daemon = start(record_messages=record)
    daemon.hurry()
    message = sent("alice")
    if not record:
        store_message(database, message)

    daemon.handle(message)
    assert held(database, "alice") == [False]
    start(record_messages=record)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_what_still_comes_at_the_stop_is_owed_however_old_it_is(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    daemon = after_first_look(start(record_messages=True))
    daemon.hurry()

    daemon.handle(sent("alice", HOUR))
    start(record_messages=True)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_what_is_in_hand_while_the_first_start_waits_is_stored_before_the_stop(
    start: Start, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr("fedbadges.service.daemon.prepare_databases", unavailable)
        daemon = start(record_messages=True)
        worker = threading.Thread(target=daemon.handle, args=(sent("alice"),))
        worker.start()
        time.sleep(0.1)
        daemon.hurry()
        worker.join()
        daemon.stop()

    start(record_messages=True)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_a_stop_takes_its_time_while_messages_are_stored(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.service.daemon._LONG", 0.3)
    record = History.record

    def slowly(*arguments: Any) -> None:
        time.sleep(0.1)
        record(*arguments)

    monkeypatch.setattr(History, "record", slowly)
    daemon = start(record_messages=True)
    daemon.hurry()

    def drain() -> None:
        for number in range(12):
            daemon.handle(sent(f"user{number}"))
        daemon.stop()

    worker = threading.Thread(target=drain)
    worker.start()

    assert daemon.leave(0.1)
    worker.join()


def test_what_can_neither_be_stored_nor_set_aside_is_said_to_be_lost(
    start: Start, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = start(record_messages=True)
    monkeypatch.setattr("fedbadges.service.dead_letters.MAX_COUNT", 0)
    monkeypatch.setattr(History, "record", unavailable)
    daemon.hurry()

    for name in ("alice", "bob"):
        daemon.handle(sent(name))

    assert log.text.count("It is lost, since nobody else has it") == 1


def test_what_nobody_stores_before_the_stop_is_set_aside(
    start: Start,
    database: Databases,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemon = after_first_look(start(record_messages=True))
    with monkeypatch.context() as away:
        away.setattr("fedbadges.history.history.History.record", unavailable)
        worker = threading.Thread(target=daemon.handle, args=(sent("alice"),))
        worker.start()
        eventually(lambda: "Waiting, and trying again" in log.text, "a warning")
        daemon.hurry()
        worker.join()
        daemon.handle(sent("bob"))
        daemon.stop()

    assert log.text.count("Waiting, and trying again") == 1
    assert log.text.count("could not be stored before the daemon stopped'). It is set aside") == 2
    assert start(retry=True, record_messages=True).retry_failed() == []
    assert held(database, "alice", "bob") == [True, True]


def test_the_last_checkpoint_is_written_also_where_it_has_long_ended(
    start: Start, tmp_path: Path
) -> None:
    daemon = start()
    time.sleep(0.7)
    ended = time.time()
    daemon.hurry()
    time.sleep(0.3)

    daemon.stop()

    assert (checkpoint(tmp_path) or 0) > ended - 0.3


def test_a_broker_keeps_what_still_comes_at_the_stop(start: Start) -> None:
    daemon = start()
    daemon.hurry()

    with pytest.raises(NotHandled, match="stopping"):
        daemon.handle(sent("alice"), wait=True)


def test_where_nobody_else_stores_messages_all_of_them_wait_in_memory(start: Start) -> None:
    daemon = start(backlog_limit=10, record_messages=True)

    assert not daemon.overflows(1_000_000)


def test_a_table_that_is_gone_for_a_while_is_waited_for(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    after_first_look(start())
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE messages RENAME TO elsewhere"))
    eventually(lambda: "Waiting, and trying again: datanommer" in log.text, "a warning")
    time.sleep(0.3)
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO messages"))

    store_message(database, sent("alice"))

    eventually(lambda: held(database, "alice") == [True], "the badge")
    assert log.text.count("Waiting, and trying again") == 1
    eventually(lambda: "Everything answers again" in log.text, "its end")


def test_what_goes_wrong_while_it_looks_is_said_once_and_tried_again(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    after_first_look(start())
    bad, good = sent("alice"), sent("bob")
    store_message(database, bad)
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("UPDATE messages SET msg = '{'"))
    eventually(lambda: "Cannot catch up" in log.text, "the error")
    time.sleep(0.3)
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("DELETE FROM users_messages"))
        connection.execute(sa.text("DELETE FROM messages"))

    store_message(database, good)

    eventually(lambda: held(database, "bob") == [True], "the badge")
    assert log.text.count("Cannot catch up") == 1


def test_what_was_decided_before_it_was_stored_is_handled_again(
    start: Start, database: Databases
) -> None:
    daemon = start(consume_delay=0)
    late = sent("alice")
    daemon.handle(late)
    eventually(lambda: not len(daemon._waiting), "a decision without the message")
    time.sleep(0.2)
    assert held(database, "alice") == [False]

    store_message(database, late)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_a_history_that_goes_back_is_looked_at_again(
    start: Start,
    database: Databases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    log: pytest.LogCaptureFixture,
) -> None:
    """As after a backup was restored: what comes then has numbers that were there before."""
    monkeypatch.setattr("fedbadges.service.catch_up._IN_FLIGHT", 0.0)
    monkeypatch.setattr("fedbadges.service.catch_up._NUMBERS_IN_FLIGHT", 0)
    for number in range(5):
        store_message(database, sent(f"user{number}", HOUR))
    after_first_look(start())
    store_message(database, sent("alice"))
    eventually(lambda: held(database, "alice") == [True], "a sweep")
    time.sleep(0.2)
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("DELETE FROM users_messages"))
        connection.execute(sa.text("DELETE FROM messages"))
        if database.kind == "postgresql":
            connection.execute(sa.text("ALTER SEQUENCE messages_id_seq RESTART"))

    store_message(database, sent("bob"))

    eventually(lambda: held(database, "bob") == [True], "the badge")
    assert log.text.count("datanommer has gone back in time") == 1


def test_a_message_that_fails_is_set_aside_and_can_be_handed_in_again(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    daemon = start()
    spoil(database.tahrir_url, "assertions")
    bad = sent("alice")

    store_message(database, bad)
    daemon.handle(bad)

    (path,) = (tmp_path / "state" / "failed").iterdir()
    (line,) = [record.getMessage() for record in log.records if record.levelname == "ERROR"]
    assert line.startswith(f"Could not handle '{bad['msg_id']}': ")
    assert line.endswith(f"It is set aside in {path}")

    assert [again for again, _ in start(retry=True).retry_failed()] == [path]
    unspoil(database.tahrir_url, "assertions")
    assert start(retry=True).retry_failed() == []
    assert held(database, "alice") == [True]
    assert not path.exists()


def test_a_message_that_fails_again_is_kept_also_where_datanommer_does_not_have_it(
    start: Start, database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = sent("alice")
    with monkeypatch.context() as broken:
        broken.setattr("fedbadges.engine.engine.BadgeEngine.decide", fail)
        daemon = start()
        daemon.handle(message)
        eventually(lambda: set_aside(tmp_path), "it to be set aside")
        (path,) = set_aside(tmp_path)

        assert start(retry=True).retry_failed() == [(path, "ValueError('no')")]
        assert path.exists()

    store_message(database, message)
    assert start(retry=True).retry_failed() == []
    assert held(database, "alice") == [True]
    assert not path.exists()


def test_whom_datanommer_had_for_a_message_that_failed_is_kept_with_it(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    unnamed = FIRST.partition("recipient")[0].replace("logger.first", "git.first")
    write_rules(tmp_path / "rules", {"first": unnamed})
    daemon = start()
    spoil(database.tahrir_url, "assertions")
    store_message(database, fedmsg_body("git.first", {"user": "alice"}))
    eventually(lambda: set_aside(tmp_path), "it to be set aside")
    daemon.stop()
    unspoil(database.tahrir_url, "assertions")

    assert start(retry=True).retry_failed() == []

    assert held(database, "alice") == [True]


def test_what_is_no_message_stays_set_aside(start: Start, tmp_path: Path) -> None:
    start().stop()
    path = tmp_path / "state" / "failed" / "odd.json"
    path.write_text(json.dumps({"message": {"msg": {}}}))

    assert start(retry=True).retry_failed() == [(path, "it is no message with a topic")]
    assert path.exists()


def test_how_far_it_got_is_told_while_it_catches_up(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    start().stop()
    write_checkpoint(tmp_path, HOUR)
    for number in range(1200):
        store_message(database, sent("alice", HOUR / 2 - number / 10))
    began = time.time()

    daemon = start()

    def seen() -> dict[str, Any] | None:
        told: dict[str, Any] = daemon.report()["catch_up"]
        return told if told["running"] and told["done"] else None

    told = eventually(seen, "some progress")
    assert told is not None
    assert 0 < told["done"] <= told["count"] == 1200
    assert told["seconds_left"] >= 0
    eventually(lambda: not daemon.report()["catch_up"]["running"], "the end")
    assert eventually(lambda: daemon.report()["catch_up"]["until"] > began, "to be up to date")
    assert daemon.report()["handled"] >= 1200


def test_why_it_cannot_catch_up_is_told_until_it_can(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = start()
    with monkeypatch.context() as broken:
        broken.setattr("fedbadges.history.message_reader.MessageReader.after", fail)
        trouble = eventually(lambda: daemon.report()["catch_up"]["trouble"], "the trouble")
        assert trouble == "ValueError('no')"

    eventually(lambda: daemon.report()["catch_up"]["trouble"] is None, "no trouble")


def test_what_it_waits_for_is_told_until_it_answers(start: Start, database: Databases) -> None:
    daemon = start()
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE messages RENAME TO elsewhere"))

    told = eventually(lambda: daemon.report()["waiting_for"], "what it waits for")
    assert "messages" in told["reason"]

    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE elsewhere RENAME TO messages"))
    eventually(lambda: daemon.report()["waiting_for"] is None, "an answer")


def test_the_checkpoint_does_not_pass_what_an_outage_keeps_from_being_done(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """Even where the daemon stops long after others were looked at."""
    daemon = after_first_look(start(keep_counts_distance=0))
    message = sent("alice")
    rename(database, "assertions", "elsewhere")
    store_message(database, message)
    worker = threading.Thread(target=daemon.handle, args=(message,))
    worker.start()
    eventually(lambda: "Waiting, and trying again: tahrir" in log.text, "a warning")
    time.sleep(1.5)

    daemon.stop()
    worker.join()
    assert (checkpoint(tmp_path) or 0) <= message["timestamp"] + 0.001
    rename(database, "elsewhere", "assertions")
    start(keep_counts_distance=0)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_what_cannot_be_set_aside_is_left_to_the_next_start(
    start: Start, database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = after_first_look(start(keep_counts_distance=0))
    monkeypatch.setattr("fedbadges.service.dead_letters.MAX_COUNT", 0)
    message = sent("alice")
    store_message(database, message)
    with monkeypatch.context() as broken:
        broken.setattr("fedbadges.tahrir.database.Tahrir.award", fail)
        daemon.handle(message)
    time.sleep(1.5)
    daemon.stop()
    assert (checkpoint(tmp_path) or 0) <= message["timestamp"] + 0.001
    assert held(database, "alice") == [False]

    start(keep_counts_distance=0)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_where_the_daemon_cannot_start_messages_are_not_set_aside(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """As in a hub that has others to run, and goes on."""
    outcomes = iter([Unavailable("away")] * 3)

    def prepare(*arguments: object) -> None:
        raise next(outcomes, ValueError("no"))

    monkeypatch.setattr("fedbadges.service.daemon.prepare_databases", prepare)
    daemon = start()
    eventually(lambda: "Cannot start: ValueError('no')" in log.messages, "a line")

    daemon.handle(sent("alice"))

    assert list((tmp_path / "state" / "failed").iterdir()) == []
    assert [each.levelname for each in log.records].count("ERROR") == 0


def test_where_the_daemon_cannot_start_nothing_is_handed_in_again(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    daemon = start(retry=True, state_directory=str(tmp_path / "file" / "state"))

    with pytest.raises(CannotStart, match="Not a directory"):
        daemon.retry_failed()
    daemon.stop()


def after_first_look(daemon: Daemon) -> Daemon:
    """Waits until what comes from now on is what the next looks are about."""

    def looked() -> bool:
        told = daemon.report()["catch_up"]
        return told["until"] is not None and not told["running"]

    eventually(looked, "the first look")
    return daemon


def set_aside(directory: Path) -> list[Path]:
    return list((directory / "state" / "failed").glob("*.json"))


def fail(*arguments: object) -> None:
    raise ValueError("no")


def unavailable(*arguments: object) -> None:
    raise Unavailable("away")


def rename(database: Databases, old: str, new: str) -> None:
    with engine(database.tahrir_url).begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))
