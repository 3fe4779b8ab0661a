"""Messages of fedora-messaging in fedmsg's form, and notices as messages of tahrir's schemas."""

import datetime
import logging
from typing import Any

import pytest
import tahrir_messages
from fedora_messaging.message import Message
from named_messages import NamedMessage, named

from fedbadges.buses.fedora_messaging.messages import (
    body_of,
    message_of,
    packages_of,
    users_of,
)
from fedbadges.messages import Notice, parse_message

AWARD = {
    "badge": {"badge_id": "a", "name": "A", "description": "d", "image_url": "i"},
    "user": {"username": "alice", "badges_user_id": 1},
}
RANK: dict[str, Any] = {
    "person": {
        "bio": None,
        "email": "alice@example.org",
        "id": 1,
        "nickname": "alice",
        "rank": 2,
        "website": None,
    },
    "old_rank": None,
}


def test_message_has_the_form_that_rules_know() -> None:
    message = named("org.fedoraproject.prod.git.receive", {"commit": {"a": 1}}, "alice", "bob")
    message._headers["sent-at"] = "2026-11-27T03:00:00+00:00"

    body = body_of(message)

    assert body.pop("headers")["fedora_messaging_schema"] == "test.named"
    assert body == {
        "topic": "org.fedoraproject.prod.git.receive",
        "msg": {"commit": {"a": 1}},
        "msg_id": message.id,
        "timestamp": 1795748400,
        "i": 0,
        "username": "alice",
    }
    assert type(body["timestamp"]) is int


def test_names_are_those_of_the_schema() -> None:
    message = named("git.receive", {}, "alice", "bob", test_packages="guake")

    assert users_of(message) == {"alice", "bob"}
    assert packages_of(message) == {"guake"}


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        ("2026-11-27T03:00:00Z", datetime.datetime(2026, 11, 27, 3)),
        ("2026-11-27T03:00:00", datetime.datetime(2026, 11, 27, 3)),
        ("2026-11-27T05:00:00+02:00", datetime.datetime(2026, 11, 27, 3)),
        ("2026-11-27T03:00:00.25+00:00", datetime.datetime(2026, 11, 27, 3, microsecond=250_000)),
    ],
)
def test_header_says_when_a_message_was_sent(header: str, sent: datetime.datetime) -> None:
    message = named("logger.log")
    message._headers["sent-at"] = header.replace(".25+", ".250000+")

    parsed = parse_message(body_of(message))

    assert parsed is not None
    assert parsed.sent == sent


@pytest.mark.parametrize("header", [None, "", "yesterday", 5])
def test_message_that_does_not_say_when_has_no_timestamp(header: Any) -> None:
    message = named("logger.log")
    message._headers["sent-at"] = header

    assert "timestamp" not in body_of(message)


def test_headers_that_are_no_json_are_left_out() -> None:
    message = named("logger.log")
    message._headers.update(odd=b"\xff", when=datetime.datetime.now())  # type: ignore[arg-type]

    assert not {"odd", "when"} & body_of(message)["headers"].keys()


def test_schema_that_fails_names_nobody_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "fedbadges")
    message = named("logger.log", {}, "alice", test_broken="yes")

    assert users_of(message) == set()
    assert caplog.messages == [
        f"Schema of a message failed schema=NamedMessage asked=usernames msg_id={message.id} "
        "error=KeyError('users')"
    ]


@pytest.mark.parametrize("names", [None, "alice", 5, ["alice", None, 5, ""], {"alice": 1}])
def test_odd_names_of_a_schema_are_passed_over(names: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    message = named("logger.log")
    monkeypatch.setattr(NamedMessage, "usernames", names)

    assert users_of(message) <= {"alice"}


@pytest.mark.parametrize(
    ("topic", "body", "schema"),
    [
        ("badge.award", AWARD, tahrir_messages.BadgeAwardV1),
        ("badge.award", AWARD | {"by_hand": {"operator": "o"}}, tahrir_messages.BadgeAwardV1),
        ("person.rank.advance", RANK, tahrir_messages.PersonRankAdvanceV1),
    ],
)
def test_notice_is_a_message_of_the_schema_of_tahrir(
    topic: str, body: dict[str, Any], schema: type[Message]
) -> None:
    message = message_of(Notice(topic, body, "2026-1", 1_764_212_400))

    assert type(message) is schema
    assert message.topic == f"badges.{topic}" == schema.topic
    assert message.body == body
    assert message.usernames == ["alice"]
    assert message.id == "2026-1"
    assert message._headers["sent-at"] == "2025-11-27T03:00:00+00:00"


@pytest.mark.parametrize(("topic", "body"), [("badge.award", {}), ("badge.revoke", AWARD)])
def test_notice_that_no_schema_describes_goes_without(topic: str, body: dict[str, Any]) -> None:
    message = message_of(Notice(topic, body))

    message.validate()
    assert type(message) is Message
    assert (message.topic, message.body) == (f"badges.{topic}", body)
    assert message.id
