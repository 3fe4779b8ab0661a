"""Several daemons on one queue; daemons and brokers that die, databases that are away."""

import re
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from named_messages import named
from support.broker import Broker, BrokerBus, needs_broker
from support.bus import PREFIX
from support.daemon import THIS_MESSAGE
from support.databases import Databases, Postgresql, awards, tahrir
from support.fm_consumer import FmConsumer, FmDeployment
from support.hub import STOP_TIMEOUT
from support.outage import Outage
from support.random_stops import stop_at_random_moments
from support.rules import rule
from support.sizes import size
from support.tahrir import ranks
from support.waiting import TIMEOUT, eventually

pytestmark = [needs_broker, pytest.mark.slow]

RULES = {"mentioned": rule("Mentioned", f"trigger: {{topic: logger.mention}}\n{THIS_MESSAGE}")}


@pytest.fixture
def deployment(
    bus: BrokerBus, postgresql_database: Databases, tmp_path: Path
) -> Iterator[FmDeployment]:
    """Without a daemon yet."""
    with FmDeployment(tmp_path, postgresql_database, bus, RULES) as made:
        yield made


def people(count: int) -> list[str]:
    return [f"person{number}" for number in range(count)]


def mention(bus: BrokerBus, *names: str) -> None:
    bus.publish(*(named("logger.mention", {}, name) for name in names))


def wait_for_badges(deployment: FmDeployment, names: list[str]) -> None:
    """Wait until everybody has the badge, once, and it was announced."""
    expected = Counter((name, "mentioned") for name in names)

    def is_done() -> bool:
        return Counter(awards(deployment.databases)) == expected

    eventually(is_done, "all badges")
    eventually(lambda: set(names) <= announced(deployment.bus).keys(), "all notices")


def announced(bus: BrokerBus) -> Counter[str]:
    return Counter(each.body["user"]["username"] for each in bus.heard("badges.badge.award"))


def handled(daemon: FmConsumer) -> int:
    return len(
        daemon.lines_with(f"Successfully consumed message from topic {PREFIX}.logger.mention")
    )


def stop(daemon: FmConsumer) -> None:
    assert daemon.stop(signal.SIGTERM, STOP_TIMEOUT) == 0
    daemon.check_log()


def test_two_daemons_share_a_queue_whose_messages_are_sent_twice(deployment: FmDeployment) -> None:
    daemons = [deployment.make(), deployment.make()]
    names = people(100)
    for daemon in daemons:
        daemon.start()
    eventually(lambda: deployment.bus.consumers() == 2, "both listen")

    sent = [named("logger.mention", {}, name) for name in names]
    deployment.bus.publish(*sent, *sent[:10])

    wait_for_badges(deployment, names)
    eventually(lambda: sum(map(handled, daemons)) == 110, "all messages")
    assert all(handled(daemon) > 25 for daemon in daemons)
    assert max(announced(deployment.bus).values()) == 1
    for daemon in daemons:
        stop(daemon)


def has_ranks(deployment: FmDeployment, names: list[str]) -> bool:
    with tahrir(deployment.databases) as api:
        found = ranks(api)
    return all(found.get(name) is not None for name in names)


def test_what_a_killed_daemon_did_and_was_given_three_others_do(deployment: FmDeployment) -> None:
    killed = deployment.start(rank_interval=3600)
    first, *others = names = people(200)
    mention(deployment.bus, first)
    eventually(lambda: has_ranks(deployment, [first]), "a rank, which is its turn for an hour")
    alive = [deployment.make() for _ in range(3)]
    for daemon in alive:
        daemon.start()
    eventually(lambda: deployment.bus.consumers() == 4, "all listen")

    mention(deployment.bus, *others)
    eventually(lambda: handled(killed) > 10, "some messages")
    assert not has_ranks(deployment, others)
    killed.kill()

    wait_for_badges(deployment, names)
    eventually(lambda: has_ranks(deployment, names), "all ranks")
    for daemon in alive:
        assert handled(daemon)
        stop(daemon)


def test_broker_that_is_killed_and_comes_back_has_lost_nothing(
    deployment: FmDeployment, broker: Broker
) -> None:
    daemon = deployment.start()
    names = people(100)
    mention(deployment.bus, *names)
    eventually(lambda: handled(daemon) > 10, "some messages")

    broker.stop(signal.SIGKILL)
    broker.start()

    wait_for_badges(deployment, names)
    mention(deployment.bus, "late")
    wait_for_badges(deployment, [*names, "late"])
    assert daemon.stop(signal.SIGTERM, STOP_TIMEOUT) == 0


@pytest.mark.parametrize("database", ["tahrir_url", "datanommer_url"])
def test_daemon_waits_for_a_database_and_returns_nothing_meanwhile(
    deployment: FmDeployment, database: str
) -> None:
    outage = Outage(getattr(deployment.databases, database))
    outage.begin()
    daemon = deployment.make()
    try:
        mention(deployment.bus, "alice", "bob")
        daemon.start()
        daemon.wait_for_log("INFO", "Consuming message")
        daemon.wait_for_log("WARNING", "Waiting for an outage to end")
    finally:
        outage.end()
    wait_for_badges(deployment, ["alice", "bob"])
    outage.begin()
    try:
        mention(deployment.bus, "carol")
        eventually(
            lambda: len(daemon.logged("WARNING", "Waiting for an outage to end")) == 2,
            "the second outage",
        )
    finally:
        outage.end()
    wait_for_badges(deployment, ["alice", "bob", "carol"])

    assert handled(daemon) == 3
    assert not daemon.lines_with("Returning message")
    stop(daemon)


def test_stop_during_an_outage_returns_the_message_to_the_queue(deployment: FmDeployment) -> None:
    outage = Outage(deployment.databases.tahrir_url)
    outage.begin()
    try:
        daemon = deployment.make()
        mention(deployment.bus, "alice", "bob")
        daemon.start()
        daemon.wait_for_log("INFO", "Consuming message")
        stop(daemon)
        eventually(lambda: deployment.bus.waiting() == 2, "both messages in the queue")
    finally:
        outage.end()
    stop_after_badges(deployment, ["alice", "bob"])


def test_database_that_waiting_does_not_mend_ends_the_daemon_with_1(
    bus: BrokerBus, postgresql: Postgresql, postgresql_database: Databases, tmp_path: Path
) -> None:
    gone = replace(postgresql_database, tahrir_url=postgresql.create_database())
    Outage(gone.tahrir_url).begin()
    with FmDeployment(tmp_path, gone, bus, RULES) as deployment:
        daemon = deployment.make()
        daemon.start()
        daemon.wait_for_log("WARNING", "Waiting for an outage to end")
        postgresql.drop_database(gone.tahrir_url)

        assert daemon.exit_code() == 1
        assert daemon.logged("CRITICAL", "Cannot start")


def test_queue_that_is_deleted_ends_the_daemon_with_the_code_for_that(
    deployment: FmDeployment,
) -> None:
    daemon = deployment.start()
    eventually(deployment.bus.consumers, "the daemon listens")
    with deployment.bus.broker.channel() as channel:
        channel.queue_delete(deployment.bus.queue)

    assert daemon.exit_code() == 12


def test_daemon_stops_with_0_while_the_broker_does_not_answer(deployment: FmDeployment) -> None:
    daemon = deployment.make()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f'amqp_url = "amqp://127.0.0.1:{silent.getsockname()[1]}"'
        settings = daemon.settings_file.read_text()
        daemon.settings_file.write_text(re.sub(r'(?m)^"?amqp_url"? = .*$', url, settings))
        daemon.start()
        daemon.wait_until_started()
        silent.settimeout(TIMEOUT)
        connections = [silent.accept() for _ in range(2)]

        assert daemon.stop(signal.SIGTERM, STOP_TIMEOUT) == 0
    for connection, _ in connections:
        connection.close()


def test_daemons_stop_with_0_at_any_moment_and_lose_nothing(deployment: FmDeployment) -> None:
    """From the moment at which they handle the signal."""
    names = people(size(6, 50) * 20)

    def start() -> FmConsumer:
        daemon = deployment.make()
        daemon.start()
        return daemon

    def publish(number: int) -> None:
        mention(deployment.bus, *names[number * 20 : (number + 1) * 20])

    stop_at_random_moments(len(names) // 20, start, publish)

    stop_after_badges(deployment, names)


def stop_after_badges(deployment: FmDeployment, names: list[str]) -> None:
    daemon = deployment.start()
    wait_for_badges(deployment, names)
    stop(daemon)
