"""Messages of the bus: those that come in, which nothing may change, and notices to be sent."""

import contextlib
import datetime
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

#: A message's place in the history: when it was sent, naive UTC, and its row number.
Position = tuple[datetime.datetime, float]


class Usernames(Protocol):
    """Whom and what a message concerns, as far as its body alone does not say."""

    def users(self, message: "Message") -> frozenset[str]:
        """Return the users that the message concerns, in lower case."""

    def agent(self, message: "Message") -> str | None:
        """Return the user who did what the message is about, in lower case."""

    def packages(self, message: "Message") -> frozenset[str]:
        """Return the packages that the message concerns."""


class KnownNames:
    """Answers where nobody else does: with the names that came with a message."""

    def users(self, message: "Message") -> frozenset[str]:
        """Return the users that came with the message."""
        return message.known_users

    def agent(self, message: "Message") -> str | None:
        """Return None: a body does not say on every bus who did it."""
        return None

    def packages(self, message: "Message") -> frozenset[str]:
        """Return the packages that came with the message."""
        return message.known_packages


_KNOWN_NAMES = KnownNames()


class MessageValues(dict[str, Any]):
    """What templates are filled from: the body, and whom the message concerns.

    ``agent``, ``usernames`` and ``packages`` are asked for when they are read, which few rules do.
    ``recipient`` is there where a candidate is given.
    """

    def __init__(self, message: "Message", recipient: str | None = None) -> None:
        super().__init__(message.body)
        self.message = message
        # Nobody becomes a candidate by what a message says.
        self.pop("recipient", None)
        if recipient is not None:
            self["recipient"] = recipient

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or (
            key in CONCERNED and self._ask(str(key)) is not None
        )

    def __missing__(self, key: str) -> Any:
        found = self._ask(key) if key in CONCERNED else None
        if found is None:
            raise KeyError(key)
        return found

    def _ask(self, key: str) -> Any:
        message = self.message
        names = message.usernames
        if key == "agent":
            return names.agent(message)
        found = names.users(message) if key == "usernames" else names.packages(message)
        return sorted(found)


#: What MessageValues has beside the body.
CONCERNED = frozenset(["agent", "usernames", "packages"])


@dataclass(frozen=True, eq=False)
class Message:
    """One message.

    ``body`` is the whole message in fedmsg's form, for rules to look into; nothing may change it.
    ``received`` is when it came, in seconds of ``time.monotonic``; ``known_users`` are those that
    datanommer or its schema has for it, and ``known_packages`` those of its schema. ``number`` is
    its row number, if it comes from datanommer; ``size`` is the length of its JSON in characters,
    if that is known. ``usernames`` knows whom it concerns, once it is judged. The rest is computed
    on demand, which few messages need.
    """

    topic: str
    body: Mapping[str, Any]
    received: float
    known_users: frozenset[str] = frozenset()
    size: int = 0
    number: int = 0
    known_packages: frozenset[str] = frozenset()
    usernames: Usernames = field(default=_KNOWN_NAMES, repr=False)

    def ask(self, usernames: Usernames) -> None:
        """Let these say whom it concerns.

        A message is known by its identity, so whoever judges it says so here.
        """
        object.__setattr__(self, "usernames", usernames)

    @property
    def values(self) -> MessageValues:
        """Return what templates are filled from."""
        return MessageValues(self)

    @cached_property
    def msg_id(self) -> str | None:
        """Return its id, if it has one that databases can hold."""
        msg_id = self.body.get("msg_id")
        return msg_id if isinstance(msg_id, str) and fits_databases(msg_id) else None

    @cached_property
    def sent(self) -> datetime.datetime:
        """Return when it was sent, naive UTC, as its sender says; now, where that is no number."""
        timestamp = self.body.get("timestamp")
        if isinstance(timestamp, (int, float)) and not isinstance(timestamp, bool):
            with contextlib.suppress(ValueError, OverflowError, OSError):  # too large, or no number
                return naive_utc(timestamp)
        return naive_utc(time.time())

    @property
    def sent_seconds(self) -> float:
        """Return the same in seconds since 1970."""
        return self.sent.replace(tzinfo=datetime.timezone.utc).timestamp()

    @property
    def position(self) -> Position:
        """Return its position; without a row number, after all that was sent by then."""
        return self.sent, self.number or math.inf

    @property
    def has_schema(self) -> bool:
        """Return True if it was sent on fedora-messaging, where its schema names its users."""
        headers = self.body.get("headers")
        return isinstance(headers, Mapping) and "fedora_messaging_schema" in headers

    @property
    def category(self) -> str:
        """Return the part of the topic that datanommer calls the category, or ``Unclassified``."""
        return category_of(self.topic)


@dataclass(frozen=True)
class Notice:
    """An announcement for the bus.

    One that is kept in the outbox has the id and the timestamp of its message, in seconds since
    1970, which stay the same however often it is sent.
    """

    topic: str
    body: dict[str, Any]
    msg_id: str | None = None
    timestamp: int | None = None


def naive_utc(seconds: float) -> datetime.datetime:
    """Return a time in seconds since 1970 as databases have it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(tzinfo=None)


def category_of(topic: str) -> str:
    """Return the category of a topic, as ``datanommer.models.Message`` does."""
    parts = topic.split(".")
    index = 2 if "VirtualTopic" in topic else 3
    return parts[index] if len(parts) > index else "Unclassified"


def parse_message(
    body: Any,
    known_users: frozenset[str] = frozenset(),
    size: int = 0,
    number: int = 0,
    known_packages: frozenset[str] = frozenset(),
) -> Message | None:
    """Parse a message of the bus, or of datanommer; None where it is none with a topic."""
    topic = body.get("topic") if isinstance(body, Mapping) else None
    if not isinstance(topic, str) or not fits_databases(topic):
        return None
    return Message(topic, body, time.monotonic(), known_users, size, number, known_packages)


def fits_databases(text: str) -> bool:
    """Return True if databases can hold this as a name: PostgreSQL does not take any text."""
    if not text or len(text) > 256 or "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
