"""What arrives by ZeroMQ and is no message: a line of each kind, and the hub goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import hostile
from support.bus import PREFIX
from support.databases import sqlite_databases
from support.deployment import Deployment, run_deployment
from support.rules import counting_rule

TOPIC = f"{PREFIX}.logger.first".encode()
BODY = b'{"topic": "%s", "msg": {}, "username": "mallory"}' % TOPIC

IGNORED = {
    "it has no topic and body": [(TOPIC,), (b"",), (TOPIC, BODY, BODY), (TOPIC, *[BODY] * 9)],
    "it is not UTF-8": [
        (TOPIC + b"\xff", BODY),
        (b"\x80\x81", BODY),
        (TOPIC, BODY[:-1] + b', "x": "\xff"}'),
        (TOPIC, "é".encode()[:1]),
        (TOPIC, BODY.decode().encode("utf-16")),
    ],
    "it is no object in JSON": [
        (TOPIC, b""),
        (b"", b""),
        (TOPIC, b"{"),
        (TOPIC, b"null"),
        (TOPIC, b"7"),
        (TOPIC, b'"text"'),
        (TOPIC, b'{"topic": "x", "msg": %s}' % (b"9" * 5_000)),
        (TOPIC + b"\n" + hostile.FORGED.encode(), b"x"),
    ],
    "it is nested more than 500 deep": [
        (TOPIC, b"[" * 100_000),
        (TOPIC, BODY.replace(b"{}", b'{"a": ' * 499 + b"{}" + b"}" * 499)),
    ],
    "it has more than 250000 values": [
        (TOPIC, b'{"topic": "%s", "username": "mallory", "msg": [%s0]}' % (TOPIC, b"[]," * 250_000))
    ],
    "it has more than 16777216 bytes": [(TOPIC, b"x" * 17_000_000)],
}


@pytest.fixture(scope="module", params=["fedmsg-badges", "fedmsg-hub"])
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    directory: Path = tmp_path_factory.mktemp("hub")
    rules = {"first": counting_rule("First", "logger.first", 1)}
    databases = sqlite_databases(directory)
    # Its end checks that there is no traceback in the log.
    with run_deployment(directory, databases, rules, command=request.param) as running:
        yield running


@pytest.mark.slow
def test_what_is_no_message_is_one_line_of_each_kind(deployment: Deployment) -> None:
    for _ in range(3):
        for kind in IGNORED.values():
            for parts in kind:
                deployment.bus.send_parts(*parts)
    deployment.publish("logger.first", {}, "ann")

    deployment.wait_for_badge("ann", "first")

    lines = deployment.hub.logged("WARNING", "Ignored what is no message")
    assert sorted(line.split('"')[1] for line in lines) == sorted(IGNORED)
    assert not deployment.badges("mallory")
    assert "Unhandled Error" not in deployment.hub.log()
    assert not [
        line for line in deployment.hub.log().splitlines() if line.startswith(hostile.FORGED)
    ]
    deployment.hub.check_log()


@pytest.mark.slow
def test_a_message_in_one_part_is_heard_as_before(deployment: Deployment) -> None:
    """txZMQ's own publisher puts the topic in front of the body."""
    deployment.bus.send_parts(TOPIC + b"\0" + BODY.replace(b"mallory", b"bob"))

    deployment.wait_for_badge("bob", "first")
