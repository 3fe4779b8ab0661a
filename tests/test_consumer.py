"""The daemon without its hub, and what the consumer does before it takes part."""

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
from support.databases import Databases, Postgresql, badges, store_message
from support.rules import counting_rule, rule, write_rules
from support.waiting import eventually

from fedbadges.consumers import FedoraBadgesConsumer
from fedbadges.daemon import Daemon
from fedbadges.databases import engine
from fedbadges.settings import ENABLED, read_settings

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
        daemon = Daemon(settings)
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


class Outage:
    """Lets nobody connect to a database, and again everybody."""

    def __init__(self, url: str) -> None:
        self._name = sa.make_url(url).database
        self._server = sa.create_engine(
            engine(url).url.set(database="postgres"),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
        )

    def begin(self) -> None:
        self._execute(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        self._execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"  # noqa: S608
            f" WHERE datname = '{self._name}'"
        )

    def end(self) -> None:
        self._execute(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")

    def _execute(self, statement: str) -> None:
        with self._server.connect() as connection:
            connection.execute(sa.text(statement))


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
    outage.begin()
    log.clear()

    thread = threading.Thread(
        target=lambda: daemon.handle(fedmsg_body("logger.first", {}, "alice"))
    )
    thread.start()
    eventually(lambda: said(log, "WARNING"), "a warning")
    outage.end()
    thread.join(20)

    assert list(badges(served, "alice")) == ["first"]
    assert len(said(log, "WARNING")) == 1
    assert "Everything answers again; going on" in said(log, "INFO")


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


# The consumer


class Hub:
    """As much of a hub as a consumer sees that does not take part."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config


def test_mistakes_in_the_configuration_are_critical_lines(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    config = make_config(Databases("sqlite", "sqlite://", "sqlite://"), tmp_path)
    config |= {ENABLED: True, "badges.consume_delay": "soon", "badges.delay_limit": -1}

    FedoraBadgesConsumer(Hub(config))

    first, second = said(log, "CRITICAL")
    assert "malformed key 'badges.consume_delay'" in first
    assert "malformed key 'badges.delay_limit'" in second
    assert said(log, "ERROR") == []


def test_missing_tables_are_one_critical_line(
    database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    FedoraBadgesConsumer(Hub(make_config(database, tmp_path) | {ENABLED: True}))

    (line,) = said(log, "CRITICAL")
    assert line.startswith("Cannot start: ")
    assert "badges.create_tables" in line


def test_a_database_that_is_away_at_the_start_is_one_critical_line(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    away = Databases("sqlite", f"sqlite:///{tmp_path}/a/b.db", f"sqlite:///{tmp_path}/a/b.db")

    FedoraBadgesConsumer(Hub(make_config(away, tmp_path) | {ENABLED: True}))

    (line,) = said(log, "CRITICAL")
    assert "unable to open database file" in line


def test_unknown_keys_are_warned_of(
    database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    config = make_config(database, tmp_path) | {ENABLED: True, "badges.delay_limits": 5}

    FedoraBadgesConsumer(Hub(config))

    assert "unknown key 'badges.delay_limits'" in said(log, "WARNING")[0]
