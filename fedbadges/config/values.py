"""Parsers of configuration values: one function for each kind of value.

Each returns the value that the daemon uses. It raises ValueError, TypeError or OverflowError for a
value of another kind, and MalformedValue where there is more to say than what was expected.
"""

import importlib
import math
import os
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from fedbadges.databases.connections import parse_url
from fedbadges.util.caching import make_cache_region

FASJSON_MISSING = (
    "fasjson-client is not installed; pip install '.[fasjson]' in a clone of fedbadges"
)
#: Names of accounts and groups that FASJSON accepts.
FASJSON_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}")
_DAY = 86_400.0


class MalformedValue(ValueError):
    """A value that cannot be used; the text says why, and has no password in it."""


def _require(condition: object) -> None:
    if not condition:
        raise ValueError


def of_type(kind: type | tuple[type, ...], value: Any) -> Any:
    """Return a value of this type; text is not a list, though it can be iterated."""
    _require(isinstance(value, kind))
    return value


flag = partial(of_type, bool)
mapping = partial(of_type, Mapping)


def text(value: Any) -> str:
    """Return text that is not blank, without surrounding blanks."""
    _require(of_type(str, value).strip())
    return str(value).strip()


def short_text(value: Any) -> str:
    """Return text of at most 128 characters; tahrir can hold no more."""
    stripped = text(value)
    if len(stripped) > 128:
        raise MalformedValue(f"{len(stripped)} characters")
    return stripped


def destination(value: Any) -> str:
    """Return where STOMP sends messages: text in one line, with ``{topic}`` for their topic."""
    found = text(value)
    _require("{topic}" in found and found.isprintable() and ":" not in found)
    return found


def true(value: Any) -> bool:
    """Return True for anything truthy."""
    _require(value)
    return True


def interval(value: Any, most: float = math.inf, *, zero: bool = True) -> float:
    """Return a finite number of seconds from 0 to ``most``; text is accepted."""
    number = float(value)
    _require(not isinstance(value, bool) and 0 <= number <= most and number != math.inf)
    _require(number or zero)
    return number


#: Numbers of seconds up to a day, the second one without 0, and up to a century.
seconds = partial(interval, most=_DAY)
timeout = partial(interval, most=_DAY, zero=False)
age = partial(interval, most=100 * 365 * _DAY)


def count(value: Any, least: int = 0) -> int:
    """Return a whole number that is not less than ``least``; text is accepted."""
    _require(not isinstance(value, bool))
    number = int(value)
    _require(number >= least and (number == value or not isinstance(value, float)))
    return number


positive_count = partial(count, least=1)


def items(value: Any) -> frozenset[Any]:
    """Return the items of a list, tuple or set."""
    return frozenset(of_type((list, tuple, set, frozenset), value))


def names(value: Any) -> frozenset[str]:
    """Return a list, tuple or set of names, in lower case."""
    return frozenset(text(name).lower() for name in items(value))


def mappings(value: Any) -> tuple[Mapping[Any, Any], ...]:
    """Return the mappings in a list or tuple."""
    return tuple(mapping(each) for each in of_type((list, tuple), value))


def group(value: Any) -> str:
    """Return the name of a group that FASJSON can have."""
    name = text(value)
    _require(FASJSON_NAME.fullmatch(name))
    return name


def dialect(value: Any) -> str:
    """Return the name of a dialect of the rule language."""
    _require(value in ("fedbadges-1", "fedbadges-2"))
    return str(value)


def memberships(value: Any) -> str:
    """Return which of those in a group are meant."""
    _require(value in ("members", "sponsors"))
    return str(value)


def directory(value: Any, *, exists: bool = True) -> Path:
    """Return the path of a directory, by default one that exists; ``~`` is a home directory."""
    try:
        path = Path(text(value)).expanduser()
        found, is_directory = path.exists(), path.is_dir()
    except (OSError, RuntimeError) as error:  # a name too long, no such user, …
        raise MalformedValue(getattr(error, "strerror", None) or str(error)) from None
    if found and not is_directory:
        raise MalformedValue("not a directory")
    if exists and not found:
        raise MalformedValue("no such directory")
    return path


def database_url(value: Any) -> URL:
    """Return the URL of a database that fedbadges can connect to."""
    stripped = text(value)
    try:
        return parse_url(stripped)
    except ValueError as error:
        raise MalformedValue(str(error)) from None


def web_address(value: Any) -> str:
    """Return a URL without the slashes at its end; it is shown, so it must have no password."""
    address = text(value).rstrip("/")
    _require(re.fullmatch(r"https?://[^\s/@]+(/\S*)?", address))
    return address


def domain(value: Any) -> str:
    """Return the domain of e-mail addresses, of at most 60 characters, in lower case."""
    lowered = text(value).lower()
    _require(re.fullmatch(r"[^\s@]{1,60}", lowered))
    return lowered


def hostname(value: Any) -> str:
    """Return the name of a host, without scheme and port, in lower case."""
    lowered = text(value).lower()
    _require(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", lowered) and len(lowered) < 254)
    return lowered


def listen_address(value: Any) -> tuple[str, int] | Path:
    """Return a host, perhaps an address of IPv6 in brackets, and a port; or a socket's path."""
    found = text(value)
    if found.startswith("/"):
        # What a socket's address can hold.
        _require(found.isprintable() and len(os.fsencode(found)) < 108)
        return Path(found)
    match = re.fullmatch(r"(?:([A-Za-z0-9.-]{1,253})|\[([0-9A-Fa-f:.]+)\]):([0-9]{1,5})", found)
    _require(match)
    assert match is not None
    port = int(match[3])
    _require(0 < port < 65_536)
    return match[1] or match[2], port


def realm(value: Any) -> str:
    """Return the name of a Kerberos realm, in upper case."""
    return domain(value).upper()


def accounts(value: Any) -> str:
    """Return the name of an accounts service whose client is installed."""
    _require(value == "fasjson")
    if not has_fasjson_client():
        raise MalformedValue(FASJSON_MISSING)
    return "fasjson"


def has_fasjson_client() -> bool:
    """Return True if the extra ``fasjson`` is installed."""
    try:
        importlib.import_module("fasjson_client")
    except ImportError:
        return False
    return True


def cache(value: Any) -> tuple[str, Mapping[str, Any]]:
    """Return a backend of dogpile.cache and its arguments, if they make a region."""
    _require(not set(mapping(value)) - {"backend", "arguments"})
    backend, arguments = text(value.get("backend")), mapping(value.get("arguments", {}))
    try:
        make_cache_region(backend, arguments)
    except Exception as error:  # whatever the backend makes of its arguments
        raise MalformedValue(repr(error)) from None
    return backend, arguments
