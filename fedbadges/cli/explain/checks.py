"""The checks of a trigger or of criteria as ``explain`` shows them: as text and as JSON."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from rich.tree import Tree

from fedbadges.cli.terminal import NO, UNASKED, YES, make_tree
from fedbadges.criteria.datanommer import AT_LEAST, FILTER, VALUE, past_messages
from fedbadges.engine.explanation import count_of
from fedbadges.engine.tracing import LAMBDA_VALUE, Traced
from fedbadges.errors import MissingValue, Unavailable
from fedbadges.messages import Message
from fedbadges.rules.comparisons import MISSING
from fedbadges.rules.criteria import DEFAULT_BACKEND, PlacedCriterion
from fedbadges.rules.fields import resolved
from fedbadges.rules.filters import ALWAYS, FilledFilter
from fedbadges.rules.operators import AllOf, AnyOf, Check, Not
from fedbadges.rules.triggers import (
    AllFields,
    AnyAward,
    Category,
    FieldTrigger,
    LambdaTrigger,
    Topic,
)
from fedbadges.util.text import pluralize, short_repr

_OPERATORS = {AllOf: "all", AnyOf: "any", Not: "not", AllFields: "fields"}

#: Keys of details in JSON.
_KEYS = {FILTER: "filter", VALUE: "value", AT_LEAST: "at_least"}

#: How many items of a list in a filter are shown.
_MOST = 10

#: JSON can have greater numbers, but not every program reads them.
_MAX_NUMBER = 2**53

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100


def _kind_and_text(traced: Traced) -> tuple[str, str]:
    """Return what a rule says in a check: the kind of check, and the rest."""
    check, question = traced.check, past_messages(traced.check)
    if type(check) in _OPERATORS:
        return _OPERATORS[type(check)], ""
    if isinstance(check, Topic):
        return "topic", check.suffix
    if isinstance(check, Category):
        return "category", check.name
    if isinstance(check, LambdaTrigger):
        return "lambda", check.expression.text
    if isinstance(check, AnyAward):
        return "none", "that a message meets; the rule is judged when somebody is awarded a badge"
    if isinstance(check, FieldTrigger):
        return "field", str(check.wanted)
    if question is not None:
        return DEFAULT_BACKEND, f"{question.operation}, {question.condition}"
    if isinstance(check, PlacedCriterion):
        return check.backend, check.text
    return type(check).__name__, ""


def _name(traced: Traced) -> str:
    """Return what a rule says in a check, on one line."""
    return " ".join(filter(None, _kind_and_text(traced)))


def name_of(check: Check[Any]) -> str:
    """Return what a rule says in a check, on one line."""
    return _name(Traced(check))


def short(value: Any) -> str:
    """Return a value, whatever it is, as short text."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # a number of thousands of digits
        return f"a very long {type(value).__name__}"


def describe_failure(error: BaseException) -> str:
    """Return the text of an error."""
    return str(error) if isinstance(error, (MissingValue, Unavailable)) else short_repr(error)


def why_not(traced: Traced) -> str:
    """Return, on one line, which part decides that it does not hold."""
    if traced.raised is not None:
        return describe_failure(traced.raised)
    if traced.parts:
        decisive = [part for part in traced.parts if part.answer is False]
        if isinstance(traced.check, Not) or not decisive:
            return f"{_name(traced)} {', '.join(map(_name, traced.parts))}"
        return why_not(decisive[0])
    value = f"; {_value(traced)}" if VALUE in traced.details else ""
    return f"it depends on {_name(traced)}{value}"


def tree_of(traced: Traced, message: Message) -> Tree:
    """Return a check, and those below it, as text."""
    name = _name(traced)
    if not traced.asked:
        return make_tree(f"{name}: not asked, as it was already decided", style=UNASKED)
    why = _why(traced, message)
    return make_tree(
        f"{name}: {answer_of(traced)}{why and ', ' + why}",
        [*(tree_of(part, message) for part in traced.parts), *map(make_tree, _details(traced))],
        YES if traced.answer else NO,
    )


def data_of(traced: Traced, message: Message) -> dict[str, Any]:
    """Return a check, and those below it, for JSON."""
    kind, text = _kind_and_text(traced)
    compared, counted = _compared(traced, message), count_of(traced)
    data: dict[str, Any] = {
        "part": kind,
        "text": text,
        "asked": traced.asked,
        "holds": traced.answer,
        "raised": None if traced.raised is None else describe_failure(traced.raised),
    }
    if compared is not MISSING:
        data["compared_to"] = _plain(short(compared) if isinstance(compared, dict) else compared)
    data |= {_KEYS.get(what, what): _plain(found) for what, found in traced.details.items()}
    if counted is not None:
        data["needed"] = counted.needed
    if traced.parts:
        data["parts"] = [data_of(part, message) for part in traced.parts]
    return data


def answer_of(traced: Traced) -> str:
    """Return the answer in a word or two."""
    if traced.raised is not None:
        return "unknown" if isinstance(traced.raised, Unavailable) else "fails"
    return "yes" if traced.answer else "no"


def _why(traced: Traced, message: Message) -> str:
    if traced.raised is not None:
        return "" if traced.parts else describe_failure(traced.raised)
    if isinstance(traced.check, FieldTrigger):
        return _what_it_has(traced.check, message)
    compared, counted = _compared(traced, message), count_of(traced)
    if compared is not MISSING:
        return f"the message has {compared}"
    if LAMBDA_VALUE in traced.details:
        return f"it returns {short(traced.details[LAMBDA_VALUE])}"
    if counted is not None:
        return str(counted)
    return _value(traced) if VALUE in traced.details else ""


def _value(traced: Traced) -> str:
    least = "at least " if traced.details.get(AT_LEAST) else ""
    value, question = traced.details[VALUE], past_messages(traced.check)
    unit = "" if question is None or type(value) is not int else question.operation.unit
    return f"the value is {least}{pluralize(value, unit) if unit else short(value)}"


def _compared(traced: Traced, message: Message) -> Any:
    """Return what the message has where a part of a trigger looks, or MISSING."""
    if isinstance(traced.check, Topic):
        return message.topic
    if isinstance(traced.check, FieldTrigger):
        return resolved(traced.check.wanted.path, message.values)
    return message.category if isinstance(traced.check, Category) else MISSING


def _what_it_has(check: FieldTrigger, message: Message) -> str:
    """Return what the message has at the path of a field, and at those of its templates."""
    path = check.wanted.path
    value = resolved(path, message.values)
    found = [f"no {path.dotted}" if value is MISSING else short(value)]
    for each in check.paths:
        other = resolved(each, message.values)
        if other is not MISSING:
            found.append(f"{short(other)} as {each.dotted}")
    return f"the message has {', and '.join(found)}"


def _details(traced: Traced) -> Iterator[str]:
    """Yield the details of an answer, but for those in the line of the criterion."""
    for what, found in traced.details.items():
        if isinstance(found, FilledFilter):
            for key, value in _filter(found).items():
                values = value if isinstance(value, list) else [value]
                more = f" and {len(values) - _MOST} more" if len(values) > _MOST else ""
                yield f"{key}: {', '.join(values[:_MOST])}{more}"
        elif what not in (VALUE, AT_LEAST, LAMBDA_VALUE):
            answer = ("no", "yes")[found] if isinstance(found, bool) else found
            yield f"{what}: {answer if isinstance(answer, str) else short(answer)}"


def _filter(filled: FilledFilter) -> dict[str, Any]:
    found: dict[str, Any] = {key: list(values) for key, values in filled.lists}
    if filled.msg_id is not None:
        found["msg_id"] = filled.msg_id
    for key, moment in (("start", filled.start), ("end", filled.end)):
        if moment is not None and moment not in ALWAYS:
            found[key] = moment.isoformat()
    return found


def _plain(found: Any) -> Any:
    if isinstance(found, FilledFilter):
        return _filter(found)
    if isinstance(found, Mapping):
        return {str(key): _plain(value) for key, value in found.items()}
    if found is None or isinstance(found, (bool, str)):
        return found
    number = isinstance(found, (int, float)) and abs(found) < _MAX_NUMBER  # no NaN either
    return found if number else short(found)
