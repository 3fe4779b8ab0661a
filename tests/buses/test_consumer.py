"""The consumer before it joins a hub, and called by hand."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from moksha.hub.zeromq.zeromq import ZMQMessage
from support.builders import make_config
from support.bus import fedmsg_body
from support.databases import Databases
from support.outage import Outage
from support.rules import counting_rule, write_rules
from support.waiting import TIMEOUT, eventually

from fedbadges.config.settings import ENABLED
from fedbadges.consumers import FedoraBadgesConsumer
from fedbadges.databases.connections import engine
from fedbadges.history.schema import create_history
from fedbadges.service.daemon import Daemon

RULES = {"first": counting_rule("First", "logger.first", 1)}


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "fedbadges")
    return caplog


def said(log: pytest.LogCaptureFixture, *levels: str) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelname in levels]


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


def test_each_mistake_in_the_configuration_is_a_critical_line(
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


def test_missing_tables_are_one_critical_line_with_a_hint(
    empty_database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    for created in (lambda: create_history(engine(empty_database.datanommer_url)), lambda: None):
        log.clear()
        FedoraBadgesConsumer(Hub(hub_config(empty_database, tmp_path)))
        created()

        (line,) = said(log, "CRITICAL")
        assert line.startswith("Cannot start error=")
        assert line.endswith("; 'badges.create_tables': True makes the tables\"")


def test_wrong_tables_are_one_critical_line_without_the_hint(
    database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE messages RENAME COLUMN agent_name TO actor"))

    FedoraBadgesConsumer(Hub(hub_config(database, tmp_path)))

    (line,) = said(log, "CRITICAL")
    assert "agent_name" in line
    assert "create_tables" not in line


def test_older_schema_of_tahrir_is_one_critical_line_that_says_which(
    postgresql_database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    with engine(postgresql_database.tahrir_url).begin() as connection:
        connection.execute(sa.text("ALTER TABLE badges DROP COLUMN legacy"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '51261da641fb'"))

    FedoraBadgesConsumer(Hub(hub_config(postgresql_database, tmp_path)))

    (line,) = said(log, "CRITICAL")
    assert line.startswith(
        'Cannot start error="tahrir: the schema is that of tahrir-api 1.3 or 1.4'
    )
    assert "badges.legacy: run the migrations of tahrir-api, after a backup" in line


@pytest.mark.parametrize("part", ["database", "username"])
def test_missing_database_or_role_is_one_critical_line(
    postgresql_database: Databases, part: str, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    url = engine(postgresql_database.datanommer_url).url.set(**{part: "nobody_knows"})
    wrong = Databases(
        "postgresql", postgresql_database.tahrir_url, url.render_as_string(hide_password=False)
    )

    FedoraBadgesConsumer(Hub(hub_config(wrong, tmp_path)))

    (line,) = said(log, "CRITICAL")
    assert line.startswith('Cannot start error="datanommer: ')
    assert r"\"nobody_knows\" does not exist" in line


def test_failure_to_join_the_hub_is_one_critical_line(
    database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    consumer = FedoraBadgesConsumer(Hub(hub_config(database, tmp_path, create_tables=True)))

    (line,) = said(log, "CRITICAL")
    assert line.startswith("Cannot join the hub error=")
    assert consumer.started is None


def test_failure_to_join_the_hub_stops_the_daemon(
    database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemons: list[Daemon] = []

    class Recorded(Daemon):
        """A daemon that a test can find."""

        def start(self) -> None:
            super().start()
            daemons.append(self)

    monkeypatch.setattr("fedbadges.buses.fedmsg.consumer.Daemon", Recorded)

    FedoraBadgesConsumer(Hub(hub_config(database, tmp_path, create_tables=True)))

    (daemon,) = daemons
    assert daemon.started.exception(TIMEOUT) is None
    assert daemon.wait_until_stopped(0)


def test_blocking_mode_returns_whether_a_message_was_handled(
    postgresql_database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    write_rules(tmp_path / "rules", RULES)
    config = hub_config(
        postgresql_database, tmp_path / "rules", create_tables=True, record_messages=True
    )
    consumer = FedoraBadgesConsumer(BlockingHub(config | {"moksha.blocking_mode": True}))
    handled: list[bool] = []

    def take() -> None:
        body = fedmsg_body("logger.first", {}, "alice")
        handled.append(consumer._consume({"topic": body["topic"], "body": body}))

    try:
        take()
        Outage(postgresql_database.tahrir_url).begin()
        reactor_thread = threading.Thread(target=take)
        reactor_thread.start()
        eventually(lambda: [w for w in said(log, "WARNING") if "an outage" in w], "a warning")
        consumer.stop()
        reactor_thread.join(TIMEOUT)
    finally:
        consumer._daemon.stop()

    assert handled == [True, False]


STOMP = {
    "zmq_enabled": False,
    "stomp_uri": "127.0.0.1:61613",
    "stomp_queue": "/queue/badges",
    "stomp_ack_mode": "client-individual",
    "moksha.blocking_mode": True,
}


@pytest.mark.parametrize(
    ("changes", "is_whole"),
    [
        ({}, False),
        ({"stomp_queue": None}, True),
        ({"stomp_ack_mode": "auto"}, True),
        ({"moksha.blocking_mode": False}, True),
        ({"zmq_enabled": True}, True),
    ],
)
def test_only_what_no_queue_keeps_is_caught_up(
    sqlite_database: Databases, tmp_path: Path, changes: dict[str, Any], is_whole: bool
) -> None:
    write_rules(tmp_path / "rules", RULES)
    config = hub_config(sqlite_database, tmp_path / "rules") | STOMP | changes
    consumer = FedoraBadgesConsumer(BlockingHub(config))

    assert consumer._daemon.report()["catch_up"]["whole"] is is_whole
    consumer._daemon.stop()


def test_main_loop_that_handles_many_messages_at_once_does_not_hang(
    sqlite_database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats: list[Daemon] = []
    monkeypatch.setattr(Daemon, "beat", lambda daemon: beats.append(daemon))
    write_rules(tmp_path / "rules", RULES)
    config = hub_config(sqlite_database, tmp_path / "rules") | {"moksha.blocking_mode": True}
    consumer = FedoraBadgesConsumer(BlockingHub(config))
    try:
        before = len(beats)
        for _ in range(3):
            consumer.consume({"body": fedmsg_body("logger.first", {}, "alice")})
        assert len(beats) == before + 3
    finally:
        consumer.stop()
        consumer._daemon.stop()


def test_message_of_too_many_values_is_not_parsed(
    sqlite_database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    write_rules(tmp_path / "rules", RULES)
    config = hub_config(sqlite_database, tmp_path / "rules", record_messages=True)
    consumer = FedoraBadgesConsumer(BlockingHub(config | {"moksha.blocking_mode": True}))
    topic = "org.fedoraproject.dev.logger.first"

    def take(*values: str) -> bool | None:
        text = f'{{"topic": "{topic}", "username": "alice", "msg": [{",".join(values)}]}}'
        handled: bool | None = consumer._consume_json(ZMQMessage(topic, text))
        return handled

    try:
        assert take(*["0"] * 240_000)
        assert take(*["[]"] * 125_000) is None
        assert take(*["0"] * 250_000) is None
    finally:
        consumer._daemon.stop()

    assert said(log, "WARNING")[-1] == (
        f'Ignored what is no message reason="it has more than 250000 values" topic={topic}'
    )


def test_sqlite_file_that_cannot_be_opened_is_one_critical_line(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    away = Databases("sqlite", f"sqlite:///{tmp_path}/a/b.db", f"sqlite:///{tmp_path}/a/b.db")

    FedoraBadgesConsumer(Hub(hub_config(away, tmp_path)))

    (line,) = said(log, "CRITICAL")
    assert "unable to open database file" in line


def test_unknown_keys_are_logged_as_warnings(
    database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    config = hub_config(database, tmp_path, delay_limits=5)

    FedoraBadgesConsumer(Hub(config))

    assert "unknown key 'badges.delay_limits'" in said(log, "WARNING")[0]
