"""Messages that do not fit into memory are shed, and caught up later."""

import logging

import pytest
from support.daemon_restarts import Start, held, sent, store_message
from support.databases import Databases
from support.waiting import eventually

pytestmark = pytest.mark.sqlite


def warnings(caplog: pytest.LogCaptureFixture) -> int:
    return sum("Shedding messages" in line for line in caplog.messages)


def test_messages_that_wait_for_datanommer_count_as_waiting_in_memory(
    start: Start, database: Databases
) -> None:
    daemon = start(backlog_limit=10, delay_limit=100, consume_delay=3600)
    messages = [sent(f"user{number}") for number in range(10)]

    for message in messages[:9]:
        daemon.handle(message)
    assert not daemon.must_shed(0)
    assert daemon.must_shed(1)
    daemon.handle(messages[9])
    assert daemon.must_shed(0)

    for message in messages:
        store_message(database, message)
    eventually(lambda: not daemon.must_shed(0), "all to be decided")


def test_message_that_is_shed_is_caught_up_and_logged_once(
    start: Start, database: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = start(backlog_limit=10)

    assert not daemon.must_shed(9)
    assert all(daemon.must_shed(10) for _ in range(3))
    store_message(database, sent("alice"))

    eventually(lambda: held(database, "alice") == [True], "the badge")
    assert warnings(caplog) == 1


def test_messages_are_shed_that_are_too_large_together(start: Start, database: Databases) -> None:
    daemon = start(consume_delay=3600)
    message = sent("alice")

    assert not daemon.must_shed(1, 31_999_999)
    assert daemon.must_shed(1, 32_000_000)
    daemon.handle(message, size=30_000_000)
    assert daemon.must_shed(1, 2_000_000)

    store_message(database, message)
    eventually(lambda: not daemon.must_shed(1, 2_000_000), "the message to be done")


def test_shedding_is_logged_again_only_after_the_backlog_is_empty(
    start: Start, database: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "fedbadges")
    daemon = start(backlog_limit=10)
    for name in ("alice", "bob"):
        assert daemon.must_shed(10)
        store_message(database, sent(name))
        eventually(lambda name=name: held(database, name) == [True], "the badge")
    assert warnings(caplog) == 1
    assert not daemon.report()["overflown"]

    daemon.flush()
    assert daemon.must_shed(10)
    assert warnings(caplog) == 2


def test_nothing_is_shed_where_only_the_daemon_stores_messages(start: Start) -> None:
    daemon = start(backlog_limit=10, record_messages=True)

    assert not daemon.must_shed(1_000_000)
