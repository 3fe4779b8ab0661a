"""Moving from fedmsg to a broker, as docs/brokers.rst says: one daemon on each bus for a while."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from named_messages import named
from support.broker import BrokerBus, needs_broker
from support.bus import Bus, fedmsg_body
from support.databases import Databases, awards, store_message
from support.deployment import make_hub, start, started, stop
from support.fm_consumer import FmDeployment
from support.hub import Hub
from support.rules import rule
from support.sizes import SEED, size
from support.waiting import eventually

pytestmark = [needs_broker, pytest.mark.slow]

NEEDED = 4

#: datanommer stores what is sent on either bus.
RECORDED = {"badges.record_messages": False}
RULES = {
    "mentioned": rule(
        "Mentioned",
        f"""
trigger: {{topic: logger.mention}}
criteria:
  datanommer:
    filter: {{topics: ["%(topic)s"], users: ["%(username)s"]}}
    operation: count
    condition: {{greater than or equal to: {NEEDED}}}
""",
    )
}


@pytest.fixture
def fedmsg_bus() -> Iterator[Bus]:
    made = Bus()
    yield made
    made.close()


@pytest.fixture
def old(fedmsg_bus: Bus, postgresql_database: Databases, tmp_path: Path) -> Iterator[Hub]:
    """The daemon on ZeroMQ; it was not started."""
    directory = tmp_path / "old"
    directory.mkdir()
    settings = {
        "badges.state_directory": str(directory / "state"),
        "badges.sweep_interval": 0.5,
        **RECORDED,
    }
    hub = make_hub(directory, postgresql_database, fedmsg_bus, RULES, settings)
    started.append(hub)
    yield hub
    hub.kill()
    started.remove(hub)


def test_nothing_is_lost_or_given_twice_while_applications_move(
    old: Hub, fedmsg_bus: Bus, bus: BrokerBus, postgresql_database: Databases, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    people = [f"person{number}" for number in range(size(20, 100))]
    messages = people * NEEDED
    chance.shuffle(messages)
    start(fedmsg_bus, old)
    with FmDeployment(tmp_path / "new", postgresql_database, bus, RULES, RECORDED) as deployment:
        new = deployment.start()
        for number, name in enumerate(messages):
            body = fedmsg_body("logger.mention", {}, name)
            # The further, the more applications have moved.
            if chance.random() < number / len(messages):
                message = named("logger.mention", {}, name)
                message.id = body["msg_id"]
                bus.publish(message)
            else:
                fedmsg_bus.send(body)
            store_message(postgresql_database, body, [name])
            if number == len(messages) // 2:
                old.kill()
                eventually(lambda: fedmsg_bus.hubs() == 0, "the old daemon is gone")
                start(fedmsg_bus, old)

        expected = Counter((name, "mentioned") for name in people)
        eventually(lambda: Counter(awards(postgresql_database)) == expected, "all badges")
        stop(fedmsg_bus, old)
        assert new.stop() == 0
    for daemon in (old, new):
        daemon.check_log()
