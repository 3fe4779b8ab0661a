"""What errors, moments and numbers look like in one line, whatever a message made them say."""

from __future__ import annotations

import reprlib
from datetime import datetime, timezone

#: How many characters of an error are shown at most.
_MOST = 200

_SHORT = reprlib.Repr()
_SHORT.maxother = _MOST


def shown(error: BaseException) -> str:
    """Give the error as Python shows it, or as much of it as is bearable."""
    return _SHORT.repr(error)


def words_of(error: BaseException) -> str:
    """Give the words of the database's driver, where it is an error of a database."""
    origin = getattr(error, "orig", None)
    if origin is None:
        return shown(error)
    words = " ".join(str(origin).split())
    words = "".join(letter if letter.isprintable() else "?" for letter in words)
    return words if len(words) <= _MOST else words[: _MOST - 1] + "…"


def kind_of(error: BaseException) -> tuple[object, ...]:
    """Give what errors have in common that mean the same, for not saying it each time."""
    return type(error), getattr(getattr(error, "orig", None), "pgcode", None)


def moment(seconds: float) -> str:
    """Write a moment, in seconds since 1970, for people."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def counted(number: int, one: str, more: str | None = None) -> str:
    """Say how many there are, of what is called ``one`` if it is one, and else ``more``."""
    return f"{number} {one if number == 1 else more or one + 's'}"
