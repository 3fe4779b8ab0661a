"""Who a message concerns, according to ``fedmsg.meta`` and its plugins."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import fedmsg.meta

from fedbadges.messages import Message
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import concern_of
from fedbadges.util.text import short_repr
from fedbadges.util.throttle import Throttle

log = logging.getLogger(__name__)

#: What fedmsg itself brings; of these only logger and announce name anybody.
_BUILTIN = frozenset(["announce", "logger", "unhandled"])
_NAMING_CATEGORIES = frozenset(["announce", "logger"])


class Usernames:
    """Names the users and packages of a message; never raises for what a message holds."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = dict(config)
        fedmsg.meta.make_processors(**self._config)
        self._failures = Throttle()
        self._nameless: list[str] = []
        # What is known of the message that the thread handles: each rule asks the same.
        self._known = threading.local()

    @property
    def has_plugins(self) -> bool:
        """Whether anything but fedmsg's own processors is installed."""
        names = {processor.__name__.lower() for processor in fedmsg.meta.processors}
        return bool(names - _BUILTIN)

    def warn_of(self, rules: Iterable[Rule]) -> None:
        """Warn of rules that can award nothing without a plugin, unless of the same as before."""
        if self.has_plugins:
            return
        nameless = [rule.badge.id for rule in rules if has_no_candidates(rule)]
        if nameless and nameless != self._nameless:
            log.warning(
                "No fedmsg.meta plugin is installed, so these rules, which have no 'recipient', "
                "can award nothing: %s",
                ", ".join(nameless),
            )
        self._nameless = nameless

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
            if self._failures.allows((message.category, what, type(error))):
                log.warning(
                    "The fedmsg.meta plugin for %r could not name the %s of %r: %s",
                    message.category,
                    what,
                    message.msg_id,
                    short_repr(error),
                )
            return frozenset()


def has_no_candidates(rule: Rule) -> bool:
    """Tell whether, with fedmsg's own processors alone, a rule has no candidates ever."""
    if rule.recipient is not None:
        return False
    concern = concern_of(rule.trigger)
    if concern.anything or concern.categories & _NAMING_CATEGORIES:
        return False
    return not any(set(topic.split(".")) & _NAMING_CATEGORIES for topic in concern.topics)


def _agent(body: Mapping[str, Any], **config: Any) -> list[Any]:
    return [fedmsg.meta.msg2agent(body, **config)]


_QUESTIONS: Mapping[str, Callable[..., Iterable[Any] | None]] = {
    "users": fedmsg.meta.msg2usernames,
    "packages": fedmsg.meta.msg2packages,
    "agent": _agent,
}
