"""Messages as they come from the bus, checked once and then immutable to the rest."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any


@dataclass(frozen=True, eq=False)
class Message:
    """One fedmsg message.

    ``body`` is the whole message as sent, for rules to look into; nothing may change it.
    ``received`` is when it came here, in seconds of ``time.monotonic``, ``known_users`` are those
    whom datanommer has for it, where it comes from there. ``size`` is how large its JSON was, in
    characters, as far as that is known. The rest, which is asked of few messages, is read when it
    is asked for.
    """

    topic: str
    body: Mapping[str, Any]
    received: float
    known_users: frozenset[str] = frozenset()
    size: int = 0

    @cached_property
    def msg_id(self) -> str | None:
        """Its id, if it has one that databases can hold."""
        msg_id = self.body.get("msg_id")
        return msg_id if isinstance(msg_id, str) and fits_databases(msg_id) else None

    @cached_property
    def sent(self) -> datetime.datetime:
        """When its sender says that it was sent, naive UTC; now, where that is no number."""
        return _sent(self.body.get("timestamp"))

    @property
    def sent_seconds(self) -> float:
        """The same, in seconds since 1970."""
        return self.sent.replace(tzinfo=datetime.timezone.utc).timestamp()

    @property
    def category(self) -> str:
        """The part of the topic that datanommer calls the category, or ``Unclassified``."""
        return category_of(self.topic)


def category_of(topic: str) -> str:
    """Give the fourth part of a topic, the third in a ``VirtualTopic``.

    The rule is that of ``datanommer.models.Message``.
    """
    parts = topic.split(".")
    index = 2 if "VirtualTopic" in topic else 3
    return parts[index] if len(parts) > index else "Unclassified"


def parse_message(
    body: Any, known_users: frozenset[str] = frozenset(), size: int = 0
) -> Message | None:
    """Read what came from the bus, or from datanommer; None where it is no message with a topic."""
    if not isinstance(body, Mapping):
        return None
    topic = body.get("topic")
    if not isinstance(topic, str) or not fits_databases(topic):
        return None
    return Message(topic, body, time.monotonic(), known_users, size)


def fits_databases(text: str) -> bool:
    """Tell whether databases can hold this as a name: PostgreSQL does not take any text."""
    if not text or len(text) > 256 or "\x00" in text:
        return False
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _sent(timestamp: Any) -> datetime.datetime:
    """Read seconds since 1970; what is no such number counts as now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    moment = now
    if isinstance(timestamp, (int, float)) and not isinstance(timestamp, bool):
        try:
            if math.isfinite(timestamp):
                moment = datetime.datetime.fromtimestamp(timestamp, datetime.timezone.utc)
        except (ValueError, OverflowError, OSError):
            moment = now
    return moment.replace(tzinfo=None)
