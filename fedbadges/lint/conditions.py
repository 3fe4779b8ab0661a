"""Conditions that hold of every count or of none, and windows in which nothing is sent."""

import ast
import datetime
import math
from collections.abc import Iterator

from fedbadges.criteria.datanommer import PastMessages
from fedbadges.lint.findings import Finding
from fedbadges.rules.conditions import Comparison
from fedbadges.rules.criteria import backend_criteria
from fedbadges.rules.filters import Filter, FilterEntry
from fedbadges.rules.operations import Operation
from fedbadges.rules.rule import Rule

#: No history has so many messages.
_VERY_MANY = 10**18

_NOW = datetime.timedelta()


def constant_condition(rule: Rule) -> Iterator[Finding]:
    """Find conditions whose answer is the same for every count."""
    for question in backend_criteria(rule.criteria):
        if not isinstance(question, PastMessages) or not _counts(question.operation):
            continue
        condition = question.condition
        if not isinstance(condition, Comparison):
            continue
        one = question.operation.expression is None and _selects_one(question.filter)
        answers = {condition.holds(count) for count in _counts_to_try(condition, one=one)}
        if len(answers) > 1:
            continue
        always = "always" if answers.pop() else "never"
        why = "one message has an id" if one and condition.threshold >= 0 else _WHY
        meant = "equal to: 0" if always == "never" and not one else "greater than or equal to: 1"
        yield Finding(
            condition.place,
            f"{always}-holds",
            f"'{condition.name}: {condition.threshold}' {always} holds: {why}; "
            f"did you mean '{meant}'?",
        )


_WHY = "a count is a whole number, and never less than 0"


def empty_window(rule: Rule) -> Iterator[Finding]:
    """Find filters whose ``start`` is not before their ``end``."""
    for question in backend_criteria(rule.criteria):
        if not isinstance(question, PastMessages):
            continue
        chosen = question.filter
        entries = dict(chosen.entries)
        start, end = entries.get("start"), entries.get("end", _NOW)
        if start is None:
            continue
        if "end" not in entries:
            text = "this window begins when the message is sent, and has no width"
        elif start == end:
            text = "this window ends when it begins, and has no width"
        else:
            text = "this window ends before it begins, for every message that is sent from now on"
        if start == end or _ended(start, end):
            place = chosen.places["end" if "end" in entries else "start"]
            yield Finding(
                place,
                "empty-window",
                f"{text}; ages count back from the message, as in 'start: 30 days ago' without "
                "'end'",
            )


def _counts(operation: Operation) -> bool:
    """Return True if the result of an operation is a number of messages."""
    if operation.expression is None or operation.expression.test is not None:
        return True
    if operation.aggregate is not None:
        return operation.aggregate.counts
    source = operation.expression.source
    match None if source is None else source.parse():
        case ast.Call(func=ast.Name(id="len") | ast.Attribute(attr="count")):
            return True
    return False


def _selects_one(chosen: Filter) -> bool:
    return any(key == "msg_id" for key, _ in chosen.entries)


def _counts_to_try(condition: Comparison, *, one: bool) -> set[int]:
    """Return counts among which there is one for each answer that the condition can have."""
    counts = {0, 1}
    if not one:
        counts.add(_VERY_MANY)
        if math.isfinite(condition.threshold):
            near = math.floor(condition.threshold)
            counts |= {near - 1, near, near + 1}
    return {count for count in counts if count >= 0}


def _ended(start: FilterEntry, end: FilterEntry) -> bool:
    """Return True if a window from an age to a date is over for messages that are sent now."""
    if not isinstance(start, datetime.timedelta) or not isinstance(end, datetime.datetime):
        return False
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    return end <= now - start
