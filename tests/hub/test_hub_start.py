"""Starting: the first award, the rules' metadata, the command, and wrong settings."""

import os
import signal
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.bus import Bus, fedmsg_body
from support.databases import (
    PASSWORD,
    Databases,
    Postgresql,
    empty_sqlite_databases,
    store_message,
    tahrir,
)
from support.deployment import make_hub, run_deployment, run_hubs, start, started, stop
from support.hub import LOGGING, Hub, default_settings
from support.outage import Outage
from support.rules import counting_rule, rule, write_rules
from support.waiting import eventually

from fedbadges.databases.connections import engine
from fedbadges.history.schema import create_history

COMMANDS = ["fedmsg-hub", pytest.param("fedmsg-badges", marks=pytest.mark.slow)]
FIRST = {"first": counting_rule("First Step", "logger.first", 1)}


def test_fedmsg_badges_creates_the_tables_and_runs_no_other_consumer(tmp_path: Path) -> None:
    databases = empty_sqlite_databases(tmp_path)
    settings = {
        "badges.create_tables": True,
        "fedmsg.consumers.dummy.enabled": True,
        "badges.email_domain": "people.example.org",
        # Then Python disables the loggers that exist when fedmsg configures logging.
        "logging": {
            key: value for key, value in LOGGING.items() if key != "disable_existing_loggers"
        },
    }
    with run_deployment(
        tmp_path / "hub", databases, FIRST, settings, command="fedmsg-badges"
    ) as deployment:
        deployment.publish("logger.first", username="ann")
        deployment.wait_for_badge("ann", "first-step")

        deployment.hub.wait_for_log("INFO", "Awarded badge", "user=ann")
        assert "DummyConsumer" not in deployment.hub.log()
        assert "unknown key" not in deployment.hub.log()
    with tahrir(databases) as persons:
        assert persons.get_person(nickname="ann").email == "ann@people.example.org"


@pytest.mark.slow
def test_after_a_restart_changed_badge_metadata_is_in_tahrir_and_only_what_is_new_is_counted(
    sqlite_database: Databases, tmp_path: Path
) -> None:
    def described(description: str, image: str) -> dict[str, str]:
        body = FIRST["first"].partition("\ntrigger:")
        first = rule("First Step", "".join(body[1:]), description, image)
        return {"first": first, "fifth": counting_rule("Fifth Step", "logger.first", 5)}

    def badge() -> tuple[str, str]:
        with tahrir(sqlite_database) as badges:
            found = badges.get_badge("first-step")
            return found and (found.description, found.image)

    old = ("Walked", "https://badges.example.org/pngs/old.png")
    new = ("Walked a little", "https://badges.example.org/pngs/new.png")
    settings = {"badges.reload": False, "badges.state_directory": str(tmp_path / "state")}
    for _ in range(3):
        message = fedmsg_body("logger.first", {}, "ann") | {"timestamp": time.time() - 3600}
        store_message(sqlite_database, message, ["ann"])
    with run_deployment(tmp_path / "hub", sqlite_database, described(*old), settings) as deployment:
        deployment.publish("logger.first", username="ann")
        deployment.wait_for_badge("ann", "first-step")
        assert badge() == old

        write_rules(tmp_path / "hub" / "rules", described(*new))
        stop(deployment.bus, deployment.hub)
        # Whoever counted these again would find fewer.
        with engine(sqlite_database.datanommer_url).begin() as connection:
            connection.execute(sa.text("DELETE FROM messages WHERE id < 3"))
        start(deployment.bus, deployment.hub)

        eventually(lambda: badge() == new, "the new description and image in tahrir")
        assert deployment.badges("ann").keys() == {"first-step"}
        deployment.publish("logger.first", username="ann")
        deployment.wait_for_badge("ann", "fifth-step")


@pytest.fixture
def bus() -> Iterator[Bus]:
    bus = Bus()
    yield bus
    bus.close()


@pytest.fixture
def settings(bus: Bus, sqlite_database: Databases, tmp_path: Path) -> dict[str, object]:
    write_rules(tmp_path / "rules", FIRST)
    return default_settings(sqlite_database, bus, tmp_path / "rules")


@pytest.fixture
def hub(settings: dict[str, object], tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path / "hub", settings)
    started.append(hub)
    yield hub
    hub.kill()
    started.remove(hub)


MALFORMED = {
    "badges.consume_delay": "soon",
    "badges.delay_limit": -1,
    "badges.record_messages": "perhaps",
    "badges.banned_usernames": 7,
    "badges.yaml.directory": "/nowhere/at/all",
    "datanommer.sqlalchemy.url": "no url",
    "fedbadges.datagrepper_url": "no address",
}


REQUIRED = ["badges_global", "badges.yaml.directory", "datanommer.sqlalchemy.url"]


def test_fedmsg_badges_exits_with_a_line_for_each_malformed_setting(
    hub: Hub, settings: dict[str, object]
) -> None:
    hub.configure(settings | MALFORMED)

    hub.start("fedmsg-badges")

    assert hub.exit_code() > 0
    for key in MALFORMED:
        (line,) = hub.lines_with(key)
        assert hub.location_of(key) in line
    assert not hub.lines_with("Traceback")


@pytest.mark.slow
def test_retry_failed_without_a_state_directory_is_an_error(
    hub: Hub, settings: dict[str, object]
) -> None:
    hub.configure(settings)

    code, said = hub.run("fedmsg-badges", "--retry-failed")

    assert code == 78
    assert "'badges.state_directory' is not set" in said


@pytest.mark.slow
def test_fedmsg_badges_exits_with_a_line_for_each_missing_setting(
    hub: Hub, settings: dict[str, object]
) -> None:
    hub.configure({key: value for key, value in settings.items() if key not in REQUIRED})

    hub.start("fedmsg-badges")

    assert hub.exit_code() > 0
    for key in REQUIRED:
        assert len(hub.lines_with(key)) == 1
    assert not hub.lines_with("Traceback")


@pytest.mark.slow
def test_shared_hub_keeps_running_with_a_malformed_setting(
    hub: Hub, bus: Bus, settings: dict[str, object]
) -> None:
    key = "badges.consume_delay"
    hub.configure(settings | {key: "soon", "fedmsg.consumers.dummy.enabled": True})

    hub.start()

    hub.wait_for_log("CRITICAL", key, hub.location_of(key))
    hub.wait_for_log("INFO", "Running the MokshaHub reactor")
    # Another consumer of this hub hears the bus.
    eventually(lambda: bus.hubs() == 1, "the hub listens to the bus")
    assert hub.running()


@pytest.mark.slow
@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"postgresql://daemon:{PASSWORD}@127.0.0.1:1/tahrir", id="unreachable"),
        pytest.param(f"postgresql://daemon:{PASSWORD}@127.0.0.1:port/tahrir", id="malformed"),
    ],
)
@pytest.mark.parametrize("command", ["fedmsg-hub", "fedmsg-badges"])
def test_database_password_is_not_logged_if_the_database_cannot_be_used(
    hub: Hub, settings: dict[str, object], url: str, command: str
) -> None:
    both = {
        "badges_global": settings["badges_global"] | {"database_uri": url},
        "datanommer.sqlalchemy.url": url,
    }
    hub.configure(settings | both)

    hub.start(command)

    eventually(
        lambda: (
            not hub.running()
            or hub.logged("WARNING", "Waiting for an outage")
            or hub.logged("ERROR")
            or hub.logged("CRITICAL")
        ),
        "the daemon notices",
    )
    assert PASSWORD not in hub.log()


@pytest.mark.slow
def test_misspelt_key_is_logged_with_the_key_that_was_meant(
    hub: Hub, settings: dict[str, object]
) -> None:
    hub.configure(settings | {"badges.consume_dely": 1})

    hub.start()

    misspelt = hub.wait_for_log("WARNING", "badges.consume_dely", "'badges.consume_delay'")
    assert hub.location_of("badges.consume_dely") in misspelt


OTHER_PLUGINS = {each.name for each in entry_points(group="fedmsg.meta")} - {"announce", "logger"}


@pytest.mark.slow
@pytest.mark.skipif(bool(OTHER_PLUGINS), reason="plugins of fedmsg.meta are installed")
def test_rule_without_candidates_for_lack_of_a_plugin_is_logged(
    hub: Hub, settings: dict[str, object], tmp_path: Path
) -> None:
    write_rules(
        tmp_path / "rules", {"nobody": counting_rule("Nobody Knows Whom", "git.receive", 1)}
    )

    hub.start()

    assert "first-step" not in hub.wait_for_log("WARNING", "nobody-knows-whom")


OF_FEDMSG = ["zmq_enabled", "endpoints", "validate_signatures"]


@pytest.mark.slow
@pytest.mark.parametrize("key", OF_FEDMSG)
def test_fedmsg_badges_exits_without_a_key_that_fedmsg_requires(
    hub: Hub, settings: dict[str, object], key: str
) -> None:
    rest = {name: value for name, value in settings.items() if name != key}
    hub.configure(rest | {"disable_defaults": True})

    hub.start("fedmsg-badges")

    assert hub.exit_code() > 0
    assert not hub.lines_with("Traceback")


@pytest.mark.slow
def test_fedmsg_badges_says_what_it_needs_without_endpoints_on_another_bus(
    hub: Hub, settings: dict[str, object]
) -> None:
    rest = {name: value for name, value in settings.items() if name != "endpoints"}
    hub.configure(rest | {"zmq_enabled": False, "stomp_uri": "127.0.0.1:1"})

    hub.start("fedmsg-badges")

    assert hub.exit_code() == os.EX_CONFIG
    line = "No config value 'endpoints' found; on another bus than ZeroMQ it may be {}"
    assert hub.lines_with(line)


@pytest.mark.parametrize("command", COMMANDS)
def test_start_waits_for_a_database_that_is_away(
    postgresql_database: Databases, tmp_path: Path, command: str
) -> None:
    outage = Outage(postgresql_database.tahrir_url)
    outage.begin()
    bus = Bus()
    hub = make_hub(tmp_path / "hub", postgresql_database, bus, FIRST)
    try:
        with run_hubs(bus, hub, command=command):
            bus.publish("logger.first", username="ann")
            hub.wait_for_log("WARNING", "tahrir", "Waiting for an outage")
            outage.end()
            bus.wait_for_award("ann", "first-step")
    finally:
        bus.close()


@pytest.mark.slow
@pytest.mark.parametrize("blocking", [False, True])
def test_hub_stops_during_a_database_outage(
    postgresql_database: Databases, tmp_path: Path, blocking: bool
) -> None:
    bus = Bus()
    hub = make_hub(
        tmp_path / "hub", postgresql_database, bus, FIRST, {"moksha.blocking_mode": blocking}
    )
    try:
        start(bus, hub)
        Outage(postgresql_database.datanommer_url).begin()
        message = bus.publish("logger.first", username="ann")
        hub.wait_for_log("WARNING", "datanommer", "Waiting for an outage")

        assert hub.stop() == 0

        assert hub.logged(
            "WARNING", f"Stopping before a message was handled msg_id={message['msg_id']}"
        )
    finally:
        hub.kill()
        bus.close()


@pytest.mark.slow
def test_fedmsg_badges_exits_if_the_database_it_waited_for_has_no_tables(
    postgresql: Postgresql, tmp_path: Path
) -> None:
    databases = postgresql.create_empty_databases()
    outage = Outage(databases.tahrir_url)
    outage.begin()
    bus = Bus()
    hub = make_hub(
        tmp_path / "hub",
        databases,
        bus,
        FIRST,
        {"datanommer.sqlalchemy.url": f"sqlite:///{tmp_path}/d"},
    )
    create_history(engine(f"sqlite:///{tmp_path}/d"))
    try:
        start(bus, hub, command="fedmsg-badges")
        hub.wait_for_log("WARNING", "tahrir", "Waiting for an outage")
        outage.end()

        assert hub.exit_code() == 1

        assert hub.logged("CRITICAL", "Cannot start", "badges.create_tables")
        assert not hub.lines_with("Traceback")
    finally:
        hub.kill()
        bus.close()
        postgresql.drop_databases(databases)


@pytest.mark.parametrize("command", COMMANDS)
def test_idle_daemon_exits_with_0_on_sigint(hub: Hub, bus: Bus, command: str) -> None:
    start(bus, hub, command=command)

    assert hub.stop(signal.SIGINT) == 0

    hub.check_log()
