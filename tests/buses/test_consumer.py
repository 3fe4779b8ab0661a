"""The daemon without its hub, and what the consumer does before it takes part."""

import contextlib
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
from support.waiting import eventually

from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.config.settings import ENABLED, read_settings
from fedbadges.consumers import FedoraBadgesConsumer
from fedbadges.databases.connections import engine
from fedbadges.errors import NotHandled, Unavailable
from fedbadges.history.schema import create_history
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
        config |= {"badges.create_tables": True, "badges.reload": False}
        config |= {f"badges.{name}": value for name, value in keys.items()}
        settings, _ = read_settings(config)
        daemon = Daemon(settings, Publisher(config))
        with contextlib.suppress(Unavailable):
            daemon.prepare()
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


pytestmark = pytest.mark.filterwarnings("ignore:fedmsg is not configured to send:UserWarning")


def said(log: pytest.LogCaptureFixture, *levels: str) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelname in levels]


# The daemon


def test_it_stores_the_message_and_awards(start: Start, database: Databases) -> None:
    daemon = start(database, record_messages=True)

    daemon.handle(fedmsg_body("logger.first", {}, "alice"))

    assert list(badges(database, "alice")) == ["first"]


def test_it_goes_on_while_a_message_waits_and_decides_it_at_the_stop(
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


def test_where_the_hub_wants_it_a_message_is_decided_before_the_next_is_taken(
    start: Start, database: Databases
) -> None:
    daemon = start(database, consume_delay=3600)
    message = fedmsg_body("git.receive", {"user": "alice"})
    thread = threading.Thread(target=lambda: daemon.handle(message, wait=True))
    thread.start()
    thread.join(0.1)
    assert thread.is_alive()

    store_message(database, message)
    thread.join(20)

    assert list(badges(database, "alice")) == ["named"]


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


def test_no_message_makes_it_raise_or_stop(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(database, record_messages=True)

    for message in MESSAGES:
        daemon.handle(message)
    daemon.handle(fedmsg_body("logger.first", {}, "zoe"))

    assert list(badges(database, "zoe")) == ["first"]
    assert not any("Waiting, and trying again" in line for line in said(log, "WARNING"))
    assert all("\n" not in line for line in said(log, "DEBUG", "INFO", "WARNING", "ERROR"))


# An outage


@pytest.fixture
def served(postgresql: Postgresql) -> Iterator[Databases]:
    made = Databases("postgresql", postgresql.create_database(), postgresql.create_database())
    yield made
    for url in (made.tahrir_url, made.datanommer_url):
        postgresql.drop_database(url)


@pytest.mark.parametrize("which", ["tahrir_url", "datanommer_url"])
def test_an_outage_costs_no_award(
    start: Start, served: Databases, which: str, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(served, record_messages=True)
    outage = Outage(getattr(served, which))

    def warnings() -> list[str]:
        return [line for line in said(log, "WARNING") if line.startswith("Waiting, ")]

    outage.begin()

    thread = threading.Thread(
        target=lambda: daemon.handle(fedmsg_body("logger.first", {}, "alice"))
    )
    thread.start()
    eventually(warnings, "a warning")
    outage.end()
    thread.join(20)

    assert list(badges(served, "alice")) == ["first"]
    assert len(warnings()) == 1
    # Catching up may wait for the same, and find out a little later.
    eventually(lambda: "Everything answers again; going on" in said(log, "INFO"), "the end of it")


def test_a_stop_in_an_outage_is_said_without_a_traceback(
    start: Start, served: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(served, consume_delay=0)
    Outage(served.datanommer_url).begin()
    body = fedmsg_body("logger.first", {}, "alice") | {"msg_id": "2026-1"}
    worker = threading.Thread(target=daemon.handle, args=[body])
    worker.start()
    eventually(lambda: [w for w in said(log, "WARNING") if "trying again" in w], "a warning")

    daemon.stop()
    worker.join()

    assert "Stopping before '2026-1' could be handled" in said(log, "WARNING")
    assert said(log, "ERROR") == []


def test_a_message_that_is_to_be_handed_over_again_is_not_taken_for_handled(
    start: Start, served: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(served, consume_delay=0)
    Outage(served.tahrir_url).begin()
    raised: list[Exception] = []

    def work() -> None:
        try:
            daemon.handle(fedmsg_body("logger.first", {}, "alice"), wait=True)
        except NotHandled as error:
            raised.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    eventually(lambda: [w for w in said(log, "WARNING") if "trying again" in w], "a warning")
    daemon.hurry()
    worker.join(20)

    assert [str(error) for error in raised] == ["stopping"]


def test_what_waiting_does_not_mend_is_one_line(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(database, record_messages=True)
    spoil(database.tahrir_url, "assertions")

    for number in (1, 2):
        daemon.handle(fedmsg_body("logger.first", {}, "alice") | {"msg_id": f"2026-{number}"})
    with pytest.raises(NotHandled, match=r"a view|division") as caught:
        daemon.handle(fedmsg_body("logger.first", {}, "alice"), wait=True)

    assert caught.value.__cause__ is None
    (line,) = said(log, "ERROR")
    assert line.startswith("Could not handle '2026-1': ")
    assert len(line) < 400


def test_what_cannot_be_decided_after_waiting_is_not_handled_either(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(database, consume_delay=3600)
    message = fedmsg_body("git.receive", {"user": "alice"})
    raised: list[Exception] = []

    def work() -> None:
        try:
            daemon.handle(message, wait=True)
        except NotHandled as error:
            raised.append(error)

    daemon._engine.decide = lambda case: 1 // 0
    worker = threading.Thread(target=work)
    worker.start()
    eventually(lambda: len(daemon._waiting), "somebody waits")
    store_message(database, message)
    worker.join(20)

    assert "ZeroDivisionError" in str(raised[0])
    (line,) = said(log, "ERROR")
    assert line.startswith(f"Could not handle '{message['msg_id']}': ZeroDivisionError")


def test_what_datanommer_cannot_hold_is_said_once(
    start: Start, database: Databases, log: pytest.LogCaptureFixture
) -> None:
    daemon = start(database, record_messages=True)
    spoil(database.datanommer_url, "messages")

    for _ in range(3):
        daemon.handle(fedmsg_body("other.topic", {}))

    # Catching up has something to say of it, too, at a time of its own.
    assert len([each for each in said(log, "ERROR") if each.startswith("Could not store ")]) == 1


# The start


@pytest.mark.parametrize("which", ["tahrir_url", "datanommer_url"])
def test_what_comes_while_a_database_is_away_at_the_start_is_handled_when_it_answers(
    start: Start, served: Databases, which: str, log: pytest.LogCaptureFixture
) -> None:
    outage = Outage(getattr(served, which))
    outage.begin()
    daemon = start(served, record_messages=True)
    worker = threading.Thread(
        target=lambda: daemon.handle(fedmsg_body("logger.first", {}, "alice"))
    )
    worker.start()
    eventually(lambda: [w for w in said(log, "WARNING") if "trying again" in w], "a warning")
    with pytest.raises(NotHandled, match="not started yet"):
        daemon.handle(fedmsg_body("logger.first", {}, "bob"), wait=True)
    assert worker.is_alive()

    outage.end()
    worker.join(20)

    assert list(badges(served, "alice")) == ["first"]
    assert len([w for w in said(log, "WARNING") if "trying again" in w]) == 1
    assert said(log, "CRITICAL", "ERROR") == []


def test_a_stop_before_the_start_is_over_lets_nobody_hang(
    start: Start, served: Databases, log: pytest.LogCaptureFixture
) -> None:
    Outage(served.tahrir_url).begin()
    daemon = start(served)
    body = fedmsg_body("logger.first", {}, "alice") | {"msg_id": "2026-1"}
    worker = threading.Thread(target=daemon.handle, args=[body])
    worker.start()

    daemon.stop()
    worker.join(20)

    assert not worker.is_alive()
    assert "Stopping before '2026-1' could be handled" in said(log, "WARNING")


def test_what_turns_out_to_be_wrong_when_the_database_answers_is_critical(
    start: Start, served: Databases, log: pytest.LogCaptureFixture
) -> None:
    outage = Outage(served.datanommer_url)
    outage.begin()
    create_tahrir(served.tahrir_url)
    daemon = start(served, create_tables=False)

    outage.end()
    eventually(lambda: said(log, "CRITICAL"), "a critical line")

    assert daemon.prepared.exception(20) is not None
    daemon.handle(fedmsg_body("logger.first", {}, "alice"))


# The consumer


class Hub:
    """As much of a hub as a consumer sees that does not take part."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config


class BlockingHub(Hub):
    """As much of a hub as a consumer sees that is called by hand."""

    def subscribe(self, topic: str, callback: Any) -> None:
        """Subscribe to nothing."""

    def close(self) -> None:
        """Close nothing."""


def hub_config(databases: Databases, directory: Path, **keys: Any) -> dict[str, Any]:
    config = make_config(databases, directory) | {ENABLED: True}
    config |= {"zmq_enabled": True, "endpoints": {}, "validate_signatures": False}
    return config | {f"badges.{name}": value for name, value in keys.items()}


def test_mistakes_in_the_configuration_are_critical_lines(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    config = hub_config(
        Databases("sqlite", "sqlite://", "sqlite://"), tmp_path, consume_delay="soon"
    )
    config |= {"badges.delay_limit": -1}

    FedoraBadgesConsumer(Hub(config))

    first, second = said(log, "CRITICAL")
    assert "malformed key 'badges.consume_delay'" in first
    assert "malformed key 'badges.delay_limit'" in second
    assert said(log, "ERROR") == []


def test_missing_tables_are_one_critical_line(
    database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    for created in (lambda: create_history(engine(database.datanommer_url)), lambda: None):
        log.clear()
        FedoraBadgesConsumer(Hub(hub_config(database, tmp_path)))
        created()

        (line,) = said(log, "CRITICAL")
        assert line.startswith("Cannot start: ")
        assert line.endswith("; 'badges.create_tables': True makes the tables")


def test_where_tables_are_there_and_are_others_nothing_is_said_of_making_them(
    database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    create_history(engine(database.datanommer_url))
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE messages RENAME COLUMN agent_name TO actor"))

    FedoraBadgesConsumer(Hub(hub_config(database, tmp_path)))

    (line,) = said(log, "CRITICAL")
    assert "agent_name" in line
    assert "create_tables" not in line


@pytest.mark.parametrize("part", ["database", "username"])
def test_a_database_that_waiting_does_not_make_is_one_critical_line(
    served: Databases, part: str, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    url = engine(served.datanommer_url).url.set(**{part: "nobody_knows"})
    wrong = Databases("postgresql", served.tahrir_url, url.render_as_string(hide_password=False))

    FedoraBadgesConsumer(Hub(hub_config(wrong, tmp_path)))

    (line,) = said(log, "CRITICAL")
    assert line.startswith("Cannot start: datanommer: ")
    assert '"nobody_knows" does not exist' in line


def test_what_the_hub_stumbles_over_is_one_critical_line(
    database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    consumer = FedoraBadgesConsumer(Hub(hub_config(database, tmp_path, create_tables=True)))

    (line,) = said(log, "CRITICAL")
    assert line.startswith("Cannot take part in the hub: AttributeError(")
    assert consumer.prepared is None


def test_in_blocking_mode_the_hub_is_told_what_was_handled(
    served: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    write_rules(tmp_path / "rules", RULES)
    config = hub_config(served, tmp_path / "rules", create_tables=True, record_messages=True)
    consumer = FedoraBadgesConsumer(BlockingHub(config | {"moksha.blocking_mode": True}))
    handled: list[bool] = []

    def take() -> None:
        body = fedmsg_body("logger.first", {}, "alice")
        handled.append(consumer._consume({"topic": body["topic"], "body": body}))

    try:
        take()
        Outage(served.tahrir_url).begin()
        reactor_thread = threading.Thread(target=take)
        reactor_thread.start()
        eventually(lambda: [w for w in said(log, "WARNING") if "trying again" in w], "a warning")
        consumer.stop()
        reactor_thread.join(20)
    finally:
        consumer._daemon.stop()

    assert handled == [True, False]


def test_a_database_that_is_away_at_the_start_is_one_critical_line(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    away = Databases("sqlite", f"sqlite:///{tmp_path}/a/b.db", f"sqlite:///{tmp_path}/a/b.db")

    FedoraBadgesConsumer(Hub(hub_config(away, tmp_path)))

    (line,) = said(log, "CRITICAL")
    assert "unable to open database file" in line


def test_unknown_keys_are_warned_of(
    database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    config = hub_config(database, tmp_path, delay_limits=5)

    FedoraBadgesConsumer(Hub(config))

    assert "unknown key 'badges.delay_limits'" in said(log, "WARNING")[0]
