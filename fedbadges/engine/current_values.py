"""How far people are with badges as of a message, in one number each."""

import contextlib
import datetime
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedbadges.criteria.datanommer import PastMessages, past_messages
from fedbadges.errors import Unavailable
from fedbadges.history.folds import RunningFold
from fedbadges.messages import Message, Position, naive_utc
from fedbadges.rules.criteria import Question
from fedbadges.rules.expressions import Expression
from fedbadges.rules.operators import RULE_ERRORS
from fedbadges.rules.rule import Rule


@dataclass(frozen=True, eq=False)
class Judged:
    """Somebody who was a candidate for a badge because of a message, at its position."""

    rule: Rule
    username: str
    message: Message
    position: Position

    @property
    def pair(self) -> tuple[str, str]:
        """Return the badge's id and the candidate's name."""
        return self.rule.badge.id, self.username

    @property
    def as_of(self) -> datetime.datetime:
        """Return as of when its value is, naive UTC: when the message was sent.

        A sender's clock may be fast, and a value must not keep those of the meantime out.
        """
        return min(self.message.sent, naive_utc(time.time()))


def needed_count(rule: Rule) -> int | None:
    """Return how many a rule needs whose whole criteria are "so many or more" of a count.

    Of any other rule return None, and of one that needs none.
    """
    criterion = past_messages(rule.criteria)
    needed = None if criterion is None else criterion.condition.needed
    if criterion is None or needed is None or needed <= 0:
        return None
    return needed if begins_at_zero(criterion.operation.expression) else None


def begins_at_zero(expression: Expression | None) -> bool:
    """Return True if an operation counts messages or, say, different things in them."""
    if expression is None or expression.test is not None:
        return True
    if expression.fold is None:
        return False
    with contextlib.suppress(Exception):  # such as the greatest of none
        nothing = RunningFold(expression.fold).result()
        return type(nothing) is int and nothing == 0
    return False


def current_values(judged: Sequence[Judged]) -> dict[Judged, int]:
    """Return how many each has of what the rule needs, and no more than that; raise Unavailable.

    A message that the rule cannot be judged for has no value.
    """
    cache: dict[Any, Any] = {}
    questions: list[tuple[Judged, PastMessages, int, Question]] = []
    for each in judged:
        criterion, needed = past_messages(each.rule.criteria), needed_count(each.rule)
        if criterion is None or needed is None:
            continue
        recipient = each.username if each.rule.names_recipient else None
        # Whoever observes is told the number as of the position.
        question = Question(
            each.message,
            recipient,
            batch_cache=cache,
            observer=lambda what, found: None,
            position=each.position,
        )
        # Rules of a series share their counts, which must go as far as the last of them needs.
        with contextlib.suppress(*RULE_ERRORS):
            criterion.plan(question)
        questions.append((each, criterion, needed, question))
    values: dict[Judged, int] = {}
    for each, criterion, needed, question in questions:
        try:
            value = criterion.value(question)
        except Unavailable:
            raise
        except RULE_ERRORS:  # the engine has logged it
            continue
        if type(value) is int:
            values[each] = max(0, min(value, needed))
    return values
