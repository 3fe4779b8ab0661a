"""What a rule's own code makes of past messages: its tests of one, its expressions over many."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine, exc
from sqlalchemy.orm import Session

from fedbadges.databases.outages import translate_errors
from fedbadges.history.query import Messages, Query
from fedbadges.history.sql import Numbers, Position, prepare
from fedbadges.messages import Message
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter
from fedbadges.util.throttle import Throttle

log = logging.getLogger(__name__)

#: Whether a past message counts; it is called with what has the attributes of a PastMessage.
Test = Callable[[Any], Any]


def passing(test: Test, about: tuple[Any, ...], stumbles: Throttle) -> Callable[[Any], bool]:
    """Give the test as one that raises nothing but what databases say.

    A message that it stumbles over does not pass: one odd message must not cost everybody their
    badge. ``about`` is what distinguishes this test from others, its text first; ``stumbles`` is
    what has been said.
    """

    def passes(message: Any) -> bool:
        try:
            return bool(test(message))
        except exc.SQLAlchemyError:
            raise
        except Exception as error:  # a rule's own code may raise anything
            if stumbles.allows((about, type(error).__name__)):
                log.warning("In %s a message does not count: %r", about[0], error)
            return False

    return passes


def evaluate(
    made: Engine,
    numbers: Numbers,
    expression: Expression,
    filled: FilledFilter,
    message: Message,
    until: Position | None = None,
) -> Any:
    """Evaluate an expression over the past messages; raises Unavailable and MissingValue.

    It raises whatever the expression raises, too. ``until`` is where the past ends.
    """
    values = expression.fill(message.body)
    with translate_errors("datanommer", foreign=True), Session(made) as session:
        asked = prepare(session.connection(), numbers, filled, until=until)
        result = expression(Query.of(session, asked, filled.pages), values)
        # What would be read later would find the session closed.
        lazy = isinstance(result, (Query, Messages, Iterator))
        return list(result) if lazy else result
