"""What the daemon says on a real bus, and what happens where there is none."""

import contextlib
import copy
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import fedmsg.config
import pytest
import zmq
from support.bus import HOST, Bus, Subscriber
from support.waiting import TIMEOUT, eventually

from fedbadges.buses import queued_publisher
from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.messages import Notice


@pytest.fixture
def bus() -> Iterator[Bus]:
    """With a listener, which has been trying to connect for a while."""
    made = Bus()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "fedbadges")
    return caplog


# The listener here is quicker than others.
QUICK = {"post_init_sleep": 0.0, "zmq_reconnect_ivl_max": 50}


def config_of(endpoints: dict[str, list[str]], **others: Any) -> dict[str, Any]:
    return copy.deepcopy(fedmsg.config.defaults) | {"endpoints": endpoints} | QUICK | others


@contextlib.contextmanager
def running(config: dict[str, Any]) -> Iterator[Publisher]:
    publisher = Publisher(config)
    publisher.start()
    yield publisher
    publisher.stop()


def award(number: int) -> Notice:
    return Notice("badge.award", {"number": number})


def numbers(bus: Bus) -> list[int]:
    return [message["msg"]["number"] for message in bus.heard("fedbadges.badge.award")]


def test_notice_is_published_unchanged(bus: Bus) -> None:
    with running(config_of(bus.endpoints)) as publisher:
        publisher.publish(Notice("person.rank.advance", {"person": {"id": 1}, "old_rank": None}))
        eventually(lambda: bus.heard("fedbadges.person.rank.advance"), "the notice")

    (message,) = bus.heard("fedbadges.person.rank.advance")
    assert message["msg"] == {"person": {"id": 1}, "old_rank": None}
    assert message["msg_id"]


def test_subscriber_that_was_there_before_the_publisher_gets_the_first_notice() -> None:
    """Though ZeroMQ drops what it sends before they have connected again."""
    bus = Bus()
    context = zmq.Context()
    slow = Subscriber(context, bus.endpoints[f"fedbadges.{HOST}"], reconnect=900)
    try:
        config = copy.deepcopy(fedmsg.config.defaults) | {"endpoints": bus.endpoints}
        with running(config) as publisher:
            publisher.publish(award(1))
            eventually(lambda: slow.messages(), "the notice")
        assert [message["msg"] for message in slow.messages()] == [{"number": 1}]
    finally:
        slow.close()
        context.destroy(linger=0)
        bus.close()


def test_notices_of_all_threads_have_one_counter(bus: Bus) -> None:
    with running(config_of(bus.endpoints)) as publisher:
        threads = [
            threading.Thread(target=lambda: [publisher.publish(award(n)) for n in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        eventually(lambda: len(numbers(bus)) == 200, "all notices")

    counted = [message["i"] for message in bus.heard("fedbadges.badge.award")]
    assert counted == list(range(1, 201))


def test_notices_are_published_in_order(bus: Bus) -> None:
    with running(config_of(bus.endpoints)) as publisher:
        for number in range(100):
            publisher.publish(award(number))
        eventually(lambda: len(numbers(bus)) == 100, "all notices")

    assert numbers(bus) == list(range(100))


def test_publish_returns_before_the_notice_is_sent(bus: Bus) -> None:
    with running(config_of(bus.endpoints)) as publisher:
        before = time.monotonic()
        publisher.publish(award(1))
        assert time.monotonic() - before < 5


def test_stop_sends_queued_notices_and_frees_the_endpoint(bus: Bus) -> None:
    one = {f"fedbadges.{HOST}": bus.endpoints[f"fedbadges.{HOST}"][:1]}
    with running(config_of(one)) as publisher:
        publisher.publish(award(1))
        eventually(lambda: numbers(bus), "the first notice")
        for number in range(2, 50):
            publisher.publish(award(number))

    with running(config_of(one)) as publisher:
        publisher.publish(award(50))
        eventually(lambda: len(numbers(bus)) == 50, "the notices of both")

    assert numbers(bus) == list(range(1, 51))


def test_second_publisher_binds_the_next_endpoint(bus: Bus) -> None:
    with running(config_of(bus.endpoints)) as first, running(config_of(bus.endpoints)) as second:
        first.publish(award(1))
        second.publish(award(2))
        eventually(lambda: len(numbers(bus)) == 2, "both notices")

    assert sorted(numbers(bus)) == [1, 2]


def test_notice_that_cannot_be_sent_is_logged_and_delays_no_other(
    bus: Bus, log: pytest.LogCaptureFixture
) -> None:
    with running(config_of(bus.endpoints)) as publisher:
        publisher.publish(Notice("badge.award", {"number": object()}))
        publisher.publish(award(2))
        eventually(lambda: numbers(bus), "the other notice")

    assert numbers(bus) == [2]
    (line,) = [r.getMessage() for r in log.records if r.name == "fedbadges.buses.queued_publisher"]
    assert line.startswith(
        "Could not publish a notice topic=badge.award body=\"{'number': <object object"
    )


def test_every_notice_is_logged_if_there_is_no_endpoint(
    log: pytest.LogCaptureFixture,
) -> None:
    with running(config_of({"relay_outbound": ["tcp://127.0.0.1:4001"]})) as publisher:
        publisher.publish(award(1))
        publisher.publish(award(2))
        eventually(lambda: len(log.records) >= 3, "three lines")

    assert log.messages == [
        f"Not publishing awards reason=\"'endpoints' has no 'fedbadges.{HOST}'\"",
        "Notice not published topic=badge.award body=\"{'number': 1}\"",
        "Notice not published topic=badge.award body=\"{'number': 2}\"",
    ]
    assert log.records[0].levelname == "WARNING"


def test_endpoints_that_are_all_in_use_are_logged(bus: Bus, log: pytest.LogCaptureFixture) -> None:
    one = {f"fedbadges.{HOST}": bus.endpoints[f"fedbadges.{HOST}"][:1]}
    with running(config_of(one)) as first:
        first.publish(award(1))
        eventually(lambda: numbers(bus), "the notice of the first")
        with running(config_of(one)) as second:
            second.publish(award(2))
            eventually(lambda: len(log.messages) == 2, "two lines")

    assert log.records[0].levelname == "ERROR"
    assert log.messages[0].startswith("Cannot publish awards error=")
    assert "Couldn't find an available" in log.messages[0]
    assert log.messages[1] == "Notice not published topic=badge.award body=\"{'number': 2}\""


def test_publisher_does_not_change_the_configuration(bus: Bus) -> None:
    config = config_of(bus.endpoints)
    before = copy.deepcopy(config)

    with running(config) as publisher:
        publisher.publish(award(1))
        eventually(lambda: numbers(bus), "the notice")

    assert config == before


def test_run_sends_the_notices_if_the_bus_is_not_zeromq(
    log: pytest.LogCaptureFixture,
) -> None:
    handed: list[Any] = []
    publisher = Publisher(config_of({}, zmq_enabled=False), run=handed.append)
    publisher.start()
    publisher.publish(award(1))
    eventually(lambda: handed, "something to run")
    # Here is no hub that it could be sent through.
    handed[0]()
    publisher.stop()

    assert len(handed) == 1
    (record,) = [
        record for record in log.records if record.name == "fedbadges.buses.queued_publisher"
    ]
    assert record.getMessage().startswith("Could not publish a notice topic=badge.award body=")
    assert record.levelname == "ERROR"


def test_notices_not_sent_by_run_are_logged_at_the_stop(
    log: pytest.LogCaptureFixture,
) -> None:
    publisher = Publisher(config_of({}, zmq_enabled=False), run=lambda function: None)
    publisher.start()
    publisher.publish(award(1))
    publisher.stop()

    assert log.messages == [
        "Stopping before a notice was sent topic=badge.award body=\"{'number': 1}\""
    ]
    assert log.records[0].levelname == "WARNING"


def test_finish_waits_for_subscribers_that_connect_late(bus: Bus) -> None:
    publisher = Publisher(config_of(bus.endpoints, zmq_reconnect_ivl_max=1000))
    publisher.start()
    publisher.publish(award(1))

    assert publisher.trouble(5) is None
    assert publisher.finish()

    eventually(lambda: numbers(bus) == [1], "the notice")
    assert publisher.unsent == 0


def test_notices_that_could_not_be_sent_are_counted(bus: Bus) -> None:
    publisher = Publisher(config_of(bus.endpoints))
    publisher.start()
    publisher.publish(Notice("badge.award", {"number": object()}))
    publisher.publish(award(2))
    publisher.finish()

    assert publisher.unsent == 1


def test_publisher_reports_why_it_cannot_send() -> None:
    publisher = Publisher(config_of({}))
    assert publisher.trouble() is None
    publisher.start()

    assert publisher.trouble(5) == f"'endpoints' has no 'fedbadges.{HOST}'"
    publisher.publish(award(1))
    publisher.finish()
    assert publisher.unsent == 1


def test_invalid_reconnect_interval_does_not_hold_notices_back(bus: Bus) -> None:
    """fedmsg does not mind."""
    with running(config_of(bus.endpoints, zmq_reconnect_ivl_max="soon")) as publisher:
        publisher.publish(award(1))
        eventually(lambda: numbers(bus) == [1], "the notice")


# Notices of the outbox


def kept(number: int) -> Notice:
    return Notice("badge.award", {"number": number}, f"2014-{number}", 1412339405)


class Results:
    """What the publisher says of each notice."""

    def __init__(self) -> None:
        self.errors: dict[str | None, str | None] = {}

    def __call__(self, notice: Notice, error: str | None) -> None:
        self.errors[notice.msg_id] = error


def test_notice_of_the_outbox_has_the_same_id_and_timestamp_each_time(bus: Bus) -> None:
    results = Results()
    with running(config_of(bus.endpoints)) as publisher:
        publisher.publish(kept(1), results)
        publisher.publish(kept(1), results)
        eventually(lambda: len(numbers(bus)) == 2, "both")

    heard = bus.heard("fedbadges.badge.award")
    assert {(each["msg_id"], each["timestamp"]) for each in heard} == {("2014-1", 1412339405)}
    assert results.errors == {"2014-1": None}


def test_notice_of_the_outbox_is_not_logged_if_it_cannot_be_sent(
    log: pytest.LogCaptureFixture,
) -> None:
    results = Results()
    with running(config_of({})) as publisher:
        assert publisher.wait_until_ready(TIMEOUT)
        publisher.publish(kept(1), results)
        eventually(lambda: results.errors, "a result")

    assert results.errors == {"2014-1": f"'endpoints' has no 'fedbadges.{HOST}'"}
    assert len(log.messages) == 1
    assert publisher.unsent == 0


def test_notice_of_the_outbox_is_not_sent_to_listeners_that_had_no_time_to_connect(
    bus: Bus,
) -> None:
    results = Results()
    with running(config_of(bus.endpoints, zmq_reconnect_ivl_max=3_600_000)) as publisher:
        publisher.publish(kept(1), results)

    assert "time to connect" in str(results.errors["2014-1"])


def test_publisher_is_ready_when_listeners_have_had_time_to_connect(bus: Bus) -> None:
    with running(config_of(bus.endpoints)) as publisher:
        assert publisher.wait_until_ready(TIMEOUT)
        publisher.publish(kept(1))
        eventually(lambda: numbers(bus) == [1], "the notice")
    with running(config_of(bus.endpoints, zmq_reconnect_ivl_max=3_600_000)) as publisher:
        assert publisher.trouble(TIMEOUT) is None
        assert not publisher.wait_until_ready(0.1)


def test_endpoint_is_bound_when_another_process_frees_it(
    bus: Bus, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queued_publisher, "_RETRY", 0.05)
    results = Results()
    one = {f"fedbadges.{HOST}": bus.endpoints[f"fedbadges.{HOST}"][:1]}
    with running(config_of(one)) as first:
        assert first.wait_until_ready(TIMEOUT)
        second = Publisher(config_of(one))
        second.start()
        second.publish(kept(1), results)
        eventually(lambda: results.errors, "a failure")
        assert second.trouble(TIMEOUT) is not None
    try:
        eventually(lambda: second.trouble() is None, "the endpoint bound")
        second.publish(kept(2), results)
        eventually(lambda: numbers(bus) == [2], "the notice")
    finally:
        second.stop()

    assert results.errors["2014-2"] is None
    lines = [line for line in log.messages if "ublish" in line]
    assert len(lines) == 2
    assert lines[0].startswith("Cannot publish awards error=")
    assert lines[1] == "Publishing awards again"
