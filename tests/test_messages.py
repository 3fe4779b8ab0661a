"""What comes from the bus, read once."""

import datetime
import time
from typing import Any

import pytest
from datanommer.models import Message as Row
from support.builders import make_message

from fedbadges.messages import KnownNames, Message, MessageValues, category_of, parse_message

TOPIC = "org.fedoraproject.prod.git.receive"
HUGE = 10**400


@pytest.mark.parametrize(
    "body",
    [
        None,
        "text",
        [],
        {},
        {"topic": None},
        {"topic": ""},
        {"topic": 5},
        {"topic": ["a"]},
        {"topic": "a.b.c.\x00"},
        {"topic": "a.b.c.\ud800"},
        {"topic": "a" * 257},
    ],
)
def test_body_without_usable_topic_is_no_message(body: Any) -> None:
    assert parse_message(body) is None


def test_a_message_keeps_its_whole_body() -> None:
    body = {"topic": TOPIC, "msg": {"a": 1}, "msg_id": "2026-1", "i": 3}

    message = parse_message(body)

    assert message is not None
    assert message.topic == TOPIC
    assert message.msg_id == "2026-1"
    assert message.body == body


@pytest.mark.parametrize("odd", [None, "", 5, [], {}, "a\x00b", "\ud800", "x" * 257])
def test_msg_id_that_no_database_can_hold_is_none(odd: Any) -> None:
    assert make_message(msg_id=odd).msg_id is None


@pytest.mark.parametrize("timestamp", [1_400_000_000, 1_400_000_000.0])
def test_a_message_knows_when_it_was_sent(timestamp: float) -> None:
    assert make_message(timestamp=timestamp).sent == datetime.datetime(2014, 5, 13, 16, 53, 20)


@pytest.mark.parametrize(
    "odd",
    [None, "1400000000", True, [], float("nan"), float("inf"), float("-inf"), HUGE, -HUGE, 1e300],
)
def test_timestamp_that_is_no_number_counts_as_now(odd: Any) -> None:
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)

    assert abs(make_message(timestamp=odd).sent - now) < datetime.timedelta(seconds=10)


def test_a_message_knows_when_it_came() -> None:
    before = time.monotonic()

    assert before <= make_message().received <= time.monotonic()


@pytest.mark.parametrize(
    ("topic", "category"),
    [
        (TOPIC, "git"),
        ("org.fedoraproject.prod.bodhi.update.comment", "bodhi"),
        ("/topic/VirtualTopic.eng.brew.build", "brew"),
        ("a.b.c", "Unclassified"),
        ("a", "Unclassified"),
        ("VirtualTopic.eng", "Unclassified"),
    ],
)
def test_the_category_is_that_of_datanommer(topic: str, category: str) -> None:
    assert category_of(topic) == category
    assert Row(topic=topic).category == category


def test_values_of_a_message_are_its_body_and_whom_it_concerns() -> None:
    class Names(KnownNames):
        def agent(self, message: Message) -> str | None:
            return "alice"

    body = {"topic": "a.b", "msg": {}, "recipient": "mallory"}
    message = parse_message(body, frozenset(["bob", "alice"]))
    assert message is not None
    assert "agent" not in message.values

    message.ask(Names())

    values = message.values
    assert (values["topic"], values["agent"], values["usernames"]) == (
        "a.b",
        "alice",
        ["alice", "bob"],
    )
    # Only a candidate is one.
    assert "recipient" not in values
    assert MessageValues(message, "carol")["recipient"] == "carol"
    with pytest.raises(KeyError):
        values["user"]
