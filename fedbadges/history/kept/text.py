"""Counts, folds and what a window had seen as JSON, which is data and never code."""

import datetime
import functools
import json
import math
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from fedbadges.history.horizon import Base, Horizon
from fedbadges.history.kept.file import DamagedCounts, Entry
from fedbadges.history.window.reader import RecentMessage, SavedWindow
from fedbadges.messages import Position
from fedbadges.rules.names import Name

T = TypeVar("T")

#: How many horizons of the file are in memory once for all counts that have them.
_MOST_HORIZONS = 1000

#: A position after, and one before everything that is stored.
LAST: Position = (datetime.datetime.max, math.inf)


class Digest(bytes):
    """The digest of a long text, which no rule can have."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and bytes.__eq__(self, other)

    __hash__ = bytes.__hash__


class NotPlain(Exception):
    """A value cannot be written as JSON and read as the same."""


def make_entry(base: Base | None, content: Any) -> Entry:
    """Return what a file keeps of a base and its content; raise NotPlain."""
    until = None if base is None else base.until.isoformat()
    try:
        text = json.dumps([until, content])
    except (TypeError, ValueError) as error:  # such as numbers of thousands of digits
        raise NotPlain(repr(error)) from None
    return Entry(text, "" if base is None else _horizon_text(base.horizon))


def read_entry(entry: Entry, make: Callable[[Base | None, Any], T]) -> T:
    """Return what is made of a base and its content; raise DamagedCounts."""

    def read() -> T:
        until, content = json.loads(entry.value)
        if until is None:
            return make(None, content)
        return make(Base(_time(until), _parse_horizon(entry.horizon)), content)

    return _reading(read)


def plain_position(position: Position) -> Any:
    """Return a position as plain values."""
    if position == LAST:
        return None
    sent, number = position
    return [sent.isoformat(), None if number == math.inf else number]


def parse_position(plain: Any) -> Position:
    """Return the position that plain values have."""
    if plain is None:
        return LAST
    sent, number = plain
    return _time(sent), math.inf if number is None else number


def plain_window(saved: SavedWindow | None) -> Any:
    """Return a window as plain values."""
    if saved is None:
        return None
    msg_id, sent = saved.last
    return {
        "lineage": saved.lineage,
        "mark": saved.mark,
        "last": [msg_id, None if sent is None else sent.isoformat()],
        "gaps": saved.gaps,
        "cutoff": saved.cutoff.isoformat(),
        "late": [(*row[:3], row.timestamp.isoformat(), *row[4:]) for row in saved.late],
    }


def parse_window(plain: Any) -> SavedWindow | None:
    """Return the window that plain values have; raise DamagedCounts."""
    if plain is None:
        return None

    def read() -> SavedWindow:
        msg_id, sent = plain["last"]
        return SavedWindow(
            plain["lineage"],
            plain["mark"],
            (msg_id, None if sent is None else _time(sent)),
            tuple(plain["gaps"]),
            _time(plain["cutoff"]),
            tuple(map(_parse_row, plain["late"])),
        )

    return _reading(read)


def plain_value(value: Any) -> Any:
    """Return what a rule takes from a message as plain values; raise NotPlain."""
    kind = type(value)
    if value is None or kind in (str, bool, int, float):
        return value
    if kind is Digest:
        return {"digest": value.hex()}
    if kind is Name:
        return {"name": str(value)}
    if kind in (datetime.datetime, datetime.date):
        return {kind.__name__: value.isoformat()}
    if kind in _MANY:
        return {kind.__name__: [plain_value(each) for each in value]}
    raise NotPlain(kind.__name__)


def parse_value(plain: Any) -> Any:
    """Return the value that plain values have."""
    if isinstance(plain, str):
        return sys.intern(plain)
    if not isinstance(plain, dict):
        return plain
    ((kind, content),) = plain.items()
    return _PARSERS[kind](content)


_time = datetime.datetime.fromisoformat
_MANY = (list, tuple, set, frozenset)
_PARSERS: dict[str, Callable[[Any], Any]] = {
    "digest": Digest.fromhex,
    "name": Name,
    "datetime": _time,
    "date": datetime.date.fromisoformat,
    "list": lambda items: list(map(parse_value, items)),
    "tuple": lambda items: tuple(map(parse_value, items)),
    "set": lambda items: frozenset(map(parse_value, items)),
    "frozenset": lambda items: frozenset(map(parse_value, items)),
}


def _reading(read: Callable[[], T]) -> T:
    try:
        return read()
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise DamagedCounts(repr(error)) from None


def _parse_row(plain: Any) -> RecentMessage:
    number, msg_id, topic, sent, category, agent, users, packages = plain
    return RecentMessage(
        number, msg_id, topic, _time(sent), category, agent, tuple(users), tuple(packages)
    )


@functools.lru_cache(maxsize=100)
def _horizon_text(horizon: Horizon) -> str:
    return json.dumps([horizon.mark, sorted(horizon.gaps), horizon.lineage])


@functools.lru_cache(maxsize=_MOST_HORIZONS)
def _parse_horizon(text: str) -> Horizon:
    mark, gaps, lineage = json.loads(text)
    return Horizon(mark, frozenset(gaps), lineage)
