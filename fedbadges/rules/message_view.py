"""A message as rules of fedbadges 2.x see it: with what a message of fedora-messaging has."""

import datetime
import json
from collections.abc import Iterable, Mapping
from typing import Any

from fedbadges.messages import Message

#: What is not said otherwise has the severity INFO.
_INFO = 20

#: What a header with the name of a user, a package and so on begins with.
_PREFIX = "fedora_messaging_"


class MessageView:
    """What a lambda calls ``message``, whichever bus the message came by.

    It has no more than is known on both buses: ``url``, ``agent_avatar``, ``app_name`` and
    ``app_icon`` are None, and the topic stands for a ``summary``.
    """

    __slots__ = ("_message",)

    url = agent_avatar = app_name = app_icon = queue = None
    priority = 0

    def __init__(self, message: Message) -> None:
        self._message = message

    @property
    def topic(self) -> str:
        """Return its topic."""
        return self._message.topic

    summary = topic

    @property
    def body(self) -> Any:
        """Return its own content, which is an object in nearly all messages."""
        return self._message.body.get("msg")

    @property
    def id(self) -> str | None:
        """Return its id."""
        return self._message.msg_id

    @property
    def severity(self) -> int:
        """Return how severe its sender says it is, as Python's logging counts."""
        severity = self._given_headers.get("fedora_messaging_severity")
        return severity if isinstance(severity, int) else _INFO

    @property
    def agent_name(self) -> str | None:
        """Return the user who did what it is about."""
        return self._message.usernames.agent(self._message)

    @property
    def usernames(self) -> list[str]:
        """Return the users that it concerns."""
        return sorted(self._message.usernames.users(self._message))

    @property
    def packages(self) -> list[str]:
        """Return the packages that it concerns."""
        return sorted(self._message.usernames.packages(self._message))

    @property
    def groups(self) -> list[str]:
        """Return the groups that it concerns, as its headers say."""
        return self._named("group")

    @property
    def containers(self) -> list[str]:
        """Return the containers that it concerns, as its headers say."""
        return self._named("container")

    @property
    def modules(self) -> list[str]:
        """Return the modules that it concerns, as its headers say."""
        return self._named("module")

    @property
    def flatpaks(self) -> list[str]:
        """Return the flatpaks that it concerns, as its headers say."""
        return self._named("flatpak")

    @property
    def headers(self) -> dict[str, Any]:
        """Return its headers, with ``sent-at`` on either bus."""
        sent = self._message.sent.replace(tzinfo=datetime.timezone.utc)
        return {"sent-at": sent.isoformat(), **self._given_headers}

    _headers = headers

    @property
    def _properties(self) -> "MessageView":
        # As in ``message._properties.headers``, where fedora-messaging keeps them.
        return self

    def __str__(self) -> str:
        text = json.dumps(self.body, indent=4, sort_keys=True, default=str)
        return f"Id: {self.id}\nTopic: {self.topic}\nBody: {text}"

    __repr__ = __str__

    @property
    def _given_headers(self) -> Mapping[str, Any]:
        headers = self._message.body.get("headers")
        return headers if isinstance(headers, Mapping) else {}

    def _named(self, kind: str) -> list[str]:
        return _without(f"{_PREFIX}{kind}_", self._given_headers)


def view_of(message: Message) -> MessageView:
    """Return a message as rules of fedbadges 2.x see it."""
    return MessageView(message)


def _without(prefix: str, names: Iterable[str]) -> list[str]:
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))
