"""Conditions: what the result of a criterion's operation must satisfy."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fedbadges.errors import Place, Problem
from fedbadges.rules.expressions import Expression, parse_expression
from fedbadges.rules.grammar import LAMBDA, Kind, Schema, mapping_of
from fedbadges.rules.hints import SIGNS, comparison
from fedbadges.rules.parsing import Problems, only_entry
from fedbadges.rules.templates import find_template
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode
from fedbadges.util.text import quoted

#: The comparisons of a result with a number, by their names.
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "greater than or equal to": operator.ge,
    "greater than": operator.gt,
    "less than or equal to": operator.le,
    "less than": operator.lt,
    "equal to": operator.eq,
    "is not": operator.ne,
    "is not equal to": operator.ne,
}
COMPARISONS |= {
    f"is {name}": compare for name, compare in COMPARISONS.items() if not name.startswith("is ")
}

#: What a condition may be, in the order in which messages list them.
CONDITIONS = (*COMPARISONS, "lambda")

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")


@dataclass(frozen=True)
class Comparison:
    """The result compared with a number."""

    name: str
    threshold: int | float
    compare: Callable[[Any, Any], bool] = field(compare=False, repr=False)
    place: Place = field(compare=False)

    @property
    def enough(self) -> int | None:
        """Return the least count from which on the answer is the same; None for no number."""
        if not math.isfinite(self.threshold):
            return None
        if self.compare is operator.ge:
            return math.ceil(self.threshold)
        return math.floor(self.threshold) + 1

    @property
    def needed(self) -> int | None:
        """Return the count from which on it holds; None where it is no such condition."""
        if self.compare is operator.ne and self.threshold == 0:
            return 1  # no count is less
        return self.enough if self.compare in (operator.ge, operator.gt) else None

    def __str__(self) -> str:
        return f"{self.name} {self.threshold}"

    def holds(self, value: Any) -> bool:
        """Return True if ``value`` satisfies the condition; raise TypeError if it is no number."""
        return bool(self.compare(value, self.threshold))


@dataclass(frozen=True)
class LambdaCondition:
    """The result passed to an expression over ``value``."""

    expression: Expression
    place: Place = field(compare=False)

    enough = None
    needed = None

    def __str__(self) -> str:
        return f"lambda: {self.expression.text}"

    def holds(self, value: Any) -> bool:
        """Return True if the expression is true of ``value``; raise what it raises."""
        return bool(self.expression(value))


Condition = Comparison | LambdaCondition


def _report_sign(node: Node, problems: Problems) -> bool:
    """Report a comparison that is written by a sign; return True if there is one."""
    if isinstance(node, MappingNode) and node.entries:
        key, _ = node.entries[0]
        if key.text in SIGNS:
            meant = SIGNS[key.text]
            text = f"unknown key '{key.text}' in a condition; did you mean '{meant}'?"
            problems.append(Problem(key.place, text, (key.text, meant)))
            return True
    elif isinstance(node, ScalarNode) and (words := comparison(node.text)):
        problems.add(
            node.place,
            f"a condition is a mapping, and this is {quoted(node.text)}; write '{words}: …'",
        )
        return True
    return False


def _read_condition(node: Node, _: str, problems: Problems) -> Condition | None:
    if _report_sign(node, problems):
        return None
    entry = only_entry(node, CONDITIONS, "a condition", problems)
    if entry is None:
        return None
    name, value = entry[0].text, entry[1]
    if name == "lambda":
        start = find_template(value.text) if isinstance(value, ScalarNode) else None
        if isinstance(value, ScalarNode) and start is not None:
            text = "a condition knows 'value' alone; templates stand in filters and operations"
            problems.add(value.place_at(start), text)
            return None
        expression = parse_expression(value, "value", problems)
        return None if expression is None else LambdaCondition(expression, node.place)
    number = value.value if isinstance(value, ScalarNode) else None
    if isinstance(number, (int, float)) and not isinstance(number, bool) and number == number:
        return Comparison(name, number, COMPARISONS[name], node.place)
    if number != number:
        found = "none"
    else:
        found = quoted(value.text) if isinstance(value, ScalarNode) else value.kind
        if isinstance(number, str) and _NUMBER.fullmatch(number.strip()):
            found += "; remove the quotes"
    problems.add(value.place, f"'{name}' compares with a number, and this is {found}")
    return None


def _number(key: str) -> Schema:
    meaning = f"The result is {key.removeprefix('is ')} this number."
    return {"description": meaning, "type": "number"}


#: What stands below ``condition:``.
CONDITION_KIND = Kind(
    _read_condition,
    mapping_of({key: LAMBDA if key == "lambda" else _number(key) for key in CONDITIONS}),
)
