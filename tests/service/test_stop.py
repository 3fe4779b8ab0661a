"""No message is lost that comes, or is in flight, while a daemon stops."""

import threading
import time
from typing import Any

import pytest
from support.daemon_restarts import (
    HOUR,
    Start,
    after_first_pass,
    held,
    sent,
    store_message,
    unavailable,
)
from support.databases import Databases
from support.waiting import TIMEOUT, eventually

from fedbadges.errors import NotHandled
from fedbadges.history.history import History
from fedbadges.messages import Position
from fedbadges.service.daemon import Daemon

pytestmark = pytest.mark.sqlite


def test_message_that_comes_while_the_first_start_waits_is_handled_by_the_next_start(
    start: Start, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr("fedbadges.service.startup.prepare_databases", unavailable)
        daemon = start(keep_counts_distance=0)
        daemon.drain()
        message = sent("alice")
        store_message(database, message)
        daemon.handle(message)
        time.sleep(0.1)
        daemon.stop()
    time.sleep(0.1)

    start(keep_counts_distance=0)

    eventually(lambda: held(database, "alice") == [True], "the badge")


@pytest.mark.parametrize("record", [True, False])
def test_message_that_comes_during_the_stop_is_handled_by_the_next_start(
    start: Start, database: Databases, record: bool
) -> None:
    daemon = start(record_messages=record)
    daemon.drain()
    message = sent("alice")
    if not record:
        store_message(database, message)

    daemon.handle(message)
    assert held(database, "alice") == [False]
    start(record_messages=record)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_old_message_that_comes_during_the_stop_is_handled_by_the_next_start(
    start: Start, database: Databases
) -> None:
    daemon = after_first_pass(start(record_messages=True))
    daemon.drain()

    daemon.handle(sent("alice", HOUR))
    start(record_messages=True)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_message_in_flight_while_the_first_start_waits_is_stored_before_the_stop(
    start: Start, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as away:
        away.setattr("fedbadges.service.startup.prepare_databases", unavailable)
        daemon = start(record_messages=True)
        worker = threading.Thread(target=daemon.handle, args=(sent("alice"),))
        worker.start()
        time.sleep(0.1)
        daemon.drain()
        worker.join()
        daemon.stop()

    start(record_messages=True)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_stop_takes_as_long_as_storing_messages_does(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes less time than what hangs, and all together take more."""
    record, hangs = History.record, Daemon._hangs
    looked = threading.Event()
    now = [time.monotonic()]

    def slowly(*arguments: Any) -> Position:
        assert looked.wait(TIMEOUT)
        looked.clear()
        now[0] += 0.6
        return record(*arguments)

    def look(daemon: Daemon) -> bool:
        looked.set()
        return hangs(daemon)

    monkeypatch.setattr(History, "record", slowly)
    monkeypatch.setattr(Daemon, "_hangs", look)
    daemon = start(record_messages=True)
    daemon.drain()

    def drain() -> None:
        for number in range(5):
            daemon.handle(sent(f"user{number}"))
        daemon.stop()

    with monkeypatch.context() as clock:
        clock.setattr(time, "monotonic", lambda: now[0])
        worker = threading.Thread(target=drain)
        worker.start()
        assert daemon.wait_until_stopped(0.1)
        worker.join(TIMEOUT)


def test_message_that_can_neither_be_stored_nor_set_aside_is_logged_as_lost(
    start: Start, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = start(record_messages=True)
    monkeypatch.setattr("fedbadges.service.state.dead_letters.MAX_COUNT", 0)
    monkeypatch.setattr(History, "record", unavailable)
    daemon.drain()

    for name in ("alice", "bob"):
        daemon.handle(sent(name))

    assert log.text.count("lost=True") == 1


def test_message_that_cannot_be_stored_before_the_stop_is_set_aside(
    start: Start,
    database: Databases,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemon = after_first_pass(start(record_messages=True))
    with monkeypatch.context() as away:
        away.setattr("fedbadges.history.history.History.record", unavailable)
        worker = threading.Thread(target=daemon.handle, args=(sent("alice"),))
        worker.start()
        eventually(lambda: daemon.report()["waiting_for"], "an outage")
        daemon.drain()
        worker.join()
        daemon.handle(sent("bob"))
        daemon.stop()

    assert log.text.count("could not be stored before the daemon stopped") == 2
    assert start(retry=True, record_messages=True).retry_dead_letters() == []
    assert held(database, "alice", "bob") == [True, True]


def test_message_that_a_broker_delivers_during_the_stop_is_refused(start: Start) -> None:
    daemon = start()
    daemon.drain()

    with pytest.raises(NotHandled, match="stopping"):
        daemon.handle_acknowledged(sent("alice"))
