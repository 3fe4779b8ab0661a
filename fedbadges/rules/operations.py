"""Operations: what a criterion computes over the past messages that its filter selects."""

from dataclasses import dataclass, field, replace

from fedbadges.errors import Place
from fedbadges.rules.aggregates import OF_DAYS, OF_FIELD, Aggregate
from fedbadges.rules.expressions import Expression, parse_expression
from fedbadges.rules.fields import read_path
from fedbadges.rules.grammar import LAMBDA, Kind, Schema, mapping_of
from fedbadges.rules.parsing import Problems, as_text, only_entry
from fedbadges.rules.past_fields import ROOTS, PastFields, narrowed
from fedbadges.rules.templates import PATH, RECIPIENT
from fedbadges.rules.yaml_document import Node, ScalarNode, SequenceNode
from fedbadges.util.text import join_quoted, quoted, suggestion

_WORDS = ("count", *OF_DAYS)
_OPERATIONS = (*_WORDS, *OF_FIELD, "lambda")


@dataclass(frozen=True)
class Operation:
    """How many past messages there are, or the value of an expression over ``query``.

    ``aggregate`` is what makes it where the rule names an operation that is no count.
    """

    expression: Expression | None
    place: Place = field(compare=False)
    aggregate: Aggregate | None = field(default=None, compare=False, repr=False)

    @property
    def unit(self) -> str:
        """Return what the value counts, in the singular; nothing if that are messages."""
        return "" if self.aggregate is None else self.aggregate.unit

    @property
    def has_lambda(self) -> bool:
        """Return True if the rule says it in Python."""
        return self.expression is not None and self.expression.source is not None

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

    def narrowed(self, fields: PastFields) -> "Operation":
        """Return the operation over those past messages alone that have these fields."""
        return replace(self, expression=narrowed(self.expression, fields))

    def __str__(self) -> str:
        if self.expression is None:
            return "count"
        return f"lambda: {self.expression.text}" if self.has_lambda else self.expression.text


def _read_operation(node: Node, _: str, problems: Problems) -> Operation | None:
    if isinstance(node, ScalarNode):
        return _read_word(node, problems)
    if isinstance(node, SequenceNode):
        text = "an operation is one, such as 'count' or 'sum: msg.lines', and this is a list"
        problems.add(node.place, text)
        return None
    entry = only_entry(node, (*OF_FIELD, "lambda"), "an operation", problems)
    if entry is None:
        return None
    name, value = entry[0].text, entry[1]
    if name in OF_FIELD:
        return _read_aggregate(name, value, node.place, problems)
    expression = parse_expression(value, "query", problems, templates=True)
    if expression is None:
        return None
    if any(path.dotted == RECIPIENT for path in expression.paths):
        text = f"'%({RECIPIENT})s' stands in filters, not in operations"
        problems.add(value.place, text)
        return None
    return Operation(expression, node.place)


def _read_word(node: ScalarNode, problems: Problems) -> Operation | None:
    """Read an operation that is a word or several."""
    if node.value == "count":
        return Operation(None, node.place)
    if node.value in OF_DAYS:
        aggregate = OF_DAYS[str(node.value)]
        return Operation(aggregate.expression(node.text), node.place, aggregate)
    if node.value in OF_FIELD:
        text = f"'{node.text}' takes the path of a field, as in '{node.text}: msg.lines'"
    else:
        text = f"{quoted(node.text)} is no operation{suggestion(node.text, _OPERATIONS)}"
    problems.add(node.place, text)
    return None


def _read_aggregate(name: str, node: Node, place: Place, problems: Problems) -> Operation | None:
    """Read an operation over a field of each message."""
    what = f"'{name}'"
    text = as_text(node, what, problems)
    path = None if text is None else read_path(text, problems)
    if path is None:
        return None
    root = path.dotted.partition(".")[0]
    if root not in ROOTS:
        roots = join_quoted(ROOTS)
        problems.add(
            node.place, f"{what} takes a path of a past message, which begins with {roots}"
        )
        return None
    aggregate = OF_FIELD[name]
    return Operation(aggregate.expression(name, path), place, aggregate)


_PAST_PATH = rf"^\s*(?=({'|'.join(ROOTS)})(\.|\s*$)){PATH}\s*$"


def _of_field(aggregate: Aggregate) -> Schema:
    return {"description": aggregate.meaning, "type": "string", "pattern": _PAST_PATH}


#: What stands below ``operation:``.
OPERATION_KIND = Kind(
    _read_operation,
    {
        "anyOf": [
            {"enum": list(_WORDS)},
            mapping_of(
                {**{name: _of_field(each) for name, each in OF_FIELD.items()}, "lambda": LAMBDA}
            ),
        ]
    },
)
