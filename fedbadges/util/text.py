"""What errors, moments and numbers look like in one line, whatever a message made them say."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from datetime import datetime, timezone

#: How many characters of an error are shown at most.
_MOST = 200

_SHORT = reprlib.Repr()
_SHORT.maxother = _MOST


def short_repr(error: BaseException) -> str:
    """Give the error as Python shows it, or as much of it as is bearable."""
    return _SHORT.repr(error)


def describe_error(error: BaseException) -> str:
    """Give the words of the database's driver, where it is an error of a database."""
    origin = getattr(error, "orig", None)
    if origin is None:
        return short_repr(error)
    words = " ".join(str(origin).split())
    words = "".join(letter if letter.isprintable() else "?" for letter in words)
    return words if len(words) <= _MOST else words[: _MOST - 1] + "…"


def error_kind(error: BaseException) -> tuple[object, ...]:
    """Give what errors have in common that mean the same, for not saying it each time."""
    return type(error), getattr(getattr(error, "orig", None), "pgcode", None)


def format_time(seconds: float) -> str:
    """Write a moment, in seconds since 1970, for people."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def pluralize(number: int, one: str, more: str | None = None) -> str:
    """Say how many there are, of what is called ``one`` if it is one, and else ``more``."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def printable(text: str) -> str:
    """Write text for a message on one line, whatever is in it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def quoted(text: str) -> str:
    """Quote a piece of a file for a message: on one line, and short enough to read."""
    short = text if len(text) <= 40 else text[:37] + "..."
    return f"'{printable(short)}'"


def join_quoted(words: Iterable[str], last: str = "or") -> str:
    """Quote and join words for a sentence: ``'a', 'b' or 'c'``."""
    quoted = [f"'{word}'" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def suggestion(word: str, known: Iterable[str], *, full: bool = False) -> str:
    """Say which known word was probably meant, or list those that exist; with ``full`` both."""
    known = list(known)
    near = difflib.get_close_matches(word[:100], known, n=1)
    if not near:
        return f"; expected {join_quoted(known)}"
    meant = f"; did you mean '{near[0]}'?"
    return f"{meant} There are {join_quoted(known, 'and')}" if full else meant
