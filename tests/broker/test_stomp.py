"""From RabbitMQ by STOMP to the database and back, through real hubs."""

import signal
from collections.abc import Iterator

import pytest
from support.broker import Broker, needs_broker
from support.bus import PREFIX
from support.databases import Postgresql
from support.hub import STOP_TIMEOUT
from support.stomp_hub import StompBus, StompDeployment, names, rules_of
from support.waiting import eventually

pytestmark = needs_broker


@pytest.fixture(scope="module")
def deployment(
    broker: Broker,
    postgresql: Postgresql,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[StompDeployment]:
    """With one hub, which all tests share."""
    bus = StompBus(broker)
    databases = postgresql.create_databases()
    directory = tmp_path_factory.mktemp("stomp")
    with StompDeployment(directory, databases, bus, rules_of(bus)) as running:
        running.settings["moksha.monitoring.socket"] = f"ipc://{directory}/monitoring.sock"
        hub = running.start("fedmsg-badges")
        yield running
        assert hub.stop(signal.SIGTERM, STOP_TIMEOUT) == 0
        hub.check_log()
        assert bus.waiting() == 0
    postgresql.drop_databases(databases)


def test_notice_of_an_award_is_sent_under_its_own_topic(deployment: StompDeployment) -> None:
    deployment.bus.publish(*names(deployment.bus, "alice"))

    deployment.wait_for_badge("alice", "named")
    (award,) = eventually(lambda: deployment.bus.awards("alice"), "the award")
    assert award["topic"] == f"{PREFIX}.fedbadges.badge.award"


def test_message_of_other_characters_than_ascii_is_handled_at_once(
    deployment: StompDeployment,
) -> None:
    msg = {"name": "bob", "title": "Žluťoučký kůň 🐎"}
    deployment.bus.publish(("named", msg, "bob"))

    deployment.wait_for_badge("bob", "named")


def test_what_is_no_message_does_not_come_again(deployment: StompDeployment) -> None:
    bus = deployment.bus
    with bus.channel() as channel:
        for body in (b"{", b"[1]", b"\xff", b""):
            bus.send(channel, f"{PREFIX}.{bus.topics}.named", body)
    bus.publish(*names(bus, "carol"))

    deployment.wait_for_badge("carol", "named")
    eventually(lambda: bus.waiting() == 0, "an empty queue")


def test_message_of_too_many_values_does_not_come_again(deployment: StompDeployment) -> None:
    bus, (hub,) = deployment.bus, deployment.daemons
    with bus.channel() as channel:
        bus.send(channel, f"{PREFIX}.{bus.topics}.named", b"[" + b"0," * 300_000 + b"0]")

    hub.wait_for_log("WARNING", "Ignored what is no message", "more than 250000 values")
    bus.publish(*names(bus, "dave"))
    deployment.wait_for_badge("dave", "named")


def test_status_says_that_all_is_well(deployment: StompDeployment) -> None:
    (hub,) = deployment.daemons

    code, output = hub.run("fedbadges", "status")

    assert code == 0, output
    assert "not needed, as the broker delivers what was not handled" in output


def test_award_by_hand_is_published_by_the_hub(deployment: StompDeployment) -> None:
    (hub,) = deployment.daemons
    command = ("award", "erin", "named", "--create", "--reason", "r")

    code, output = hub.run("fedbadges", *command)

    assert code == 0, output
    (award,) = eventually(lambda: deployment.bus.awards("erin"), "the award")
    assert award["msg"]["by_hand"]["reason"] == "r"
