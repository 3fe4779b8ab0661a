"""Operations: what a criterion computes over the past messages that its filter selects."""

from dataclasses import dataclass, field, replace

from fedbadges.errors import Place
from fedbadges.rules.expressions import Expression, parse_expression
from fedbadges.rules.grammar import LAMBDA, Kind, mapping_of
from fedbadges.rules.parsing import Problems, only_entry
from fedbadges.rules.templates import RECIPIENT
from fedbadges.rules.yaml_document import MappingNode, Node, ScalarNode
from fedbadges.util.text import quoted


@dataclass(frozen=True)
class Operation:
    """How many past messages there are, or the value of an expression over ``query``."""

    expression: Expression | None
    place: Place = field(compare=False)

    def with_user_paths(self, paths: frozenset[str]) -> "Operation":
        """Return the operation for a rule in which the templates with these paths name users."""
        if self.expression is None:
            return self
        users = self.expression.user_paths | {
            path.dotted
            for path in self.expression.paths
            # What stands below a user is a name in an object or in a list.
            if any(f"{path.dotted}.".startswith(f"{each}.") for each in paths)
        }
        return replace(self, expression=replace(self.expression, user_paths=users))

    def __str__(self) -> str:
        return "count" if self.expression is None else f"lambda: {self.expression.text}"


def _read_operation(node: Node, _: str, problems: Problems) -> Operation | None:
    if isinstance(node, ScalarNode) and node.value == "count":
        return Operation(None, node.place)
    if not isinstance(node, MappingNode):
        found = quoted(node.text) if isinstance(node, ScalarNode) else node.kind
        problems.add(node.place, f"an operation is 'count' or 'lambda: …' over query, not {found}")
        return None
    entry = only_entry(node, ["lambda"], "an operation", problems)
    if entry is None:
        return None
    expression = parse_expression(entry[1], "query", problems, templates=True)
    if expression is None:
        return None
    if any(path.dotted == RECIPIENT for path in expression.paths):
        text = f"'%({RECIPIENT})s' stands in filters, not in operations"
        problems.add(entry[1].place, text)
        return None
    return Operation(expression, node.place)


#: What stands below ``operation:``, which is ``count`` or a lambda over ``query``.
OPERATION_KIND = Kind(
    _read_operation, {"anyOf": [{"const": "count"}, mapping_of({"lambda": LAMBDA})]}
)
