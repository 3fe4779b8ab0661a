"""From RabbitMQ by STOMP to the database and back, through a real ``fedmsg-hub``."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.broker import Broker, needs_broker
from support.databases import Postgresql
from support.hub import ENDS_WITHIN
from support.rules import counting_rule, rule
from support.stomp_hub import VIRTUAL_HOST, StompBus, StompDeployment, stomp_deployment
from support.waiting import eventually

pytestmark = needs_broker


@pytest.fixture(scope="module")
def virtual_host(broker: Broker) -> str:
    """Make what moksha asks for."""
    broker.control("add_vhost", VIRTUAL_HOST)
    broker.control("set_permissions", "-p", VIRTUAL_HOST, "guest", ".*", ".*", ".*")
    return VIRTUAL_HOST


@pytest.fixture
def bus(broker: Broker, virtual_host: str) -> StompBus:
    return StompBus(broker)


@pytest.fixture(scope="module")
def deployment(
    broker: Broker,
    virtual_host: str,
    postgresql: Postgresql,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[StompDeployment]:
    """With one hub, which all tests share."""
    bus = StompBus(broker)
    databases = postgresql.create_databases()
    rules = {
        "first": counting_rule("First Step", f"{bus.topics}.first", 1),
        "named": rule(
            "Named",
            f"""
trigger: {{topic: {bus.topics}.named}}
criteria:
  datanommer:
    filter: {{topics: ["%(topic)s"], msg_id: "%(msg_id)s"}}
    operation: count
    condition: {{equal to: 1}}
recipient: "%(msg.name)s"
""",
        ),
    }
    with stomp_deployment(tmp_path_factory.mktemp("stomp"), databases, bus, rules) as running:
        directory = running.directory
        running.settings["moksha.monitoring.socket"] = f"ipc://{directory}/monitoring.sock"
        hub = running.start()
        yield running
        assert hub.stop(signal.SIGTERM, ENDS_WITHIN) == 0
        hub.check_log()
        assert bus.waiting() == 0
    postgresql.drop_databases(databases)


def test_notice_of_an_award_is_sent_under_its_own_topic(deployment: StompDeployment) -> None:
    deployment.bus.publish(("named", {"name": "alice"}, "alice"))

    deployment.wait_for_badge("alice", "named")
    eventually(lambda: deployment.bus.awards("alice"), "the award")


def test_message_of_other_characters_than_ascii_is_handled_at_once(
    deployment: StompDeployment,
) -> None:
    deployment.bus.publish(("named", {"name": "bob", "title": "Žluťoučký kůň 🐎"}, "bob"))

    deployment.wait_for_badge("bob", "named")
