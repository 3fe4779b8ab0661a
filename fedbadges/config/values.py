"""What a configuration key may be set to: one function for each kind of value.

Each returns the value that the daemon uses. It raises ValueError, or TypeError or OverflowError
where Python's own conversion does, for a value of another kind, and MalformedValue where there is
more to say than what was expected.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from fedbadges.databases.url import parse_url
from fedbadges.util.caching import make_cache_region

FASJSON_MISSING = (
    "fasjson-client is not installed; pip install '.[fasjson]' in a clone of fedbadges"
)

_DAY = 86_400.0


class MalformedValue(ValueError):
    """A value that cannot be used; the text says why, and has no password in it."""


def text(value: Any) -> str:
    """Return text that is not blank, without the blanks around it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def short_text(value: Any) -> str:
    """Return text of at most 128 characters; tahrir can hold no more."""
    stripped = text(value)
    if len(stripped) > 128:
        raise MalformedValue(f"{len(stripped)} characters")
    return stripped


def flag(value: Any) -> bool:
    """Return True or False; nothing else that is truthy or falsy is accepted."""
    if not isinstance(value, bool):
        raise ValueError
    return value


def true(value: Any) -> bool:
    """Return True for anything truthy."""
    if not value:
        raise ValueError
    return True


def interval(value: Any, most: float = math.inf) -> float:
    """Return a finite number of seconds from 0 to ``most``; text is accepted."""
    if isinstance(value, bool):
        raise ValueError
    number = float(value)
    if not 0 <= number <= most or number == math.inf:
        raise ValueError
    return number


#: Numbers of seconds from 0 to a day, and to a century.
seconds = partial(interval, most=_DAY)
age = partial(interval, most=100 * 365 * _DAY)


def timeout(value: Any) -> float:
    """Return a number of seconds that is more than 0, up to a day."""
    number = seconds(value)
    if not number:
        raise ValueError
    return number


def count(value: Any) -> int:
    """Return a whole number, 0 or more; text is accepted."""
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    number = int(value)
    if number < 0:
        raise ValueError
    return number


def positive_count(value: Any) -> int:
    """Return a whole number, 1 or more; text is accepted."""
    number = count(value)
    if not number:
        raise ValueError
    return number


def items(value: Any) -> frozenset[Any]:
    """Return the items of a list, tuple or set; text is not one, though it can be iterated."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError
    return frozenset(value)


def names(value: Any) -> frozenset[str]:
    """Return a list, tuple or set of names, in lower case."""
    return frozenset(text(name).lower() for name in items(value))


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping."""
    if not isinstance(value, Mapping):
        raise ValueError
    return value


def directory(value: Any) -> Path:
    """Return the path of a directory that exists; ``~`` is a home directory."""
    path = new_directory(value)
    if not path.exists():
        raise MalformedValue("no such directory")
    return path


def new_directory(value: Any) -> Path:
    """Return the path of a directory that need not exist yet."""
    try:
        path = Path(text(value)).expanduser()
        wrong = path.exists() and not path.is_dir()
    except (OSError, RuntimeError) as error:  # a name too long, no such user, …
        raise MalformedValue(getattr(error, "strerror", None) or str(error)) from None
    if wrong:
        raise MalformedValue("not a directory")
    return path


def database_url(value: Any) -> URL:
    """Return the URL of a database that fedbadges can connect to."""
    stripped = text(value)
    try:
        return parse_url(stripped)
    except ValueError as error:
        raise MalformedValue(str(error)) from None


def web_address(value: Any) -> str:
    """Return a URL without the slashes at its end.

    One with a password is refused: addresses are shown to anybody.
    """
    address = text(value).rstrip("/")
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", address):
        raise ValueError
    return address


def domain(value: Any) -> str:
    """Return the domain of e-mail addresses, of at most 60 characters, in lower case."""
    lowered = text(value).lower()
    if not re.fullmatch(r"[^\s@]{1,60}", lowered):
        raise ValueError
    return lowered


def accounts(value: Any) -> str:
    """Return the name of an accounts service whose client is installed."""
    if value != "fasjson":
        raise ValueError
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
    if not isinstance(value, Mapping) or set(value) - {"backend", "arguments"}:
        raise ValueError
    backend, arguments = text(value.get("backend")), mapping(value.get("arguments", {}))
    try:
        make_cache_region(backend, arguments)
    except Exception as error:  # whatever the backend makes of its arguments
        raise MalformedValue(repr(error)) from None
    return backend, arguments
