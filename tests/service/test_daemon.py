"""The daemon without a bus: messages, outages, start and stop."""

import logging
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fedmsg.config
import pytest
import sqlalchemy as sa
from support.builders import make_config
from support.bus import fedmsg_body
from support.databases import Databases, Postgresql, badges, spoil, store_message
from support.outage import Outage
from support.rules import counting_rule, rule, write_rules
from support.waiting import TIMEOUT, eventually

from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.config.settings import read_settings
from fedbadges.databases.connections import engine
from fedbadges.errors import CannotStart, NotHandled
from fedbadges.service.daemon import Daemon
from fedbadges.tahrir.schema import create_tahrir

NAMED = rule(
    "Named",
    """
trigger:
  category: git
criteria:
  datanommer:
    filter: {topics: ["%(topic)s"]}
    operation: count
    condition: {greater than or equal to: 1}
recipient: "%(msg.user)s"
""",
)
ODD = rule(
    "Odd",
    """
trigger:
  lambda: msg['msg'] != {}
criteria:
  all:
    - datanommer:
        filter:
          users: "%(msg.users)s"
          contains: ["x%(msg.user)sx"]
        operation: {lambda: "len([m for m in query if '%(msg.user)s' in m.users])"}
        condition: {is greater than: 3}
    - datanommer:
        filter: {msg_id: "%(msg.id)s", start: "%(msg.start)s"}
        operation: count
        condition: {is less than: 3}
recipient: "%(msg.users)s"
""",
)
RULES = {"first": counting_rule("First", "logger.first", 1), "named": NAMED, "odd": ODD}

Start = Callable[..., Daemon]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts daemons, whose bus has no endpoint."""
    write_rules(tmp_path / "rules", RULES)
    started: list[Daemon] = []

    def start_(databases: Databases, **keys: Any) -> Daemon:
        config = fedmsg.config.defaults | {"endpoints": {}, "post_init_sleep": 0.0}
        config |= make_config(databases, tmp_path / "rules")
        config |= {"badges.reload": False}
        config |= {f"badges.{name}": value for name, value in keys.items()}
        settings, _ = read_settings(config)
        daemon = Daemon(settings, Publisher(config))
        daemon.start()
        started.append(daemon)
        return daemon

    yield start_
    for daemon in started:
        daemon.stop()


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "fedbadges")
    return caplog


def said(log: pytest.LogCaptureFixture, *levels: str) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelname in levels]


# Messages


def test_daemon_stores_a_message_and_awards(start: Start, database: Databases) -> None:
    daemon = start(database, record_messages=True)

    daemon.handle(fedmsg_body("logger.first", {}, "alice"))

    assert list(badges(database, "alice")) == ["first"]


def test_delayed_message_holds_up_no_other_and_is_decided_at_the_stop(
    start: Start, database: Databases
) -> None:
    daemon = start(database, consume_delay=3600)
    first, second = (fedmsg_body("git.receive", {"user": name}) for name in ("alice", "bob"))

    daemon.handle(first)
    daemon.handle(second)
    store_message(database, second)
    eventually(lambda: badges(database, "bob"), "the badge of who was stored")
    assert badges(database, "alice") == {}
    daemon.stop()

    assert list(badges(database, "alice")) == ["named"]


def test_acknowledged_message_is_decided_before_the_call_returns(
    start: Start, database: Databases
) -> None:
    daemon = start(database, consume_delay=3600)
    message = fedmsg_body("git.receive", {"user": "alice"})
    thread = threading.Thread(target=lambda: daemon.handle_acknowledged(message))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()

    store_message(database, message)
    thread.join(TIMEOUT)

    assert list(badges(database, "alice")) == ["named"]


def test_message_that_is_nested_too_deep_is_acknowledged_and_ignored(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    """Or a broker would deliver it again; read back from datanommer, it would be no message."""
    daemon = start(database, record_messages=True)

    daemon.handle_acknowledged(fedmsg_body("logger.first", {"deep": nested(500)}, "alice"))
    daemon.handle_acknowledged(fedmsg_body("logger.first", {"deep": nested(498)}, "bob"))

    assert badges(database, "alice") == {}
    assert list(badges(database, "bob")) == ["first"]
    assert len([line for line in said(log, "WARNING") if "nested too deep" in line]) == 1


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


MESSAGES: list[Any] = [
    None,
    5,
    "text",
    [],
    {},
    {"topic": 5},
    {"topic": "\ud800"},
    {"topic": "a"},
    {"topic": "...."},
]
for value in (
    None,
    5,
    -1,
    10**400,
    math.nan,
    -math.inf,
    True,
    "",
    "\ud800",
    "a\x00b",
    "%(msg.user)s",
    "%s%d%%",
    "'; DROP TABLE messages; --",
    "\u0130",
    "x" * 100_000,
    [],
    [[], {}, None],
    {},
    {"name": {"name": "alice"}},
    nested(500),
    nested(100_000),
    ["user1", "user2"],
):
    MESSAGES += [
        {**fedmsg_body("git.receive", {}), "msg": value},
        fedmsg_body("git.receive", {"user": value, "users": value, "id": value, "start": value}),
        fedmsg_body("logger.first", {"users": ["alice"], "user": value, "id": "a", "start": 0}),
        dict.fromkeys(fedmsg_body("git.receive", {}), value) | {"topic": "a.b.c.git.receive"},
        {**fedmsg_body("logger.first", {}), "username": value, "headers": value},
    ]
MANY = [f"user{number}" for number in range(1_100)]
MESSAGES.append(fedmsg_body("git.receive", {"users": MANY, "user": "a", "id": "a", "start": 0}))


def test_no_message_makes_the_daemon_raise_or_stop(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(database, record_messages=True)

    for message in MESSAGES:
        daemon.handle(message)
    daemon.handle(fedmsg_body("logger.first", {}, "zoe"))

    assert list(badges(database, "zoe")) == ["first"]
    assert not any("Waiting for an outage to end" in line for line in said(log, "WARNING"))
    assert all("\n" not in line for line in said(log, "DEBUG", "INFO", "WARNING", "ERROR"))


# An outage


@pytest.fixture
def without_history(postgresql: Postgresql) -> Iterator[Databases]:
    """Create databases of which only tahrir's has tables."""
    made = postgresql.create_empty_databases()
    create_tahrir(made.tahrir_url)
    yield made
    postgresql.drop_databases(made)


@pytest.mark.parametrize("which", ["tahrir_url", "datanommer_url"])
def test_message_that_comes_during_an_outage_is_awarded_after_it(
    start: Start, postgresql_database: Databases, which: str, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(postgresql_database, record_messages=True)
    outage = Outage(getattr(postgresql_database, which))

    def warnings() -> list[str]:
        return [line for line in said(log, "WARNING") if line.startswith("Waiting for an outage")]

    outage.begin()

    thread = threading.Thread(
        target=lambda: daemon.handle(fedmsg_body("logger.first", {}, "alice"))
    )
    thread.start()
    eventually(warnings, "a warning")
    outage.end()
    thread.join(TIMEOUT)

    assert list(badges(postgresql_database, "alice")) == ["first"]
    assert len(warnings()) == 1
    # Catching up may wait for the same, and find out a little later.
    eventually(lambda: "The outage has ended" in said(log, "INFO"), "the end of it")


def test_stop_during_an_outage_logs_the_released_message_without_traceback(
    start: Start, postgresql_database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(postgresql_database, consume_delay=0)
    Outage(postgresql_database.datanommer_url).begin()
    body = fedmsg_body("logger.first", {}, "alice") | {"msg_id": "2026-1"}
    worker = threading.Thread(target=daemon.handle, args=[body])
    worker.start()
    eventually(lambda: [w for w in said(log, "WARNING") if "an outage" in w], "a warning")

    daemon.stop()
    worker.join()

    assert "Stopping before a message was handled msg_id=2026-1" in said(log, "WARNING")
    assert said(log, "ERROR") == []


def test_acknowledged_message_is_not_handled_if_the_daemon_drains_in_an_outage(
    start: Start, postgresql_database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(postgresql_database, consume_delay=0)
    Outage(postgresql_database.tahrir_url).begin()
    raised: list[Exception] = []

    def work() -> None:
        try:
            daemon.handle_acknowledged(fedmsg_body("logger.first", {}, "alice"))
        except NotHandled as error:
            raised.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    eventually(lambda: [w for w in said(log, "WARNING") if "an outage" in w], "a warning")
    daemon.drain()
    worker.join(TIMEOUT)

    assert [str(error) for error in raised] == ["stopping"]


def test_permanent_database_error_fails_messages_and_is_logged_once(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(database, record_messages=True)
    spoil(database.tahrir_url, "assertions")

    for number in (1, 2):
        daemon.handle(fedmsg_body("logger.first", {}, "alice") | {"msg_id": f"2026-{number}"})
    with pytest.raises(NotHandled, match=r"a view|INSERT RETURNING") as caught:
        daemon.handle_acknowledged(fedmsg_body("logger.first", {}, "alice"))

    assert caught.value.__cause__ is None
    (line,) = said(log, "ERROR")
    assert line.startswith("Message failed msg_id=2026-1 error=")
    assert len(line) < 400


def test_acknowledged_message_that_fails_after_its_delay_is_not_handled(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(database, consume_delay=3600)
    message = fedmsg_body("git.receive", {"user": "alice"})
    raised: list[Exception] = []

    def work() -> None:
        try:
            daemon.handle_acknowledged(message)
        except NotHandled as error:
            raised.append(error)

    daemon._parts.engine.judge = lambda *arguments: 1 // 0
    worker = threading.Thread(target=work)
    worker.start()
    eventually(lambda: len(daemon._parts.delay_queue), "somebody waits")
    store_message(database, message)
    worker.join(TIMEOUT)

    assert "ZeroDivisionError" in str(raised[0])
    (line,) = said(log, "ERROR")
    assert line.startswith(f'Message failed msg_id={message["msg_id"]} error="ZeroDivisionError')


def test_message_that_cannot_be_stored_is_logged_once(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(database, record_messages=True)
    spoil(database.datanommer_url, "messages")

    for _ in range(3):
        daemon.handle(fedmsg_body("other.topic", {}))

    # Catching up has something to say of it, too, at a time of its own.
    assert (
        len([each for each in said(log, "ERROR") if each.startswith("Could not store a message")])
        == 1
    )


# The start


@pytest.mark.parametrize("which", ["tahrir_url", "datanommer_url"])
def test_message_that_comes_before_the_databases_answer_is_handled_then(
    start: Start, postgresql_database: Databases, which: str, log: pytest.LogCaptureFixture
) -> None:
    outage = Outage(getattr(postgresql_database, which))
    outage.begin()
    daemon = start(postgresql_database, record_messages=True)
    worker = threading.Thread(
        target=lambda: daemon.handle(fedmsg_body("logger.first", {}, "alice"))
    )
    worker.start()
    eventually(lambda: [w for w in said(log, "WARNING") if "an outage" in w], "a warning")
    with pytest.raises(NotHandled, match="not started yet"):
        daemon.handle_acknowledged(fedmsg_body("logger.first", {}, "bob"))
    assert worker.is_alive()

    outage.end()
    worker.join(TIMEOUT)

    assert list(badges(postgresql_database, "alice")) == ["first"]
    assert len([w for w in said(log, "WARNING") if "an outage" in w]) == 1
    assert said(log, "CRITICAL", "ERROR") == []


def test_stop_while_starting_releases_waiting_messages(
    start: Start, postgresql_database: Databases, log: pytest.LogCaptureFixture
) -> None:
    Outage(postgresql_database.tahrir_url).begin()
    daemon = start(postgresql_database)
    body = fedmsg_body("logger.first", {}, "alice") | {"msg_id": "2026-1"}
    worker = threading.Thread(target=daemon.handle, args=[body])
    worker.start()

    daemon.stop()
    worker.join(TIMEOUT)

    assert not worker.is_alive()
    assert "Stopping before a message was handled msg_id=2026-1" in said(log, "WARNING")


def test_missing_tables_found_after_an_outage_are_critical(
    start: Start, without_history: Databases, log: pytest.LogCaptureFixture
) -> None:
    outage = Outage(without_history.datanommer_url)
    outage.begin()
    daemon = start(without_history)

    outage.end()
    eventually(lambda: said(log, "CRITICAL"), "a critical line")

    assert daemon.started.exception(TIMEOUT) is not None
    daemon.handle(fedmsg_body("logger.first", {}, "alice"))


def test_reason_why_a_later_start_fails_is_logged_before_others_hear_of_it(
    start: Start, without_history: Databases, log: pytest.LogCaptureFixture
) -> None:
    outage = Outage(without_history.datanommer_url)
    outage.begin()
    daemon = start(without_history)
    logged: list[list[str]] = []
    daemon.started.add_done_callback(lambda done: logged.append(said(log, "CRITICAL")))

    outage.end()
    eventually(lambda: logged, "the end of the start")

    (lines,) = logged
    assert len(lines) == 1


@pytest.mark.sqlite
def test_daemon_does_not_start_with_rules_that_others_can_write(
    start: Start, empty_database: Databases, tmp_path: Path
) -> None:
    (tmp_path / "rules").chmod(0o777)

    with pytest.raises(CannotStart, match="others can write it"):
        start(empty_database, create_tables=True)

    assert not sa.inspect(engine(empty_database.tahrir_url)).get_table_names()
