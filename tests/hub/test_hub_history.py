"""A datanommer that another process writes: how long the daemon waits for a message there."""

import time
from collections.abc import Iterator

import pytest
from support.bus import fedmsg_body
from support.databases import Databases, store_message
from support.deployment import Deployment, run_deployment
from support.rules import counting_rule

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]

LATE = 0.5

LIMIT = 20
"""Messages in the backlog above which nobody waits."""

RULES = {
    "twice": counting_rule("Twice", "logger.twice", 2),
    "once": counting_rule("Once", "logger.once", 1),
}


@pytest.fixture(scope="module")
def patient(
    shared_database: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    yield from _run(shared_database, tmp_path_factory, consume_delay=60)


@pytest.fixture(scope="module")
def impatient(
    shared_database: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    yield from _run(shared_database, tmp_path_factory, consume_delay=LATE)


def _run(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, consume_delay: float
) -> Iterator[Deployment]:
    settings = {
        "badges.record_messages": False,
        "badges.create_tables": False,
        "badges.consume_delay": consume_delay,
        "badges.delay_limit": LIMIT,
    }
    with run_deployment(tmp_path_factory.mktemp("hub"), databases, RULES, settings) as running:
        yield running


def test_message_stored_late_is_counted_and_delays_no_other(
    patient: Deployment,
) -> None:
    databases = patient.databases
    store_message(databases, fedmsg_body("logger.twice", {}, "ann"), ["ann"])
    other = fedmsg_body("logger.once", {}, "bea")
    store_message(databases, other, ["bea"])

    late = patient.publish("logger.twice", username="ann")
    published = time.monotonic()
    patient.bus.send(other)
    patient.wait_for_badge("bea", "once")
    assert patient.badges("ann") == {}

    time.sleep(max(0, published + LATE - time.monotonic()))
    store_message(databases, late, ["ann"])

    assert late["msg_id"] in patient.wait_for_badge("ann", "twice")


def test_message_is_counted_once_in_its_own_criteria(patient: Deployment) -> None:
    lonely = patient.publish("logger.twice", username="cleo")
    store_message(patient.databases, lonely, ["cleo"])
    after = patient.publish("logger.once", username="dora")
    store_message(patient.databases, after, ["dora"])

    patient.wait_for_badge("dora", "once")

    assert patient.badges("cleo") == {}


def test_messages_do_not_wait_for_datanommer_above_delay_limit(patient: Deployment) -> None:
    for _ in range(2):
        store_message(patient.databases, fedmsg_body("logger.twice", {}, "hal"), ["hal"])

    for _ in range(LIMIT + 1):
        patient.publish("logger.twice", username="hal")

    patient.wait_for_badge("hal", "twice")


def test_message_never_stored_is_decided_by_those_that_are(impatient: Deployment) -> None:
    for _ in range(2):
        store_message(impatient.databases, fedmsg_body("logger.twice", {}, "eve"), ["eve"])

    never_stored = impatient.publish("logger.twice", username="eve")

    assert never_stored["msg_id"] in impatient.wait_for_badge("eve", "twice")


def test_message_never_stored_does_not_count_itself(impatient: Deployment) -> None:
    impatient.publish("logger.once", username="fay")
    store_message(impatient.databases, fedmsg_body("logger.once", {}, "gus"), ["gus"])
    impatient.publish("logger.once", username="gus")

    impatient.wait_for_badge("gus", "once")

    assert impatient.badges("fay") == {}


def test_missing_messages_are_logged_once_not_for_each(impatient: Deployment) -> None:
    for username in ("jan", "kim"):
        store_message(impatient.databases, fedmsg_body("logger.once", {}, username), [username])
    impatient.publish("logger.once", username="jan")
    impatient.wait_for_badge("jan", "once")
    said = not_stored_in_time(impatient)
    assert said

    impatient.publish("logger.once", username="kim")
    impatient.wait_for_badge("kim", "once")

    assert not_stored_in_time(impatient) == said


def not_stored_in_time(deployment: Deployment) -> list[str]:
    return deployment.hub.logged("WARNING", "fedbadges.service.delay_queue")
