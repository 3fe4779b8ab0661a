"""Folds: what an expression makes of all past messages, from what it takes of each.

A fold is kept in bounded memory, and its result is that of the expression over all messages that
were added, in their order, whatever these are: also if it is an error.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from sqlalchemy import exc

from fedbadges.history.aggregate_values import AGGREGATES
from fedbadges.history.fold_values import KINDS, NotKept, Unknown, Values, is_small
from fedbadges.history.kept.text import NotPlain, parse_value, plain_value
from fedbadges.history.past_messages import is_damaged
from fedbadges.rules.expressions import Fold

_KINDS = {**KINDS, **AGGREGATES}

#: More values are not kept for each message.
_MANY = 10

#: Errors that have nothing but their arguments.
_SMALL_ERRORS = (AttributeError, IndexError, KeyError, TypeError, ZeroDivisionError)


class Taken(NamedTuple):
    """What a fold takes from one message: values, and the error that ended them."""

    values: tuple[Any, ...] = ()
    error: Exception | None = None

    @property
    def is_small(self) -> bool:
        """Return True if it may be kept for each of many messages."""
        error, values = self.error, self.values
        if error is not None and not (type(error) in _SMALL_ERRORS and is_small(error.args)):
            return False
        return len(values) <= _MANY and all(map(is_small, values))


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
        return isinstance(self._values, Unknown)

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
        made._values = Unknown() if state is None else _KINDS[kind](*state)
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
        self._values = Unknown()

    def result(self, filled: tuple[Any, ...] = ()) -> Any:
        """Return the result; raise NotKept, or what the expression raises over these messages."""
        if self.is_given_up:
            raise NotKept
        error = self._error or self._failure
        if error is not None:
            # What is raised keeps in memory whatever it has passed.
            raise copy.copy(error)
        return self._fold.finish(self._values.items(), filled)


def _bare(error: Exception) -> Exception:
    """Return an error without what keeps messages in memory."""
    error.__cause__ = error.__context__ = None
    if isinstance(error, AttributeError):
        error.obj = None
    return error.with_traceback(None)
