"""Who a message concerns, according to ``fedmsg.meta`` and its plugins."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import fedmsg.meta

from fedbadges.messages import Message
from fedbadges.once import Throttle
from fedbadges.words import shown

log = logging.getLogger(__name__)

#: What fedmsg itself brings; of these only logger and announce name anybody.
_BUILTIN = frozenset(["announce", "logger", "unhandled"])
BUILTIN_CATEGORIES = frozenset(["announce", "logger"])


class Usernames:
    """Names the users and packages of a message; never raises for what a message holds."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = dict(config)
        fedmsg.meta.make_processors(**self._config)
        self._failures = Throttle()
        # What is known of the message that the thread handles: each rule asks the same.
        self._known = threading.local()

    @property
    def has_plugins(self) -> bool:
        """Whether anything but fedmsg's own processors is installed."""
        names = {processor.__name__.lower() for processor in fedmsg.meta.processors}
        return bool(names - _BUILTIN)

    def users(self, message: Message) -> frozenset[str]:
        """Name the users that the message concerns, in lower case."""
        named = self._ask("users", message) or message.known_users
        return frozenset(name.lower() for name in named)

    def agent(self, message: Message) -> str | None:
        """Name the user who did what the message tells, in lower case."""
        # An agent whom the plugin does not tell from the others may be any of them.
        (agent,) = self._ask("agent", message) or (None,)
        return agent.lower() if agent else None

    def packages(self, message: Message) -> frozenset[str]:
        """Name the packages that the message concerns."""
        return self._ask("packages", message)

    def _ask(self, what: str, message: Message) -> frozenset[str]:
        if getattr(self._known, "message", None) is not message:
            self._known.message, self._known.names = message, {}
        names: dict[str, frozenset[str]] = self._known.names
        if what not in names:
            names[what] = self._find(what, message)
        return names[what]

    def _find(self, what: str, message: Message) -> frozenset[str]:
        try:
            names = _QUESTIONS[what](message.body, **self._config) or ()
            return frozenset(name for name in names if isinstance(name, str))
        except Exception as error:  # a plugin may stumble over anything in a message
            if self._failures.first((message.category, what, type(error))):
                log.warning(
                    "The fedmsg.meta plugin for %r could not name the %s of %r: %s",
                    message.category,
                    what,
                    message.msg_id,
                    shown(error),
                )
            return frozenset()


def _agent(body: Mapping[str, Any], **config: Any) -> list[Any]:
    return [fedmsg.meta.msg2agent(body, **config)]


_QUESTIONS: Mapping[str, Callable[..., Iterable[Any] | None]] = {
    "users": fedmsg.meta.msg2usernames,
    "packages": fedmsg.meta.msg2packages,
    "agent": _agent,
}
