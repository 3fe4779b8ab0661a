"""What a configuration key may be set to: one function for each kind of value.

Each takes what the configuration has, and gives the value that the daemon runs by. What is not of
its kind raises ValueError, or TypeError or OverflowError where Python's own conversion does. The
error of those among ``EXPLAINED`` says why; for the others it is enough to say what was expected.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from fedbadges.databases.url import parse_url
from fedbadges.util.caching import make_cache_region

FASJSON_MISSING = (
    "fasjson-client is not installed; pip install '.[fasjson]' in a clone of fedbadges"
)

_DAY = 86_400


def text(value: Any) -> str:
    """Take text that is not blank, without the blanks around it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def optional_text(value: Any) -> str | None:
    """Take text, or None."""
    return None if value is None else text(value)


def short_text(value: Any) -> str:
    """Take text of at most 128 characters; tahrir can hold no more."""
    given = text(value)
    if len(given) > 128:
        raise ValueError(f"{len(given)} characters")
    return given


def flag(value: Any) -> bool:
    """Take True or False, and nothing that only counts as such."""
    if not isinstance(value, bool):
        raise ValueError
    return value


def true(value: Any) -> bool:
    """Take anything that counts as true."""
    if not value:
        raise ValueError
    return True


def seconds(value: Any) -> float:
    """Take a number of seconds, from 0 to a day, also as text."""
    if isinstance(value, bool):
        raise ValueError
    number = float(value)
    if not 0 <= number <= _DAY:
        raise ValueError
    return number


def any_seconds(value: Any) -> float:
    """Take a number of seconds, 0 or more, also as text."""
    if isinstance(value, bool):
        raise ValueError
    number = float(value)
    if not 0 <= number <= 100 * 365 * _DAY:
        raise ValueError
    return number


def time_limit(value: Any) -> float:
    """Take a number of seconds that is more than 0, up to a day."""
    number = seconds(value)
    if not number:
        raise ValueError
    return number


def count(value: Any) -> int:
    """Take a whole number, 0 or more, also as text."""
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    number = int(value)
    if number < 0:
        raise ValueError
    return number


def positive_count(value: Any) -> int:
    """Take a whole number, 1 or more, also as text."""
    number = count(value)
    if not number:
        raise ValueError
    return number


def names(value: Any) -> frozenset[str]:
    """Take a list, tuple or set of names, in lower case."""
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError
    return frozenset(text(name).lower() for name in value)


def mapping(value: Any) -> Mapping[str, Any]:
    """Take a mapping of whatever."""
    if not isinstance(value, Mapping):
        raise ValueError
    return value


def directory(value: Any) -> Path:
    """Take the path of a directory that is there; ``~`` is somebody's home."""
    try:
        path = Path(text(value)).expanduser()
        found = path.is_dir()
    except (OSError, RuntimeError) as error:  # a name too long, a home that nobody has, …
        raise ValueError(getattr(error, "strerror", None) or str(error)) from None
    if not found:
        raise ValueError("no such directory")
    return path


def optional_directory(value: Any) -> Path | None:
    """Take the path of a directory, which need not be there yet, or None."""
    if value is None:
        return None
    try:
        path = Path(text(value)).expanduser()
        wrong = path.exists() and not path.is_dir()
    except (OSError, RuntimeError) as error:
        raise ValueError(getattr(error, "strerror", None) or str(error)) from None
    if wrong:
        raise ValueError("not a directory")
    return path


def database_url(value: Any) -> URL:
    """Take the URL of a database that fedbadges can connect to."""
    return parse_url(text(value))


def web_address(value: Any) -> str:
    """Take an address of the web, without the slashes at its end.

    Not with a password in it: addresses are shown to anybody.
    """
    address = text(value).rstrip("/")
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", address):
        raise ValueError
    return address


def optional_web_address(value: Any) -> str | None:
    """Take an address of the web, or None."""
    return None if value is None else web_address(value)


def domain(value: Any) -> str:
    """Take what stands behind the ``@`` of addresses, up to 60 characters, in lower case."""
    given = text(value).lower()
    if not re.fullmatch(r"[^\s@]{1,60}", given):
        raise ValueError
    return given


def accounts(value: Any) -> str | None:
    """Take the name of an accounts service whose client is installed, or None for no service."""
    if value is None:
        return None
    if value != "fasjson":
        raise ValueError
    if not has_fasjson_client():
        raise ValueError(FASJSON_MISSING)
    return "fasjson"


def has_fasjson_client() -> bool:
    """Tell whether the extra ``fasjson`` is installed."""
    try:
        importlib.import_module("fasjson_client")
    except ImportError:
        return False
    return True


def cache(value: Any) -> tuple[str, Mapping[str, Any]]:
    """Take the backend of dogpile.cache and its arguments, if a region can be made of them."""
    if not isinstance(value, Mapping) or set(value) - {"backend", "arguments"}:
        raise ValueError
    backend, arguments = text(value.get("backend")), value.get("arguments", {})
    if not isinstance(arguments, Mapping):
        raise ValueError
    try:
        make_cache_region(backend, arguments)
    except Exception as error:  # whatever the backend makes of its arguments
        raise ValueError(repr(error)) from None
    return backend, arguments


#: Those whose errors say more than that the value is not as expected.
EXPLAINED = (database_url, directory, optional_directory, short_text, accounts, cache)
