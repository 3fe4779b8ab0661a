"""Folds: what an expression makes of all past messages, from what it takes of each.

A fold is kept in bounded memory, and its result is that of the expression over all messages that
were added, in their order, whatever these are: also if it is an error.
"""

from __future__ import annotations

import copy
import hashlib
import sys
from collections.abc import Iterable, Sequence, Set
from datetime import date, datetime, time, timedelta
from typing import Any, NamedTuple

from sqlalchemy import exc

from fedbadges.history.kept.text import Digest, NotPlain, parse_value, plain_value
from fedbadges.history.past_messages import is_damaged
from fedbadges.rules.counting import MOST_DISTINCT
from fedbadges.rules.expressions import Fold
from fedbadges.rules.names import Name

#: Longer texts are kept as a digest, or not at all; so many values are not kept for each message.
_LONG_TEXT = 100
_MANY = 10

#: Errors that have nothing but their arguments.
_SMALL_ERRORS = (AttributeError, IndexError, KeyError, TypeError, ZeroDivisionError)

#: If more than one in so many values is not shared with a copy, all are from then on.
_FEW_OWN = 8

_PLAIN = (bool, int, float, complex, type(None), datetime, date, time, timedelta)
_TEXTS = (str, Name)

#: The types of which equal values are alike.
_ALIKE = {int, str, bool}


class NotKept(Exception):
    """A fold has more to keep than there is room for, or what cannot be kept at all."""


class Taken(NamedTuple):
    """What a fold takes from one message: values, and the error that ended them."""

    values: tuple[Any, ...] = ()
    error: Exception | None = None

    @property
    def is_small(self) -> bool:
        """Return True if it may be kept for each of many messages."""
        error, values = self.error, self.values
        if error is not None and not (type(error) in _SMALL_ERRORS and _is_small(error.args)):
            return False
        return len(values) <= _MANY and all(map(_is_small, values))


_NOTHING = Taken()


def take(fold: Fold, message: Any, filled: tuple[Any, ...]) -> Taken:
    """Return what a fold takes from a message, nothing if that is damaged.

    ``filled`` are the values of the templates. It raises only what databases raise.
    """
    if is_damaged(message):
        return _NOTHING
    values: list[Any] = []
    try:
        values.extend(fold.each(message, filled))
    except exc.SQLAlchemyError:
        raise
    except Exception as error:  # a rule's own code may raise anything
        return Taken(tuple(values), _bare(error))
    return Taken(tuple(values))


class RunningFold:
    """A fold over the messages that were added, the oldest first."""

    __slots__ = ("_error", "_failure", "_fold", "_values")

    def __init__(self, fold: Fold) -> None:
        self._fold = fold
        self._values: Values = _KINDS[fold.kind]()
        #: What taking something from a message raised, and what adding that raised.
        self._error: Exception | None = None
        self._failure: Exception | None = None

    @property
    def fold(self) -> Fold:
        """Return what it is a fold by."""
        return self._fold

    @property
    def size(self) -> int:
        """Return how many values it keeps."""
        return self._values.size

    @property
    def is_given_up(self) -> bool:
        """Return True if the result is no longer known."""
        return isinstance(self._values, _NotKept)

    @property
    def is_exact(self) -> bool:
        """Return True if messages may be added in any order."""
        return self._error is None and self._failure is None and self._values.in_any_order

    def copy(self) -> RunningFold:
        """Return a fold over the same messages, to which others can be added."""
        copied = RunningFold(self._fold)
        copied._values = self._values.copy()
        copied._error, copied._failure = self._error, self._failure
        return copied

    def plain(self) -> Any:
        """Return what it keeps as plain values; raise NotPlain."""
        if self._error is not None or self._failure is not None:
            raise NotPlain("an error")
        state = None if self.is_given_up else self._values.state()
        return [self._fold.kind, plain_value(state)]

    @classmethod
    def of(cls, fold: Fold, plain: Any) -> RunningFold:
        """Return the fold that plain values have; raise ValueError if it is another one's."""
        kind, state = plain[0], parse_value(plain[1])
        if kind != fold.kind:
            raise ValueError(kind)
        made = cls(fold)
        made._values = _NotKept() if state is None else _KINDS[kind](*state)
        return made

    def add(self, taken: Taken) -> None:
        """Add what was taken from the next message."""
        if self._error is not None:
            return
        if not self._fold.eager and (self._failure is not None or self._values.decided):
            return
        if self._failure is None:
            try:
                for value in taken.values:
                    self._values.add(value)
            except NotKept:
                self.give_up()
            except Exception as error:  # such as comparing what cannot be compared
                self._failure = _bare(error)
        if taken.error is None:
            return
        if self._fold.eager or (self._failure is None and not self._values.decided):
            self._error = taken.error

    def give_up(self) -> None:
        """Forget what there is, for good; the result is no longer known."""
        self._values = _NotKept()

    def result(self, filled: tuple[Any, ...] = ()) -> Any:
        """Return the result; raise NotKept, or what the expression raises over these messages."""
        if self.is_given_up:
            raise NotKept
        error = self._error or self._failure
        if error is not None:
            # What is raised keeps in memory whatever it has passed.
            raise copy.copy(error)
        return self._fold.finish(self._values.items(), filled)


class Values:
    """What a kind of fold keeps of the values that were added."""

    __slots__ = ()

    #: Whether the result stays the same, whatever is added.
    decided = False
    in_any_order = True
    size = 1

    def add(self, value: Any) -> None:
        """Add a value; raise NotKept, or what the function raises for it."""
        raise NotImplementedError

    def items(self) -> Sequence[Any]:
        """Return values of which the function makes the same as of all that were added."""
        raise NotImplementedError

    def state(self) -> tuple[Any, ...]:
        """Return the arguments that make an equal one, which keeps the same."""
        raise NotImplementedError

    def copy(self) -> Values:
        """Return a copy, to which others can be added."""
        return type(self)(*self.state())


class _NotKept(Values):
    __slots__ = ()
    size = 0

    def add(self, value: Any) -> None:
        """Forget a value."""

    def state(self) -> tuple[Any, ...]:
        return ()


class _Length(Values):
    __slots__ = ("_length",)

    def __init__(self, length: int = 0) -> None:
        self._length = length

    def add(self, value: Any) -> None:
        self._length += 1

    def items(self) -> Sequence[Any]:
        return range(self._length)

    def state(self) -> tuple[Any, ...]:
        return (self._length,)


class _Distinct(Values):
    """Some values are shared with copies, and never change."""

    __slots__ = ("_own", "_shared")

    def __init__(self, shared: Set[Any] = frozenset(), own: Iterable[Any] = ()) -> None:
        self._shared = shared
        self._own = set(own)

    @property
    def size(self) -> int:  # type: ignore[override]
        return len(self._shared) + len(self._own)

    def add(self, value: Any) -> None:
        key = _key(value)
        if key not in self._shared:
            self._own.add(key)
        if self.size > MOST_DISTINCT:
            raise NotKept

    def items(self) -> Sequence[Any]:
        return range(self.size)

    def state(self) -> tuple[Any, ...]:
        return (self._shared | self._own,)

    def copy(self) -> Values:
        if len(self._own) > len(self._shared) / _FEW_OWN:
            return _Distinct(self._shared | self._own)
        return _Distinct(self._shared, self._own)


class _Sum(Values):
    """Whole numbers are added up, and what comes after others is kept: rounding depends on it."""

    __slots__ = ("_rest", "_whole")

    def __init__(self, whole: int = 0, rest: Iterable[Any] = ()) -> None:
        self._whole = whole
        self._rest = list(rest)

    @property
    def in_any_order(self) -> bool:  # type: ignore[override]
        return not self._rest

    @property
    def size(self) -> int:  # type: ignore[override]
        return 1 + len(self._rest)

    def add(self, value: Any) -> None:
        if type(value) in (int, bool):
            if not self._rest:
                self._whole += value
                return
        elif type(value) is not float:
            sum([value], sum(self._rest, self._whole))  # raises if it is no number at all
            raise NotKept
        self._rest.append(value)
        if len(self._rest) > MOST_DISTINCT:
            raise NotKept

    def items(self) -> Sequence[Any]:
        return [self._whole, *self._rest]

    def state(self) -> tuple[Any, ...]:
        return self._whole, self._rest


class _Extreme(Values):
    """The greatest or the least value; of equal ones, the first.

    Which one that is depends on the order if values of two types are equal, or if a number is none,
    which is neither greater nor less than any other.
    """

    __slots__ = ("_found", "in_any_order")

    def __init__(self, found: Iterable[Any] = (), in_any_order: bool = True) -> None:
        self._found = list(found)
        self.in_any_order = in_any_order

    def _choose(self, one: Any, other: Any) -> Any:
        raise NotImplementedError

    def add(self, value: Any) -> None:
        chosen = self._choose(self._found[0], value) if self._found else value
        if not _is_small(chosen):
            raise NotKept
        kinds = {type(each) for each in (*self._found, value)}
        if len(kinds) > 1 or not kinds <= _ALIKE:
            self.in_any_order = False
        self._found = [chosen]

    def items(self) -> Sequence[Any]:
        return self._found

    def state(self) -> tuple[Any, ...]:
        return self._found, self.in_any_order


class _Max(_Extreme):
    __slots__ = ()

    def _choose(self, one: Any, other: Any) -> Any:
        return max(one, other)


class _Min(_Extreme):
    __slots__ = ()

    def _choose(self, one: Any, other: Any) -> Any:
        return min(one, other)


class _Truth(Values):
    __slots__ = ("decided",)
    deciding: bool

    def __init__(self, decided: bool = False) -> None:
        self.decided = decided

    def add(self, value: Any) -> None:
        if not self.decided and bool(value) is self.deciding:
            self.decided = True

    def items(self) -> Sequence[Any]:
        return [self.deciding] if self.decided else []

    def state(self) -> tuple[Any, ...]:
        return (self.decided,)


class _Any(_Truth):
    __slots__ = ()
    deciding = True


class _All(_Truth):
    __slots__ = ()
    deciding = False


_KINDS: dict[str, type[Values]] = {
    "len": _Length,
    "distinct": _Distinct,
    "sum": _Sum,
    "max": _Max,
    "min": _Min,
    "any": _Any,
    "all": _All,
}


def _key(value: Any) -> Any:
    """Return something small that is equal for equal values; raise NotKept, or TypeError."""
    kind = type(value)
    if kind in _TEXTS:
        if len(value) <= _LONG_TEXT:
            return sys.intern(str(value))
        return Digest(hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest())
    if kind in _PLAIN:
        return value
    {value}  # noqa: B018 - raises for what has no hash
    if kind is tuple and len(value) <= _LONG_TEXT:
        return tuple(map(_key, value))
    raise NotKept


def _is_small(value: Any) -> bool:
    if type(value) in _TEXTS:
        return len(value) <= _LONG_TEXT
    if type(value) is tuple:
        return len(value) <= _LONG_TEXT and all(map(_is_small, value))
    return type(value) in _PLAIN


def _bare(error: Exception) -> Exception:
    """Return an error without what keeps messages in memory."""
    error.__cause__ = error.__context__ = None
    if isinstance(error, AttributeError):
        error.obj = None
    return error.with_traceback(None)
