"""The parts of a trigger or of criteria, with what was compared to what, for showing them."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fedbadges.cli.terminal.trees import Branch
from fedbadges.criteria.datanommer import AT_LEAST, FILTER, VALUE, PastMessages
from fedbadges.engine.explanation import count_of
from fedbadges.engine.tracing import LAMBDA_VALUE, Traced
from fedbadges.errors import MissingValue, Unavailable
from fedbadges.lint.rule_nodes import below, criteria_node, trigger_node
from fedbadges.messages import Message
from fedbadges.rules.criteria import DEFAULT_BACKEND, QUESTION_KEYS
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.operators import AllOf, AnyOf, Not
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Category, LambdaTrigger, Topic
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode
from fedbadges.util.text import short_repr

_OPERATORS = {AllOf: "all", AnyOf: "any", Not: "not"}

#: Of a list in a filter, this many are shown in a line.
_MOST = 10

#: JSON holds greater numbers, but not everybody reads them.
_MAX_NUMBER = 2**53

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100

YES, NO, UNASKED = "green", "red", "dim"


@dataclass(frozen=True)
class Part:
    """A check and those below it: ``kind`` and ``text`` are what the rule says there."""

    kind: str
    text: str
    watched: Traced
    parts: tuple[Part, ...]


def parts_of_trigger(rule: Rule, watched: Traced) -> Part:
    """Give the parts of a trigger."""
    return _part(watched, trigger_node(rule))


def parts_of_criteria(rule: Rule, watched: Traced) -> Part:
    """Give the parts of criteria."""
    return _part(watched, criteria_node(rule))


def name_of(part: Part) -> str:
    """Say what the rule says there."""
    return f"{part.kind} {part.text}" if part.text else part.kind


def short(value: Any) -> str:
    """Show a value, whatever it is, in a few words."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # a number of thousands of digits
        return f"a very long {type(value).__name__}"


def words_of_stumble(error: BaseException) -> str:
    """Say what went wrong."""
    return str(error) if isinstance(error, (MissingValue, Unavailable)) else short_repr(error)


def why_not(part: Part) -> str:
    """Say in a line which part decides that it does not hold."""
    watched = part.watched
    if part.parts:
        decisive = [each for each in part.parts if each.watched.raised or not each.watched.answer]
        if part.kind == "not" or not decisive:
            return f"{part.kind} {', '.join(name_of(each) for each in part.parts)}"
        return why_not(decisive[0])
    if watched.raised is not None:
        return words_of_stumble(watched.raised)
    value = f"; {_value(watched)}" if VALUE in watched.details else ""
    return f"it depends on {name_of(part)}{value}"


def branch_of(part: Part, message: Message) -> Branch:
    """Say it all for people."""
    watched = part.watched
    if not watched.asked:
        return Branch(f"{name_of(part)}: not asked, the answer was settled before", (), UNASKED)
    why = _why(part, message)
    return Branch(
        f"{name_of(part)}: {_answer(watched)}{why and ', ' + why}",
        (*(branch_of(each, message) for each in part.parts), *_told(watched)),
        YES if watched.answer else NO,
    )


def data_of(part: Part, message: Message) -> dict[str, Any]:
    """Say it all for programs."""
    watched = part.watched
    data: dict[str, Any] = {
        "part": part.kind,
        "text": part.text,
        "asked": watched.asked,
        "holds": watched.answer,
        "raised": None if watched.raised is None else words_of_stumble(watched.raised),
    }
    compared = _compared(watched, message)
    if compared is not None:
        data["compared_to"] = compared
    data |= {_key(what): _plain(found) for what, found in watched.details.items()}
    counted = count_of(watched)
    if counted is not None:
        data["needed"] = counted.needed
    if part.parts:
        data["parts"] = [data_of(each, message) for each in part.parts]
    return data


def _part(watched: Traced, node: Node) -> Part:
    check = watched.check
    nodes = [each for _, each in below(check, node)]
    parts = tuple(_part(*pair) for pair in zip(watched.parts, nodes, strict=True))
    if type(check) in _OPERATORS:
        return Part(_OPERATORS[type(check)], "", watched, parts)
    if isinstance(check, Topic):
        return Part("topic", check.suffix, watched, ())
    if isinstance(check, Category):
        return Part("category", check.name, watched, ())
    if isinstance(check, LambdaTrigger):
        return Part("lambda", check.expression.text, watched, ())
    if isinstance(check, PastMessages):
        return Part(DEFAULT_BACKEND, f"{check.operation}, {check.condition}", watched, ())
    return Part(*_backend(node), watched, ())


def _backend(node: Node) -> tuple[str, str]:
    """Give a backend's name, and what the rule asks it, from where it says so."""
    assert isinstance(node, MappingNode)
    if any(key in QUESTION_KEYS for key in node.names()):
        return DEFAULT_BACKEND, _inline(node)
    ((key, value),) = node.entries
    return key.text, _inline(value)


def _inline(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return node.text
    if isinstance(node, MappingNode):
        return ", ".join(f"{key.text}: {_nested(value)}" for key, value in node.entries)
    return ", ".join(_nested(item) for item in node.items)


def _nested(node: Node) -> str:
    text = _inline(node)
    if isinstance(node, ScalarNode):
        return text
    return f"{{{text}}}" if isinstance(node, MappingNode) else f"[{text}]"


def _answer(watched: Traced) -> str:
    if watched.raised is not None:
        return "no answer" if isinstance(watched.raised, Unavailable) else "fails"
    return "yes" if watched.answer else "no"


def _why(part: Part, message: Message) -> str:
    watched = part.watched
    if watched.raised is not None:
        return "" if part.parts else words_of_stumble(watched.raised)
    compared = _compared(watched, message)
    if compared is not None:
        return f"the message has {compared}"
    if LAMBDA_VALUE in watched.details:
        return f"it gives {short(watched.details[LAMBDA_VALUE])}"
    counted = count_of(watched)
    if counted is not None:
        return str(counted)
    return _value(watched) if VALUE in watched.details else ""


def _value(watched: Traced) -> str:
    least = "at least " if watched.details.get(AT_LEAST) else ""
    return f"the value is {least}{short(watched.details[VALUE])}"


def _compared(watched: Traced, message: Message) -> str | None:
    if isinstance(watched.check, Topic):
        return message.topic
    return message.category if isinstance(watched.check, Category) else None


def _told(watched: Traced) -> Iterator[Branch]:
    """Say what a criterion told, but for what stands in its own line."""
    for what, found in watched.details.items():
        if isinstance(found, FilledFilter):
            for key, value in _filter(found).items():
                yield Branch(f"{key}: {_listed(value) if isinstance(value, list) else value}")
        elif what not in (VALUE, AT_LEAST, LAMBDA_VALUE):
            words = ("no", "yes")[found] if isinstance(found, bool) else None
            text = found if isinstance(found, str) else short(found)
            yield Branch(f"{what}: {words or text}")


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - _MOST} more" if len(values) > _MOST else ""
    return f"{', '.join(values[:_MOST])}{more}"


def _filter(filled: FilledFilter) -> dict[str, Any]:
    lists: dict[str, Any] = {key: list(values) for key, values in filled.lists}
    others = {
        "msg_id": filled.msg_id,
        "start": filled.start and filled.start.isoformat(),
        "end": filled.end and filled.end.isoformat(),
    }
    return lists | {key: value for key, value in others.items() if value is not None}


def _key(what: str) -> str:
    return {FILTER: "filter", VALUE: "value", AT_LEAST: "at_least", LAMBDA_VALUE: "gave"}.get(
        what, what
    )


def _plain(found: Any) -> Any:
    if isinstance(found, FilledFilter):
        return _filter(found)
    if found is None or isinstance(found, bool):
        return found
    if isinstance(found, (int, float)) and abs(found) < _MAX_NUMBER:  # no NaN either
        return found
    if isinstance(found, Mapping):
        return {str(key): _plain(value) for key, value in found.items()}
    return found if isinstance(found, str) else short(found)
