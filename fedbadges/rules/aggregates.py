"""Operations without Python: what they take of each past message, and what they make of it.

As the folds of lambdas, they are kept incrementally. Their results do not depend on the order of
the messages, and their state is bounded.
"""

import datetime
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from fedbadges.errors import MissingValue
from fedbadges.rules.comparisons import MISSING
from fedbadges.rules.expressions import Expression, Fold
from fedbadges.rules.fields import Reader, path_text
from fedbadges.rules.past_fields import past_reader
from fedbadges.rules.templates import TemplatePath

#: Numbers from this size on are none, so that no sum of others is too large for Python.
_TOO_LARGE = 10**100

#: Returns what an operation takes of a past message; as of other folds, the second argument has
#: the values of templates, of which it has none.
_Taker = Callable[[Any, Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Aggregate:
    """What an operation makes of what it takes of each message.

    ``kind`` is that of its Fold. ``takes_from`` makes what takes it, from the reader of the field
    that the operation names. ``finish`` makes the result, also of what the fold keeps instead.
    ``counts`` is True if the result is a number of things, and ``unit`` is their name, in the
    singular, if they are no messages and have one.
    """

    kind: str
    takes_from: Callable[[Reader], _Taker]
    finish: Callable[[Iterable[Any]], Any]
    meaning: str
    unit: str = ""
    counts: bool = False

    def expression(self, name: str, path: TemplatePath | None = None) -> Expression:
        """Return the operation ``name``, over the field at ``path`` if it has one."""
        take = self.takes_from(_no_field if path is None else _reader(path))
        text = name if path is None else f"{name}: {path_text(path)}"

        def finish(items: Iterable[Any]) -> Any:
            result = self.finish(items)
            if result is None:
                raise MissingValue(f"no past message has a number for '{text}'")
            return result

        return Expression(
            text,
            "query",
            (),
            None,
            lambda query, values: finish(each for row in query for each in take(row, values)),
            fold=Fold(self.kind, False, take, lambda items, _: finish(items)),
        )


def _no_field(message: Any) -> Any:
    return MISSING


def _reader(path: TemplatePath) -> Reader:
    """Return what reads a path of a past message, in most of them without any search."""
    root, *parts = path.dotted.split(".")
    search = past_reader(path)

    def read(message: Any) -> Any:
        value = message.msg
        try:
            for part in parts:
                value = value[part]
        except (KeyError, TypeError):  # nothing, an item of a list, or a key with dots in it
            return search(message)
        return value

    return read if root == "msg" else search


def _value(read: Reader) -> _Taker:
    """Take the value of a field, in a form in which equal values have one hash."""

    def take(message: Any, _: Any) -> tuple[Any, ...]:
        value = read(message)
        if type(value) is str:
            return (value,)
        if value is MISSING:
            return ()
        # What is not a number is not even equal to itself.
        if isinstance(value, (dict, list)) or value != value:
            return (("json", json.dumps(value, sort_keys=True)),)
        return (value,)

    return take


def _number(read: Reader) -> _Taker:
    """Take the value of a field if that is a number, without a fraction as a whole number."""

    def take(message: Any, _: Any) -> tuple[Any, ...]:
        value = read(message)
        kind = type(value)
        if (kind is not int and kind is not float) or not -_TOO_LARGE < value < _TOO_LARGE:
            return ()
        return (int(value) if kind is float and value.is_integer() else value,)

    return take


def _day(_: Reader) -> _Taker:
    """Take the day on which a message was sent, in UTC."""
    return lambda message, _: (message.timestamp.date(),)


def _distinct(values: Iterable[Any]) -> int:
    return len(set(values))


def _total(numbers: Iterable[int | float | Fraction]) -> int | float:
    """Add exactly, so that the order makes no difference."""
    total = sum((Fraction(number) for number in numbers), Fraction())
    return total.numerator if total.denominator == 1 else float(total)


def _largest(numbers: Iterable[Any]) -> Any:
    return max(numbers, default=None)


def _smallest(numbers: Iterable[Any]) -> Any:
    return min(numbers, default=None)


def _longest_streak(days: Iterable[datetime.date]) -> int:
    """Return the length of the longest run of consecutive days."""
    numbers = sorted({day.toordinal() for day in days})
    # In a run, the numbers grow as their indices do.
    runs = itertools.groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    return max((sum(1 for _ in run) for _, run in runs), default=0)


#: The operations that name a field.
OF_FIELD: Mapping[str, Aggregate] = {
    "count distinct": Aggregate(
        "distinct",
        _value,
        _distinct,
        "How many different values the messages have at this path.",
        counts=True,
    ),
    "sum": Aggregate("total", _number, _total, "The sum of the numbers at this path."),
    "largest": Aggregate("largest", _number, _largest, "The largest number at this path."),
    "smallest": Aggregate("smallest", _number, _smallest, "The smallest number at this path."),
}

#: Those that name none.
OF_DAYS: Mapping[str, Aggregate] = {
    "count distinct days": Aggregate(
        "distinct",
        _day,
        _distinct,
        "On how many different days, in UTC, the messages were sent.",
        "day",
        counts=True,
    ),
    "longest streak of days": Aggregate(
        "streak",
        _day,
        _longest_streak,
        "On how many days in a row, in UTC, messages were sent, at most.",
        "day",
        counts=True,
    ),
}
