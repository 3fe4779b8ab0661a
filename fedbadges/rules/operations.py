"""Operations: what a criterion computes over the past messages that its filter gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedbadges.messages import Message
from fedbadges.rules.document import Mapping, Node, Scalar
from fedbadges.rules.expressions import Expression, parse_expression
from fedbadges.rules.parsing import only_entry
from fedbadges.rules.problems import Problems, shown


@dataclass(frozen=True)
class Count:
    """How many past messages there are."""


@dataclass(frozen=True)
class LambdaOperation:
    """What an expression over ``query`` makes of the past messages."""

    expression: Expression

    def compute(self, query: Callable[[], Any], message: Message) -> Any:
        """Evaluate the expression over the query, with its templates filled from ``message``.

        Raises templates.Missing, and whatever the expression raises.
        """
        filled = self.expression.fill(message.body)
        return self.expression(query(), filled)


Operation = Count | LambdaOperation


def parse_operation(node: Node, problems: Problems) -> Operation | None:
    """Parse ``operation:``, which is ``count`` or a lambda over ``query``."""
    if isinstance(node, Scalar) and node.value == "count":
        return Count()
    if isinstance(node, Mapping):
        entry = only_entry(node, ["lambda"], "an operation", problems)
        if entry is None:
            return None
        expression = parse_expression(entry[1], "query", problems, templates=True)
        return None if expression is None else LambdaOperation(expression)
    found = shown(node.text) if isinstance(node, Scalar) else node.kind
    problems.add(node.place, f"an operation is 'count' or 'lambda: …' over query, not {found}")
    return None
