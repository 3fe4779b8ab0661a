"""Text for people: whatever a message or an error contains, it stays on one line and short."""

import difflib
import itertools
import reprlib
from collections.abc import Iterable
from datetime import datetime, timezone

#: How many characters of an error are shown.
_MAX_CHARACTERS = 200

_SHORT = reprlib.Repr()
_SHORT.maxother = _MAX_CHARACTERS


def printable(text: str) -> str:
    """Return the text with everything escaped that could end a line or control a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def short_repr(error: BaseException) -> str:
    """Return the ``repr`` of an error, escaped and cut to a bearable length."""
    return printable(_SHORT.repr(error))


def describe_error(error: BaseException) -> str:
    """Return the text of a database driver's error, or the ``repr`` of any other."""
    origin = getattr(error, "orig", None)
    if origin is None:
        return short_repr(error)
    text = printable(" ".join(str(origin).split()))
    return text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…"


def error_kind(error: BaseException) -> tuple[object, ...]:
    """Return a key that errors with the same cause share, to log them once."""
    return type(error), getattr(getattr(error, "orig", None), "pgcode", None)


def format_time(seconds: float) -> str:
    """Return a time in seconds since 1970 as a date and time in UTC."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def pluralize(number: int, one: str, more: str | None = None) -> str:
    """Return a number with its noun: ``1 badge``, ``2 badges``."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def quoted(text: str) -> str:
    """Return a piece of a file in quotes, escaped, and short enough for an error."""
    short = text if len(text) <= 40 else text[:37] + "..."
    return f"'{printable(short)}'"


def join_quoted(words: Iterable[str], last: str = "or") -> str:
    """Return words quoted and joined for a sentence: ``'a', 'b' or 'c'``."""
    quoted = [f"'{word}'" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def near_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, if there is one."""
    return next(iter(difflib.get_close_matches(word[:100], list(known), n=1)), None)


def misspelled(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that differs from a word by one slip; None if none or several do."""
    near = [each for each in known if _is_slip(word, each)]
    return near[0] if len(near) == 1 else None


def _is_slip(one: str, other: str) -> bool:
    """Return True if a letter was left out, added or changed, or two were swapped."""
    start = _common(one, other)
    one, other = one[start:], other[start:]
    end = _common(one[::-1], other[::-1])
    one, other = one[: len(one) - end], other[: len(other) - end]
    return max(len(one), len(other)) == 1 or (len(one) == 2 and one == other[::-1])


def _common(one: str, other: str) -> int:
    """Return how many letters two words have in common at their beginning."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in same)


def suggestion(word: str, known: Iterable[str], *, full: bool = False) -> str:
    """Return the known word that was probably meant, or all of them; with ``full`` both."""
    known = list(known)
    near = near_word(word, known)
    if near is None:
        return f"; expected {join_quoted(known)}"
    meant = f"; did you mean '{near}'?"
    return f"{meant} There are {join_quoted(known, 'and')}" if full else meant
