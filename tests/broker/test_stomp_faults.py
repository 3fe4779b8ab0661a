"""Several hubs on one queue by STOMP; databases, a broker and messages that are late or away."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.broker import Broker, needs_broker
from support.bus import fedmsg_body
from support.certificates import authority
from support.databases import Databases, awards, spoil, store_message, unspoil
from support.hub import STOP_TIMEOUT, Hub
from support.outage import Outage
from support.random_stops import stop_at_random_moments
from support.sizes import size
from support.stomp_hub import (
    VIRTUAL_HOST,
    StompBus,
    StompDeployment,
    names,
    rules_of,
)
from support.waiting import eventually

pytestmark = [needs_broker, pytest.mark.slow]


@pytest.fixture
def deployment(
    broker: Broker, postgresql_database: Databases, tmp_path: Path
) -> Iterator[StompDeployment]:
    """Without a hub yet."""
    bus = StompBus(broker)
    with StompDeployment(tmp_path, postgresql_database, bus, rules_of(bus)) as made:
        made.settings["moksha.monitoring.socket"] = f"ipc://{tmp_path}/monitoring.sock"
        yield made


def people(count: int) -> list[str]:
    return [f"person{number}" for number in range(count)]


def wait_for_badges(deployment: StompDeployment, users: list[str]) -> None:
    """Wait until everybody has the badge, once, and it was announced."""
    expected = sorted((user, "named") for user in users)
    eventually(lambda: awards(deployment.databases) == expected, "all badges")
    eventually(lambda: set(users) <= announced(deployment.bus), "all notices")


def announced(bus: StompBus) -> set[str]:
    return {each["msg"]["user"]["username"] for each in bus.heard() if "badge" in each["msg"]}


def test_two_hubs_share_a_backlog_some_of_which_was_sent_twice(deployment: StompDeployment) -> None:
    hubs = [deployment.make(), deployment.make()]
    users = people(150)
    for hub in hubs:
        hub.start()
    for hub in hubs:
        hub.wait_for_log("INFO", "Connected to the broker")

    # They come faster than they can be handled.
    sent = deployment.bus.publish(*names(deployment.bus, *users))
    with deployment.bus.channel() as channel:
        for body in sent[:10]:
            deployment.bus.send(channel, body["topic"], json.dumps(body).encode())

    wait_for_badges(deployment, users)
    eventually(lambda: deployment.bus.waiting() == 0, "what was sent twice")
    shares = [len(hub.logged("INFO", "Awarded badge")) for hub in hubs]
    assert sum(shares) == len(users)
    assert min(shares) >= len(users) / 3, shares


def test_what_a_killed_hub_and_a_stopped_one_were_given_two_others_handle(
    deployment: StompDeployment,
) -> None:
    users = people(150)
    hubs = [deployment.make() for _ in range(4)]
    for hub in hubs:
        hub.start()
    deployment.bus.publish(*names(deployment.bus, *users))
    for hub, number, code in zip(hubs, (signal.SIGKILL, signal.SIGTERM), (-9, 0), strict=False):
        eventually(lambda hub=hub: hub.logged("INFO", "Awarded badge"), "an award")  # type: ignore[misc]
        assert hub.stop(number) == code

    wait_for_badges(deployment, users)
    for hub in hubs[2:]:
        assert hub.stop(signal.SIGTERM, STOP_TIMEOUT) == 0


def test_hubs_stop_with_0_at_any_moment_and_lose_nothing(deployment: StompDeployment) -> None:
    users = people(size(6, 50) * 20)

    def start() -> Hub:
        hub = deployment.make()
        hub.start("fedmsg-badges")
        return hub

    def publish(number: int) -> None:
        own = users[number * 20 : (number + 1) * 20]
        deployment.bus.publish(*names(deployment.bus, *own))

    stop_at_random_moments(len(users) // 20, start, publish)

    deployment.start()
    wait_for_badges(deployment, users)


def test_database_that_is_away_at_the_start_is_waited_for(deployment: StompDeployment) -> None:
    bus, users = deployment.bus, people(20)
    bus.publish(*names(bus, *users))
    outage = Outage(deployment.databases.tahrir_url)
    outage.begin()
    try:
        hub = deployment.start()
        eventually(lambda: bus.waiting() == len(users) - 1, "one message is handled")
        code, output = hub.run("fedbadges", "status")
        assert (code, "waiting since" in output) == (2, True), output
        assert bus.waiting() == len(users) - 1
        assert len(hub.log().splitlines()) < 100
    finally:
        outage.end()

    wait_for_badges(deployment, users)
    assert hub.stop(signal.SIGTERM, STOP_TIMEOUT) == 0


def test_hub_that_waits_for_a_database_stops_and_returns_its_message(
    deployment: StompDeployment,
) -> None:
    bus, hub = deployment.bus, deployment.start()
    outage = Outage(deployment.databases.tahrir_url)
    outage.begin()
    try:
        bus.publish(*names(bus, "alice"))
        hub.wait_for_log("WARNING", "Waiting for an outage to end")
        assert hub.stop(signal.SIGTERM, STOP_TIMEOUT) == 0
        eventually(lambda: bus.waiting() == 1, "the message in the queue")
    finally:
        outage.end()

    deployment.start()
    wait_for_badges(deployment, ["alice"])


@pytest.mark.parametrize("command", ["fedmsg-hub", "fedmsg-badges"])
def test_refused_login_ends_the_process_with_an_error(
    deployment: StompDeployment, command: str
) -> None:
    deployment.settings["stomp_pass"] = "wrong"
    hub = deployment.make()
    hub.start(command)

    assert hub.exit_code() == 1
    (line,) = hub.logged("CRITICAL")
    assert "The broker refuses the daemon reason=" in line
    assert "Traceback" not in hub.log()


def test_late_message_holds_up_no_other_while_there_are_workers(
    deployment: StompDeployment,
) -> None:
    deployment.settings |= {"moksha.workers_per_consumer": 2, "badges.record_messages": False}
    hub = deployment.start(consume_delay=3600)

    (late,) = deployment.bus.publish(*names(deployment.bus, "late"))
    eventually(lambda: deployment.bus.waiting() == 0, "the late one is taken")
    for number in range(2):
        (body,) = deployment.bus.publish(*names(deployment.bus, f"person{number}"))
        store_message(deployment.databases, body)
        # The late one has none.
        wait_for_badges(deployment, people(number + 1))

    store_message(deployment.databases, late)
    wait_for_badges(deployment, ["late", *people(2)])
    assert hub.stop(signal.SIGTERM, STOP_TIMEOUT) == 0


def test_broker_that_is_away_is_reported_and_nothing_is_lost(
    deployment: StompDeployment, broker: Broker
) -> None:
    address = f"{VIRTUAL_HOST}:{broker.stomp_port}"
    # moksha tries again sooner, the more there are.
    deployment.settings["stomp_uri"] = ",".join([address] * 10)
    bus, hub = deployment.bus, deployment.start()
    users: list[str] = []
    for number in (signal.SIGTERM, signal.SIGKILL):
        more = [f"{number.name.lower()}{each}" for each in range(60)]
        users += more
        known = len(hub.logged("WARNING", "No connection to the broker"))
        bus.publish(*names(bus, *more))
        eventually(lambda more=more: hub.logged("INFO", "Awarded badge", more[5]), "some awards")  # type: ignore[misc]

        broker.stop(number)
        try:
            eventually(
                lambda known=known: hub.logged("WARNING", "No connection to the broker")[known:],  # type: ignore[misc]
                "it is noticed",
            )
            if number == signal.SIGTERM:
                code, output = hub.run("fedbadges", "status")
                assert (code, "no connection to the broker" in output) == (1, True), output
        finally:
            broker.start()
        wait_for_badges(deployment, users)
    assert hub.stop(signal.SIGTERM, STOP_TIMEOUT) == 0


def test_message_that_cannot_be_set_aside_is_a_dead_letter_of_the_broker(
    deployment: StompDeployment, broker: Broker
) -> None:
    bus, dead = deployment.bus, f"dead-{deployment.bus.topics}"
    definition = json.dumps({"dead-letter-exchange": "", "dead-letter-routing-key": dead})
    broker.control("set_policy", "-p", VIRTUAL_HOST, dead, f"^{bus.queue}$", definition)
    with bus.channel() as channel:
        channel.queue_declare(dead, durable=True)
    hub = deployment.start(state_directory=None)
    spoil(deployment.databases.tahrir_url, "assertions")
    try:
        (failed,) = bus.publish(*names(bus, "alice"))
        with bus.channel() as channel:
            _, _, body = eventually(
                lambda: (got := channel.basic_get(dead, auto_ack=True))[0] and got, "a dead letter"
            )
    finally:
        unspoil(deployment.databases.tahrir_url, "assertions")
    assert json.loads(body)["msg_id"] == failed["msg_id"]

    bus.publish(*names(bus, "bob"))
    wait_for_badges(deployment, ["bob"])
    assert hub.stop(signal.SIGTERM, STOP_TIMEOUT) == 0


def test_signatures_are_verified(deployment: StompDeployment, tmp_path: Path) -> None:
    ca, bus = authority(), deployment.bus
    (tmp_path / "ca.crt").write_bytes(ca.pem)
    (tmp_path / "crl.pem").write_bytes(ca.revoking())
    deployment.settings |= {
        "validate_signatures": True,
        "ca_cert_location": str(tmp_path / "ca.crt"),
        "crl_location": str(tmp_path / "crl.pem"),
    }
    hub = deployment.start()
    signed = ca.issue("app01").signed(fedmsg_body(f"{bus.topics}.named", {"name": "alice"}))

    bus.publish(*names(bus, "mallory"))
    with bus.channel() as channel:
        bus.send(channel, signed["topic"], json.dumps(signed).encode())

    wait_for_badges(deployment, ["alice"])
    assert hub.stop(signal.SIGTERM, STOP_TIMEOUT) == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"badges.reload": 1}, os.EX_CONFIG), ({"badges.create_tables": False}, 1)],
)
def test_shared_hub_that_cannot_award_badges_leaves_the_queue_alone(
    broker: Broker, empty_database: Databases, tmp_path: Path, changes: dict[str, object], code: int
) -> None:
    bus = StompBus(broker)
    changes = {"fedmsg.consumers.dummy.enabled": True} | changes
    with StompDeployment(tmp_path, empty_database, bus, rules_of(bus), changes) as made:
        bus.publish(*names(bus, "alice"))
        hub = made.make()
        hub.start()

        assert hub.exit_code() == code
        assert bus.waiting() == 1
        assert "Traceback" not in hub.log()
