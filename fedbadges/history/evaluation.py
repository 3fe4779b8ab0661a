"""Evaluation of a rule's own code over past messages: tests of one, expressions over all."""

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Engine, exc
from sqlalchemy.orm import Session

from fedbadges.databases.outages import translate_errors
from fedbadges.history.past_messages import Messages, Query
from fedbadges.history.sql import NameIds, Position, prepare
from fedbadges.messages import Message
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: Decides whether a past message counts; it is called with what has a PastMessage's attributes.
Test = Callable[[Any], Any]


def tolerant(
    test: Test, test_key: tuple[Any, ...], log_throttle: Throttle
) -> Callable[[Any], bool]:
    """Return the test as one that raises only what databases raise.

    A message for which it raises anything else does not pass: one odd message must not cost
    everybody their badge. ``test_key`` distinguishes this test from others, its text first.
    """

    def passes(message: Any) -> bool:
        try:
            return bool(test(message))
        except exc.SQLAlchemyError:
            raise
        except Exception as error:  # a rule's own code may raise anything
            if log_throttle.allows((test_key, type(error).__name__)):
                log.warning(
                    "Could not test a past message, it does not count",
                    operation=test_key[0],
                    error=error,
                )
            return False

    return passes


def evaluate(
    engine: Engine,
    name_ids: NameIds,
    expression: Expression,
    filled: FilledFilter,
    message: Message,
    until: Position | None = None,
) -> Any:
    """Evaluate an expression over the past messages, up to the position ``until``.

    Raises Unavailable, and whatever the expression raises.
    """
    values = expression.fill(message.body)
    with translate_errors("datanommer", foreign=True), Session(engine) as session:
        query = prepare(session.connection(), name_ids, filled, until=until)
        result = expression(Query.of(session, query, filled.pages), values)
        # What is read lazily would find the session closed.
        lazy = isinstance(result, (Query, Messages, Iterator))
        return list(result) if lazy else result
