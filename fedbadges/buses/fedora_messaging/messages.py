"""Messages of fedora-messaging: what comes in fedmsg's form, and notices in tahrir's schemas."""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

import tahrir_messages
from fedora_messaging.message import Message, get_name, load_message
from jsonschema.validators import validator_for

from fedbadges.messages import Notice
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: What the topics of notices begin with; the configuration has what comes before.
_APPLICATION = "badges"

_SCHEMAS: Mapping[str, type[Message]] = {
    "badge.award": tahrir_messages.BadgeAwardV1,
    "person.rank.advance": tahrir_messages.PersonRankAdvanceV1,
}

#: ``Message.validate`` checks the schema itself each time, which takes ten times as long.
_VALIDATORS: Mapping[str, Any] = {
    topic: validator_for(schema.body_schema)(schema.body_schema)
    for topic, schema in _SCHEMAS.items()
}

_failures = Throttle()


def body_of(message: Message) -> dict[str, Any]:
    """Return a message in fedmsg's form, as rules look into it and as datanommer's row has it."""
    headers = message._properties.headers or {}
    body: dict[str, Any] = {
        "topic": message.topic,
        "msg": message.body,
        "msg_id": message.id,
        "i": 0,
        # What is no JSON, datanommer could not store either.
        "headers": {
            key: value
            for key, value in headers.items()
            if isinstance(value, (str, int, float, bool, type(None)))
        },
    }
    sent = _seconds(headers.get("sent-at"))
    if sent is not None:
        body["timestamp"] = sent
    agent = _ask_schema(message, "agent_name")
    if agent and isinstance(agent, str):
        body["username"] = agent
    return body


def users_of(message: Message) -> frozenset[str]:
    """Return the users whom the schema of a message names."""
    return _names(_ask_schema(message, "usernames"))


def packages_of(message: Message) -> frozenset[str]:
    """Return the packages that the schema of a message names."""
    return _names(_ask_schema(message, "packages"))


def message_of(notice: Notice) -> Message:
    """Return a notice as the message that tahrir itself would send.

    It has the id and the time that the outbox has for it. A body that tahrir's schema does not
    allow goes without a schema.
    """
    schema = _SCHEMAS.get(notice.topic)
    if schema is None:
        return _make(notice, {})
    if not _VALIDATORS[notice.topic].is_valid(notice.body):
        log.debug("Notice without a schema", topic=notice.topic)
        return _make(notice, {})
    return _make(notice, {"fedora_messaging_schema": get_name(schema)})


def _make(notice: Notice, headers: dict[str, Any]) -> Message:
    values: dict[str, Any] = {"topic": f"{_APPLICATION}.{notice.topic}", "body": notice.body}
    if notice.msg_id is not None and notice.timestamp is not None:
        sent = datetime.datetime.fromtimestamp(notice.timestamp, datetime.timezone.utc)
        headers |= {"sent-at": sent.isoformat()}
        values["id"] = notice.msg_id
    return load_message(values | {"headers": headers})


def _seconds(sent_at: Any) -> float | None:
    """Return when a message was sent, in seconds since 1970; None if its header does not say."""
    try:
        sent = datetime.datetime.fromisoformat(sent_at.replace("Z", "+00:00"))
        if sent.tzinfo is None:
            sent = sent.replace(tzinfo=datetime.timezone.utc)
        seconds = sent.timestamp()
    except (ValueError, AttributeError, TypeError, OverflowError):
        return None
    return int(seconds) if seconds == int(seconds) else seconds


def _ask_schema(message: Message, name: str) -> Any:
    """Return a property of a message, which is code of others; None if that fails."""
    try:
        return getattr(message, name, None)
    except Exception as error:  # it may fail on anything in a message
        if _failures.allows((type(message), name, type(error))):
            log.warning(
                "Schema of a message failed",
                schema=type(message).__name__,
                asked=name,
                msg_id=message.id,
                error=error,
            )
        return None


def _names(found: Any) -> frozenset[str]:
    if isinstance(found, str) or not isinstance(found, Iterable):
        return frozenset()
    return frozenset(name for name in found if isinstance(name, str) and name)
