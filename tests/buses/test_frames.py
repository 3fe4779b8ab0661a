"""Frames of ZeroMQ: which are messages, and what is logged of the others."""

import types
from typing import Any

import pytest
from support import hostile

from fedbadges.buses.fedmsg import frames
from fedbadges.util.throttle import Throttle


class Connection:
    """A connection of the hub's, and what moksha hears of it."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, Any]] = []
        self.messageReceived: Any = None

    def gotMessage(self, body: Any, topic: Any) -> None:  # noqa: N802  txZMQ's name
        self.heard.append((topic, body))


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Connection:
    monkeypatch.setattr(frames, "_ignored", Throttle())
    made = Connection()
    extension = types.SimpleNamespace(subscriber_factories={"tcp://127.0.0.1:1": made})
    frames.guard(types.SimpleNamespace(extensions=[types.SimpleNamespace(), extension]))
    return made


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([b"a.b", b"{}"], ("a.b", "{}")),
        ([b"", b""], ("", "")),
        (["é".encode(), "ü".encode()], ("é", "ü")),
        ([b"a.b\0{}"], ("a.b", "{}")),
        ([b"a.b\0{}\0"], ("a.b", "{}\0")),
        ([b"a.b", b"x\0y"], ("a.b", "x\0y")),
        ([b"a", b"x" * (frames.MAX_BYTES - 1)], ("a", "x" * (frames.MAX_BYTES - 1))),
    ],
)
def test_two_parts_of_text_are_a_topic_and_a_body(
    connection: Connection, parts: list[bytes], message: tuple[str, str]
) -> None:
    connection.messageReceived(parts)

    assert connection.heard == [message]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([b""], "it has no topic and body"),
        ([b"a.b"], "it has no topic and body"),
        ([b"a.b\0x", b"y", b"z"], "it has no topic and body"),
        ([b"a.b", b"x" * frames.MAX_BYTES], "it has more than 16777216 bytes"),
        ([b"\xff", b"{}"], "it is not UTF-8"),
        ([b"a.b", b"\xed\xa0\x80"], "it is not UTF-8"),
    ],
)
def test_other_frames_are_ignored_with_a_line(
    connection: Connection, parts: list[bytes], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    connection.messageReceived(parts)

    assert connection.heard == []
    (line,) = caplog.messages
    size = sum(map(len, parts))
    assert line == (f'Ignored what is no message reason="{reason}" parts={len(parts)} bytes={size}')


def test_each_kind_is_logged_once_in_a_while(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        connection.messageReceived([b"x" * number])
        connection.messageReceived([b"x" * number, b"\xff"])

    assert len(caplog.messages) == 2


def test_a_topic_cannot_forge_a_line(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    frames.ignore("it is no object in JSON", topic=f"x\n{hostile.FORGED}")

    (line,) = caplog.messages
    assert "\n" not in line


def test_a_hub_without_zeromq_has_nothing_to_guard() -> None:
    frames.guard(types.SimpleNamespace(extensions=[types.SimpleNamespace()]))
    frames.guard(types.SimpleNamespace())
