"""Every configuration key: read and checked once, into one immutable value.

Configuration is fedmsg's: Python files in /etc/fedmsg.d, merged into one mapping.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from fedbadges.counts import cache_region
from fedbadges.databases import parse_url
from fedbadges.places import config_files, place_of

#: Switches the consumer on in a hub.
ENABLED = "fedmsg.consumers.badges.enabled"

FASJSON_MISSING = "fasjson-client is not installed; pip install 'fedbadges[fasjson]'"


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
    keep_counts: bool
    keep_counts_distance: float
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


class SettingsError(Exception):
    """The configuration cannot be used; ``lines`` has one line for each thing that is wrong."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Key:
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


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _short(value: Any) -> str:
    text = _text(value)
    if len(text) > 128:
        raise ValueError(f"{len(text)} characters")
    return text


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    seconds = float(value)
    if not 0 <= seconds <= 86_400:
        raise ValueError
    return seconds


def _count(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    count = int(value)
    if count < 0:
        raise ValueError
    return count


def _directory(value: Any) -> Path:
    try:
        path = Path(_text(value)).expanduser()
        found = path.is_dir()
    except (OSError, RuntimeError) as error:  # a name too long, a home that nobody has, …
        raise ValueError(getattr(error, "strerror", None) or str(error)) from None
    if not found:
        raise ValueError("no such directory")
    return path


def _url(value: Any) -> URL:
    return parse_url(_text(value))


def _web(value: Any) -> str:
    text = _text(value).rstrip("/")
    if not re.fullmatch(r"https?://[^\s]+", text):
        raise ValueError
    return text


def _maybe_web(value: Any) -> str | None:
    return None if value is None else _web(value)


def _maybe_text(value: Any) -> str | None:
    return None if value is None else _text(value)


def _time_limit(value: Any) -> float:
    seconds = _seconds(value)
    if not seconds:
        raise ValueError
    return seconds


def has_fasjson_client() -> bool:
    """Tell whether the extra ``fasjson`` is installed."""
    try:
        importlib.import_module("fasjson_client")
    except ImportError:
        return False
    return True


def _accounts(value: Any) -> str | None:
    if value is None:
        return None
    if value != "fasjson":
        raise ValueError
    if not has_fasjson_client():
        raise ValueError(FASJSON_MISSING)
    return "fasjson"


def _domain(value: Any) -> str:
    text = _text(value).lower()
    if not re.fullmatch(r"[^\s@]{1,60}", text):
        raise ValueError
    return text


def _cache(value: Any) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(value, Mapping) or set(value) - {"backend", "arguments"}:
        raise ValueError
    backend, arguments = _text(value.get("backend")), value.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise ValueError
    try:
        cache_region(backend, arguments)
    except Exception as error:  # whatever the backend makes of its arguments
        raise ValueError(repr(error)) from None
    return backend, arguments


def _names(value: Any) -> frozenset[str]:
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError
    return frozenset(_text(name).lower() for name in value)


def _true(value: Any) -> bool:
    if not value:
        raise ValueError
    return True


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    return value


def _workers(value: Any) -> int:
    workers = _count(value)
    if not workers:
        raise ValueError
    return workers


#: Parsers whose errors say more than that the value is not as expected.
_EXPLAINED = (_url, _directory, _short, _accounts, _cache)
_NUMBER_OF_SECONDS = "a number of seconds, from 0 to 86400"
_TIME_LIMIT = "a number of seconds, more than 0 and up to 86400"
_FLAG = "True or False"
_URL = "a database URL, such as 'postgresql://user:password@host/name'"
_REQUIRED = object()
_GLOBAL = "badges_global"
_ISSUER = "badge_issuer"
_BANNED = ("bodhi", "oscar", "apache", "koji", "taskotron")

#: Every key, by the name of the field it gives.
KEYS: dict[str, Key] = {
    "rules_directory": Key(
        "badges.yaml.directory", "the directory that has the rule files", _directory, _REQUIRED
    ),
    "tahrir_url": Key("database_uri", _URL, _url, _REQUIRED, _GLOBAL),
    "history_url": Key("datanommer.sqlalchemy.url", _URL, _url, _REQUIRED),
    "datagrepper_url": Key(
        "fedbadges.datagrepper_url",
        "the address of datagrepper, such as 'https://apps.example.org/datagrepper'",
        _web,
        "https://apps.fedoraproject.org/datagrepper",
    ),
    "consume_delay": Key("badges.consume_delay", _NUMBER_OF_SECONDS, _seconds, 3.0),
    "delay_limit": Key("badges.delay_limit", "a number of messages, 0 or more", _count, 100),
    "record_messages": Key("badges.record_messages", _FLAG, _flag, False),
    "create_tables": Key("badges.create_tables", _FLAG, _flag, False),
    "banned_usernames": Key("badges.banned_usernames", "a list of names", _names, _BANNED),
    "email_domain": Key(
        "badges.email_domain", "a domain, such as 'fedoraproject.org'", _domain, "fedoraproject.org"
    ),
    "rank_interval": Key("badges.rank_interval", _NUMBER_OF_SECONDS, _seconds, 5.0),
    "reload": Key("badges.reload", _FLAG, _flag, True),
    "keep_counts": Key("badges.keep_counts", _FLAG, _flag, True),
    "keep_counts_distance": Key("badges.keep_counts_distance", _NUMBER_OF_SECONDS, _seconds, 600.0),
    "cache": Key(
        "badges.cache",
        "a mapping with the 'backend' of dogpile.cache and its 'arguments'",
        _cache,
        {"backend": "dogpile.cache.memory"},
    ),
    "accounts": Key("badges.accounts", "None or 'fasjson'", _accounts),
    "fasjson_url": Key(
        "badges.fasjson.url",
        "the address of FASJSON, such as 'https://fasjson.example.org'",
        _maybe_web,
    ),
    "fasjson_principal": Key("badges.fasjson.principal", "a Kerberos principal", _maybe_text),
    "fasjson_auth": Key("badges.fasjson.auth", _FLAG, _flag, True),
    "fasjson_timeout": Key("badges.fasjson.timeout", _TIME_LIMIT, _time_limit, 10.0),
    "fasjson_cache": Key("badges.fasjson.cache", _NUMBER_OF_SECONDS, _seconds, 600.0),
    "libravatar_url": Key(
        "badges.libravatar.url",
        "the address of Libravatar's avatars, such as 'https://seccdn.libravatar.org/avatar'",
        _web,
        "https://seccdn.libravatar.org/avatar",
    ),
    "libravatar_timeout": Key("badges.libravatar.timeout", _TIME_LIMIT, _time_limit, 10.0),
    "workers": Key("moksha.workers_per_consumer", "a number of threads, 1 or more", _workers, 1),
}

#: Keys of fedmsg's that it falls over where they are missing; it may be told to have no defaults.
_OF_HUB = Key("validate_signatures", _FLAG, bool, _REQUIRED)
_OF_ZEROMQ = (
    Key("zmq_enabled", "True, where no other bus is named", _true, _REQUIRED),
    Key("endpoints", "a mapping from names to lists of addresses", _mapping, _REQUIRED),
)
#: What names another bus.
_OTHER_BUSES = ("stomp_uri", "stomp_broker", "amqp_broker")

_ISSUER_TEXT = "text of at most 128 characters"

#: The keys within ``badge_issuer``. ``issuer_url`` and ``issuer_email`` are older names.
ISSUER_KEYS: dict[str, tuple[Key, ...]] = {
    "origin": (Key("issuer_origin", _ISSUER_TEXT, _short, _REQUIRED, _ISSUER),),
    "name": (Key("issuer_name", _ISSUER_TEXT, _short, _REQUIRED, _ISSUER),),
    "org": tuple(
        Key(name, _ISSUER_TEXT, _short, _REQUIRED, _ISSUER) for name in ("issuer_org", "issuer_url")
    ),
    "contact": tuple(
        Key(name, _ISSUER_TEXT, _short, _REQUIRED, _ISSUER)
        for name in ("issuer_contact", "issuer_email")
    ),
}


def read_settings(
    config: Mapping[str, Any], *, in_hub: bool = False
) -> tuple[Settings, tuple[str, ...]]:
    """Read fedmsg's configuration; with ``in_hub`` what a hub needs must be there, too.

    Gives the settings, and a warning for each key that means nothing to the daemon though it looks
    as if it should. Raises SettingsError, with everything that is wrong.
    """
    reader = _Reader(config)
    values = {name: reader.read(key) for name, key in KEYS.items()}
    if values["accounts"] is not None:
        reader.need(KEYS["fasjson_url"])
    if in_hub:
        reader.need_of_hub()
    issuer = {name: reader.read_issuer(keys) for name, keys in ISSUER_KEYS.items()}
    if reader.errors:
        raise SettingsError(reader.errors)
    settings = Settings(**values, issuer=Issuer(**issuer), fedmsg=config)
    return settings, tuple(reader.unknown_keys())


class _Reader:
    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._files = config_files(config)
        self.errors: list[str] = []
        self._global = self._mapping(_GLOBAL, config, None)
        self._issuer = self._mapping(_ISSUER, self._global, _GLOBAL)

    def read(self, key: Key) -> Any:
        source = self._global if key.within == _GLOBAL else self._config
        return self._read(key, source) if source is not None else None

    def need(self, key: Key) -> None:
        """Report a key that is missing though, as things are, it must be set."""
        if self._config.get(key.name) is None:
            self._report_missing(key)

    def need_of_hub(self) -> None:
        """Report what fedmsg and moksha need to run a hub on a bus."""
        self.read(_OF_HUB)
        if not any(self._config.get(name) for name in _OTHER_BUSES):
            for key in _OF_ZEROMQ:
                self.read(key)

    def read_issuer(self, keys: tuple[Key, ...]) -> Any:
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
        place = place_of(name, within, self._files)
        state = "missing key" if name not in source else "malformed key"
        self.errors.append(f"{place}: {state} '{name}'; expected a mapping")
        return None

    def _read(self, key: Key, source: Mapping[str, Any]) -> Any:
        if source.get(key.name) is None:
            if key.default is not _REQUIRED:
                return key.parse(key.default)
            self._report_missing(key)
            return None
        try:
            return key.parse(source[key.name])
        except (ValueError, TypeError, OverflowError) as error:
            place = place_of(key.name, key.within, self._files)
            reason = f" ({error})" if key.parse in _EXPLAINED and str(error) else ""
            self.errors.append(
                f"{place}: malformed key {key.shown}; expected {key.expected}{reason}"
            )
            return None

    def _report_missing(self, key: Key) -> None:
        place = place_of(key.name, key.within, self._files)
        self.errors.append(f"{place}: missing key {key.shown}; expected {key.expected}")

    def _unknown(self, key: Any, within: str | None, known: list[str]) -> str:
        place = place_of(str(key), within, self._files)
        near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        return f"{place}: unknown key '{key}'{hint}"
