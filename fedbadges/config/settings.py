"""Every configuration key: read and checked once, into one immutable value.

Configuration is fedmsg's: Python files in /etc/fedmsg.d, merged into one mapping.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from fedbadges.config import values
from fedbadges.config.line_numbers import config_files, locate_key
from fedbadges.errors import SettingsError

#: Switches the consumer on in a hub.
ENABLED = "fedmsg.consumers.badges.enabled"


@dataclass(frozen=True)
class Issuer:
    """Who issues the badges, as tahrir stores it; 128 characters each at most."""

    origin: str
    name: str
    org: str
    contact: str


@dataclass(frozen=True)
class Settings:
    """What the daemon runs by. Its ``repr`` shows no password."""

    rules_directory: Path
    tahrir_url: URL
    issuer: Issuer
    history_url: URL
    datagrepper_url: str
    consume_delay: float
    delay_limit: int
    record_messages: bool
    create_tables: bool
    banned_usernames: frozenset[str]
    email_domain: str
    rank_interval: float
    reload: bool
    insecure_rules: bool
    keep_counts: bool
    keep_counts_distance: float
    prepare_statements: bool
    state_directory: Path | None
    catchup_limit: float
    sweep_interval: float
    trust_history: bool
    backlog_limit: int
    cache: tuple[str, Mapping[str, Any]] = field(repr=False)
    accounts: str | None
    fasjson_url: str | None
    fasjson_principal: str | None
    fasjson_auth: bool
    fasjson_timeout: float
    fasjson_cache: float
    libravatar_url: str
    libravatar_timeout: float
    workers: int
    fedmsg: Mapping[str, Any] = field(repr=False, compare=False)

    def email_of(self, username: str) -> str:
        """Give the address that stands for an account in tahrir."""
        return f"{username}@{self.email_domain}"


@dataclass(frozen=True)
class ConfigKey:
    """One configuration key: what it is for, what it takes, and what it is if it is not set."""

    name: str
    expected: str
    parse: Callable[[Any], Any]
    default: Any = None
    within: str | None = None

    @property
    def shown(self) -> str:
        """The key as a message names it."""
        return f"'{self.name}'" if self.within is None else f"'{self.name}' in '{self.within}'"


_NUMBER_OF_SECONDS = "a number of seconds, from 0 to 86400"
_TIME_LIMIT = "a number of seconds, more than 0 and up to 86400"
_FLAG = "True or False"
_URL = "a database URL, such as 'postgresql://user:password@host/name'"
_REQUIRED = object()
_GLOBAL = "badges_global"
_ISSUER = "badge_issuer"
_BANNED = ("bodhi", "oscar", "apache", "koji", "taskotron")

#: Every key, by the name of the field it gives.
KEYS: dict[str, ConfigKey] = {
    "rules_directory": ConfigKey(
        "badges.yaml.directory",
        "the directory that has the rule files",
        values.directory,
        _REQUIRED,
    ),
    "tahrir_url": ConfigKey("database_uri", _URL, values.database_url, _REQUIRED, _GLOBAL),
    "history_url": ConfigKey("datanommer.sqlalchemy.url", _URL, values.database_url, _REQUIRED),
    "datagrepper_url": ConfigKey(
        "fedbadges.datagrepper_url",
        "the address of datagrepper, such as 'https://apps.example.org/datagrepper'",
        values.web_address,
        "https://apps.fedoraproject.org/datagrepper",
    ),
    "consume_delay": ConfigKey("badges.consume_delay", _NUMBER_OF_SECONDS, values.seconds, 3.0),
    "delay_limit": ConfigKey(
        "badges.delay_limit", "a number of messages, 0 or more", values.count, 100
    ),
    "record_messages": ConfigKey("badges.record_messages", _FLAG, values.flag, False),
    "create_tables": ConfigKey("badges.create_tables", _FLAG, values.flag, False),
    "banned_usernames": ConfigKey(
        "badges.banned_usernames", "a list of names", values.names, _BANNED
    ),
    "email_domain": ConfigKey(
        "badges.email_domain",
        "a domain, such as 'fedoraproject.org'",
        values.domain,
        "fedoraproject.org",
    ),
    "rank_interval": ConfigKey("badges.rank_interval", _NUMBER_OF_SECONDS, values.seconds, 5.0),
    "reload": ConfigKey("badges.reload", _FLAG, values.flag, True),
    "insecure_rules": ConfigKey("badges.insecure_rules", _FLAG, values.flag, False),
    "keep_counts": ConfigKey("badges.keep_counts", _FLAG, values.flag, True),
    "keep_counts_distance": ConfigKey(
        "badges.keep_counts_distance", _NUMBER_OF_SECONDS, values.seconds, 600.0
    ),
    "prepare_statements": ConfigKey("badges.prepare_statements", _FLAG, values.flag, True),
    "state_directory": ConfigKey(
        "badges.state_directory",
        "a directory, made where it is missing, or None",
        values.optional_directory,
        os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or None,
    ),
    "catchup_limit": ConfigKey(
        "badges.catchup_limit", "a number of seconds", values.any_seconds, 7 * 86_400.0
    ),
    "sweep_interval": ConfigKey("badges.sweep_interval", _TIME_LIMIT, values.time_limit, 30.0),
    "trust_history": ConfigKey("badges.trust_history", _FLAG, values.flag, False),
    "backlog_limit": ConfigKey(
        "badges.backlog_limit", "a number of messages", values.count, 10_000
    ),
    "cache": ConfigKey(
        "badges.cache",
        "a mapping with the 'backend' of dogpile.cache and its 'arguments'",
        values.cache,
        {"backend": "dogpile.cache.memory"},
    ),
    "accounts": ConfigKey("badges.accounts", "None or 'fasjson'", values.accounts),
    "fasjson_url": ConfigKey(
        "badges.fasjson.url",
        "the address of FASJSON, such as 'https://fasjson.example.org'",
        values.optional_web_address,
    ),
    "fasjson_principal": ConfigKey(
        "badges.fasjson.principal", "a Kerberos principal", values.optional_text
    ),
    "fasjson_auth": ConfigKey("badges.fasjson.auth", _FLAG, values.flag, True),
    "fasjson_timeout": ConfigKey("badges.fasjson.timeout", _TIME_LIMIT, values.time_limit, 10.0),
    "fasjson_cache": ConfigKey("badges.fasjson.cache", _NUMBER_OF_SECONDS, values.seconds, 600.0),
    "libravatar_url": ConfigKey(
        "badges.libravatar.url",
        "the address of Libravatar's avatars, such as 'https://seccdn.libravatar.org/avatar'",
        values.web_address,
        "https://seccdn.libravatar.org/avatar",
    ),
    "libravatar_timeout": ConfigKey(
        "badges.libravatar.timeout", _TIME_LIMIT, values.time_limit, 10.0
    ),
    "workers": ConfigKey(
        "moksha.workers_per_consumer", "a number of threads, 1 or more", values.positive_count, 1
    ),
}

#: Keys of fedmsg's that it falls over where they are missing; it may be told to have no defaults.
_OF_HUB = ConfigKey("validate_signatures", _FLAG, bool, _REQUIRED)
_OF_ZEROMQ = (
    ConfigKey("zmq_enabled", "True, where no other bus is named", values.true, _REQUIRED),
    ConfigKey("endpoints", "a mapping from names to lists of addresses", values.mapping, _REQUIRED),
)
#: What names another bus.
_OTHER_BUSES = ("stomp_uri", "stomp_broker", "amqp_broker")

_ISSUER_TEXT = "text of at most 128 characters"

#: The keys within ``badge_issuer``. ``issuer_url`` and ``issuer_email`` are older names.
ISSUER_KEYS: dict[str, tuple[ConfigKey, ...]] = {
    "origin": (ConfigKey("issuer_origin", _ISSUER_TEXT, values.short_text, _REQUIRED, _ISSUER),),
    "name": (ConfigKey("issuer_name", _ISSUER_TEXT, values.short_text, _REQUIRED, _ISSUER),),
    "org": tuple(
        ConfigKey(name, _ISSUER_TEXT, values.short_text, _REQUIRED, _ISSUER)
        for name in ("issuer_org", "issuer_url")
    ),
    "contact": tuple(
        ConfigKey(name, _ISSUER_TEXT, values.short_text, _REQUIRED, _ISSUER)
        for name in ("issuer_contact", "issuer_email")
    ),
}


def read_settings(
    config: Mapping[str, Any], *, in_hub: bool = False
) -> tuple[Settings, tuple[str, ...]]:
    """Read fedmsg's configuration; with ``in_hub`` what a hub needs must be there as well.

    Gives the settings, and a warning for each key that means nothing to the daemon though it looks
    as if it should. Raises SettingsError, with everything that is wrong.
    """
    reader = _Reader(config)
    read = {name: reader.read(key) for name, key in KEYS.items()}
    if read["accounts"] is not None:
        reader.need(KEYS["fasjson_url"])
    if in_hub:
        reader.need_of_hub()
    issuer = {name: reader.read_issuer(keys) for name, keys in ISSUER_KEYS.items()}
    if reader.errors:
        raise SettingsError(reader.errors)
    settings = Settings(**read, issuer=Issuer(**issuer), fedmsg=config)
    return settings, tuple(reader.unknown_keys())


def read_value(config: Mapping[str, Any], field: str) -> Any:
    """Return the value of one field of Settings; None if its key is missing or malformed."""
    return _Reader(config).read(KEYS[field])


class _Reader:
    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._files = config_files(config)
        self.errors: list[str] = []
        self._global = self._mapping(_GLOBAL, config, None)
        self._issuer = self._mapping(_ISSUER, self._global, _GLOBAL)

    def read(self, key: ConfigKey) -> Any:
        source = self._global if key.within == _GLOBAL else self._config
        return self._read(key, source) if source is not None else None

    def need(self, key: ConfigKey) -> None:
        """Report a key that is missing though, as things are, it must be set."""
        if self._config.get(key.name) is None:
            self._report_missing(key)

    def need_of_hub(self) -> None:
        """Report what fedmsg and moksha need to run a hub on a bus."""
        self.read(_OF_HUB)
        if not any(self._config.get(name) for name in _OTHER_BUSES):
            for key in _OF_ZEROMQ:
                self.read(key)

    def read_issuer(self, keys: tuple[ConfigKey, ...]) -> Any:
        if self._issuer is None:
            return None
        present = [key for key in keys if key.name in self._issuer]
        return self._read(present[0] if present else keys[0], self._issuer)

    def unknown_keys(self) -> list[str]:
        top = [ENABLED, _GLOBAL, *(key.name for key in KEYS.values() if key.within is None)]
        ours = [
            key
            for key in self._config
            if isinstance(key, str) and key.startswith(("badges.", "badges_", "fedbadges."))
        ]
        issuer = ["issuer_id", *(key.name for keys in ISSUER_KEYS.values() for key in keys)]
        return [
            *(self._unknown(key, None, top) for key in ours if key not in top),
            *(
                self._unknown(key, _GLOBAL, ["database_uri", _ISSUER])
                for key in self._global or ()
                if key not in ("database_uri", _ISSUER)
            ),
            *(
                self._unknown(key, _ISSUER, issuer)
                for key in self._issuer or ()
                if key not in issuer
            ),
        ]

    def _mapping(
        self, name: str, source: Mapping[str, Any] | None, within: str | None
    ) -> Mapping[str, Any] | None:
        if source is None:
            return None
        value = source.get(name)
        if isinstance(value, Mapping):
            return value
        place = locate_key(name, within, self._files)
        state = "missing key" if name not in source else "malformed key"
        self.errors.append(f"{place}: {state} '{name}'; expected a mapping")
        return None

    def _read(self, key: ConfigKey, source: Mapping[str, Any]) -> Any:
        if source.get(key.name) is None:
            if key.default is not _REQUIRED:
                return key.parse(key.default)
            self._report_missing(key)
            return None
        try:
            return key.parse(source[key.name])
        except (ValueError, TypeError, OverflowError) as error:
            place = locate_key(key.name, key.within, self._files)
            reason = f" ({error})" if key.parse in values.EXPLAINED and str(error) else ""
            self.errors.append(
                f"{place}: malformed key {key.shown}; expected {key.expected}{reason}"
            )
            return None

    def _report_missing(self, key: ConfigKey) -> None:
        place = locate_key(key.name, key.within, self._files)
        self.errors.append(f"{place}: missing key {key.shown}; expected {key.expected}")

    def _unknown(self, key: Any, within: str | None, known: list[str]) -> str:
        place = locate_key(str(key), within, self._files)
        near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"{place}: unknown key '{key}'{hint}"
