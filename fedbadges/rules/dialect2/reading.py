"""The parts of a rule of fedbadges 2.x: its keys, and what becomes of them."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, TypeGuard

from fedbadges.errors import Place
from fedbadges.rules.conditions import CONDITION_KIND, Comparison, Condition
from fedbadges.rules.criteria import (
    DEFAULT_BACKEND,
    Backend,
    Backends,
    Criteria,
    Criterion,
    PlacedCriterion,
    Question,
)
from fedbadges.rules.dialect2.expressions import compile_message_expression, read_recipient
from fedbadges.rules.dialect2.filters import FILTER_KIND
from fedbadges.rules.dialect2.operations import OPERATION_KIND
from fedbadges.rules.dialect2.syntax import MESSAGE, check_names, parse_syntax
from fedbadges.rules.filters import Filter
from fedbadges.rules.grammar import TEXT, YES_NO, Fields, FieldSpec, Kind, record_of
from fedbadges.rules.naming import Naming, Recipient
from fedbadges.rules.operations import Operation
from fedbadges.rules.operators import AllOf, AnyOf, Not
from fedbadges.rules.parsing import Problems
from fedbadges.rules.recipients import CONVERSIONS
from fedbadges.rules.templates import Template, TemplatePath
from fedbadges.rules.triggers import LambdaTrigger, Trigger
from fedbadges.rules.yaml_document import MappingNode

_PREVIOUS = record_of(
    "'previous'",
    {
        "filter": FieldSpec(FILTER_KIND, "Which past messages count.", True),
        "operation": FieldSpec(
            OPERATION_KIND, "What to compute over them: count, or a lambda.", True
        ),
    },
    full=True,
)

#: The keys of a rule that this dialect has instead of the other's.
KEYS: Mapping[str, FieldSpec] = {
    "previous": FieldSpec(_PREVIOUS, "What is computed over past messages; without, it is 1."),
    "condition": FieldSpec(
        CONDITION_KIND, "What that must satisfy; without, 'greater than or equal to: 1'."
    ),
    "recipient": FieldSpec(
        Kind(read_recipient, TEXT),
        "An expression that gives a name or a list of them; without, the message's agent.",
    ),
    **{
        key: FieldSpec(YES_NO, f"Yes, if the recipient is {kind}.")
        for key, kind in CONVERSIONS.items()
    },
}


class AskingBackend(Protocol):
    """The backend that answers what ``previous`` asks."""

    def ask(self, chosen: Filter, operation: Operation, condition: Condition) -> Criterion:
        """Return the criterion, which is judged for each candidate since there is its account."""


class Parts(NamedTuple):
    """What this dialect says otherwise than the other one."""

    trigger: Trigger
    criteria: Criteria
    naming: Naming


@dataclass(frozen=True)
class SingleMessage:
    """A criterion without past messages: the value is 1."""

    condition: Condition
    place: Place = field(compare=False)

    needs_history = False
    names_recipient = False

    def holds(self, subject: Question) -> bool:
        """Return True if 1 satisfies the condition."""
        return self.condition.holds(1)


def make_parts(
    rule: MappingNode, found: Fields, backends: Backends, problems: Problems
) -> Parts | None:
    """Make a rule's parts of what was read of its keys; report what is wrong with them."""
    conversions = frozenset(key for key in CONVERSIONS if found.values.get(key))
    agent = Template("message.agent_name", (TemplatePath("agent", rule.place),), rule.place)
    recipient = Recipient((found.values.get("recipient", agent),), conversions)
    before = len(problems)
    trigger = found.values.get("trigger")
    if trigger is not None:
        trigger = _over_message(trigger, problems)
    criteria = _criteria(rule, found, backends, problems)
    if trigger is None or criteria is None or len(problems) > before:
        return None
    return Parts(trigger, criteria, Naming(recipient))


def _criteria(
    rule: MappingNode, found: Fields, backends: Backends, problems: Problems
) -> Criteria | None:
    condition = found.values.get("condition")
    if condition is None:
        condition = Comparison("greater than or equal to", 1, operator.ge, rule.place)
    node, previous = rule.get("previous"), found.values.get("previous")
    if node is None and "condition" not in found.places:
        return AllOf((), rule.place)
    if node is None:
        place = found.places.get("condition", rule.place)
        single = SingleMessage(condition, place)
        return PlacedCriterion("condition", single, place, f"1, {condition}")
    backend = backends.get(DEFAULT_BACKEND)
    if not _asks(backend):
        place = found.places["previous"]
        problems.add(place, f"'previous' needs the criteria backend '{DEFAULT_BACKEND}'")
        return None
    values = {} if previous is None else previous.values
    if values.keys() != {"filter", "operation"}:  # reported already
        return None
    criterion = backend.ask(values["filter"], values["operation"], condition)
    return PlacedCriterion(DEFAULT_BACKEND, criterion, node.place, str(node)[1:-1])


def _asks(backend: Backend | None) -> TypeGuard[AskingBackend]:
    return hasattr(backend, "ask")


def _over_message(trigger: Trigger, problems: Problems) -> Trigger:
    """Return a trigger whose lambdas are over ``message`` and not over ``msg``."""
    if isinstance(trigger, (AllOf, AnyOf)):
        parts: Any = tuple(_over_message(each, problems) for each in trigger.parts)
        return replace(trigger, parts=parts)
    if isinstance(trigger, Not):
        return replace(trigger, part=_over_message(trigger.part, problems))
    if not isinstance(trigger, LambdaTrigger):
        return trigger
    source = trigger.expression.source
    assert source is not None, "a lambda has a text"
    node = source.node
    syntax = parse_syntax(node, "the lambda", problems)
    if syntax is None or not check_names(syntax, (MESSAGE,), "a trigger", problems):
        return trigger
    expression = compile_message_expression(node, problems)
    return trigger if expression is None else replace(trigger, expression=expression)
