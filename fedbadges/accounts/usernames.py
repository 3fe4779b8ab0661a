"""The users and packages that a message concerns, by its schema or ``fedmsg.meta``'s plugins."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import fedmsg.meta

from fedbadges.config.toml_files import is_toml
from fedbadges.messages import Message
from fedbadges.rules.names import in_lower_case
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Category, required_names
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: The processors of fedmsg itself, of which only logger and announce name users.
_BUILTIN = frozenset(["announce", "logger", "unhandled"])
_NAMING_CATEGORIES = frozenset(["announce", "logger"])


class FedmsgUsernames:
    """Finds the users and packages of a message; never raises, whatever it contains."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = dict(config)
        fedmsg.meta.make_processors(**self._config)
        self._throttle = Throttle()
        self._warned: list[list[str]] = []
        # Every rule asks the same about a message.
        self._ask = functools.lru_cache(100)(self._find)

    @property
    def has_plugins(self) -> bool:
        """Return True if anything but fedmsg's own processors names users: plugins, or schemas."""
        if is_toml(self._config.get("config_filename")):
            return True
        names = {processor.__name__.lower() for processor in fedmsg.meta.processors}
        return bool(names - _BUILTIN)

    def warn_of(self, rules: Iterable[Rule], counting: Iterable[Rule] = ()) -> None:
        """Warn about rules that need a plugin to award anything; once for the same rules.

        ``counting`` are those whose filters ask for names that are stored only with a plugin.
        """
        if self.has_plugins:
            return
        badges = [rule.badge.id for rule in rules if has_no_candidates(rule)]
        counted = [rule.badge.id for rule in counting]
        warned, self._warned = self._warned, [badges, counted]
        if badges and badges not in warned[:1]:
            log.warning("Rules can award nothing without a plugin for fedmsg", badges=badges)
        if counted and counted not in warned[1:]:
            log.warning(
                "Users and packages are not stored without a plugin for fedmsg",
                count=len(counted),
                badges=counted,
            )

    def users(self, message: Message) -> frozenset[str]:
        """Return the users that the message concerns, in lower case."""
        found = self._ask("users", message) or message.known_users
        return frozenset(filter(None, map(in_lower_case, found)))

    def agent(self, message: Message) -> str | None:
        """Return the user who did what the message is about, in lower case."""
        # A plugin that does not know the agent may return any of the users.
        (agent,) = self._ask("agent", message) or (None,)
        return in_lower_case(agent) if agent else None

    def packages(self, message: Message) -> frozenset[str]:
        """Return the packages that the message concerns."""
        return self._ask("packages", message)

    def _find(self, what: str, message: Message) -> frozenset[str]:
        if message.has_schema and (known := _names_of_schema(what, message)):
            return known
        try:
            names = _QUESTIONS[what](message.body, **self._config) or ()
            return frozenset(name for name in names if isinstance(name, str))
        except Exception as error:  # a plugin may fail on anything in a message
            if self._throttle.allows((message.category, what, type(error))):
                log.warning(
                    "Plugin for fedmsg failed",
                    category=message.category,
                    asked=what,
                    msg_id=message.msg_id,
                    error=error,
                )
            return frozenset()


def _names_of_schema(what: str, message: Message) -> frozenset[str]:
    """Return what the schema of a message on fedora-messaging named, as far as that is known.

    Where the schema is not installed, its headers have what it named at the sender's.
    """
    if what == "agent":
        agent = message.body.get("username")
        return frozenset([agent]) if agent and isinstance(agent, str) else frozenset()
    known, prefix = message.known_packages, "fedora_messaging_rpm_"
    if what == "users":
        known, prefix = message.known_users, "fedora_messaging_user_"
    if known:
        return known
    headers = filter(lambda name: name.startswith(prefix), message.body["headers"])
    return frozenset(name.removeprefix(prefix) for name in headers if name != prefix)


def has_no_candidates(rule: Rule) -> bool:
    """Return True if a rule never has candidates with fedmsg's own processors alone."""
    if rule.recipient is not None or not rule.has_trigger:
        return False
    required = required_names(rule.trigger)
    if required is None:
        return False
    names = (each.name if isinstance(each, Category) else each.suffix for each in required)
    return not any(map(may_name_users, names))


def may_name_users(name: str) -> bool:
    """Return True if fedmsg's own processors name users of a topic, part of one or a category."""
    return not _NAMING_CATEGORIES.isdisjoint(name.split("."))


_QUESTIONS: Mapping[str, Callable[..., Iterable[Any] | None]] = {
    "users": fedmsg.meta.msg2usernames,
    "packages": fedmsg.meta.msg2packages,
    "agent": lambda body, **config: [fedmsg.meta.msg2agent(body, **config)],
}
