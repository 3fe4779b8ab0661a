"""Fields of past messages: which of those that a filter selects an operation sees."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from fedbadges.rules.comparisons import EQUAL, MISSING, Comparison, Index, Values, conjuncts
from fedbadges.rules.expressions import Expression, Fold, Function, Join
from fedbadges.rules.field_code import UNDECIDED, QuickTest, quick_test
from fedbadges.rules.fields import (
    FIELDS_KIND,
    Decision,
    Field,
    Reader,
    body_reader,
    fields_text,
    index_of,
    resolved,
)
from fedbadges.rules.grammar import Kind
from fedbadges.rules.parsing import Problems
from fedbadges.rules.templates import TemplatePath
from fedbadges.rules.yaml_document import Node
from fedbadges.util.text import join_quoted, quoted

#: What a past message has.
ROOTS = ("msg", "topic")


@dataclass(frozen=True)
class PastFields:
    """What past messages must have to count, as an Expression has it.

    ``paths`` are those of its templates. See Expression for ``test`` and ``join``.
    """

    fields: tuple[Field, ...]
    paths: tuple[TemplatePath, ...]
    test: Function = field(compare=False, repr=False)
    join: Join | None = field(compare=False, repr=False)

    @property
    def text(self) -> str:
        """Return the fields on one line."""
        return fields_text(self.fields)


def past_fields(fields: tuple[Field, ...]) -> PastFields:
    """Return the test of past messages that must have these fields."""
    paths = {path.dotted: path for each in fields for path in each.check.paths}
    index = index_of(paths.values())
    decisions = [each.decision(past_reader(each.path), index) for each in fields]
    quick = quick_test(((each.path, each.check) for each in fields), index)
    test = _quickly(quick, _all_of(decisions))
    return PastFields(fields, tuple(paths.values()), test, _join(fields, index))


def narrowed(expression: Expression | None, test: PastFields) -> Expression:
    """Return what an operation computes over those messages alone that have what is wanted.

    ``expression`` is None for a count, or a fold that is no lambda.
    """
    if expression is None:
        text = f"count, fields {test.text}"
        return Expression(
            text, "query", test.paths, None, _counting(test), test=test.test, join=test.join
        )
    assert expression.fold is not None, "a lambda sees the messages that its filter selects"
    first, passes, function = len(expression.paths), test.test, expression.function

    def compute(query: Iterable[Any], values: Values) -> Any:
        seen = (message for message in query if passes(message, values[first:]))
        return function(seen, values[:first])

    return replace(
        expression,
        text=f"{expression.text}, fields {test.text}",
        paths=(*expression.paths, *test.paths),
        function=compute,
        fold=_narrowed_fold(expression.fold, test, first),
    )


def past_reader(path: TemplatePath) -> Reader:
    """Return what reads a path of a past message; ROOTS has what may be at its beginning."""
    root, _, rest = path.dotted.partition(".")
    if root != "msg":
        return lambda message: resolved(path, {root: getattr(message, root)})
    if not rest:
        return lambda message: message.msg
    read = body_reader(TemplatePath(rest))
    return lambda message: read(message.msg)


def _quickly(quick: QuickTest, test: Function) -> Function:
    """Return a test that asks another one only where the quick one does not know the answer."""

    def passes(message: Any, values: Values) -> bool:
        try:
            return quick(message, values)
        except UNDECIDED:
            pass
        return bool(test(message, values))

    return passes


def _all_of(decisions: list[Decision]) -> Function:
    if len(decisions) == 1:
        (decide,) = decisions
        return lambda message, values: bool(decide(message, values))
    return lambda message, values: all(decide(message, values) for decide in decisions)


def _counting(test: PastFields) -> Function:
    passes = test.test
    return lambda query, values: sum(1 for message in query if passes(message, values))


def _narrowed_fold(fold: Fold, test: PastFields, first: int) -> Fold:
    passes, each, finish = test.test, fold.each, fold.finish
    return replace(
        fold,
        each=lambda message, values: (
            each(message, values[:first]) if passes(message, values[first:]) else ()
        ),
        finish=lambda items, values: finish(items, values[:first]),
    )


def _join(fields: tuple[Field, ...], index: Index) -> Join | None:
    """Return how a count by values of templates is one count for all values, if it can be."""
    parts = [Field(each.path, part) for each in fields for part in conjuncts(each.check)]
    compared: list[tuple[Reader, Callable[[Values], Any]]] = []
    others: list[Decision] = []
    for part in parts:
        read, check = past_reader(part.path), part.check
        if not check.paths:
            others.append(part.decision(read, index))
        elif isinstance(check, Comparison) and check.name == EQUAL:
            compared.append((read, check.value.filled(index)))
        else:
            return None
    if not compared:
        return None
    passes = _all_of(others)

    def key(message: Any, _: Values) -> tuple[Any, ...]:
        found = tuple([read(message) for read, _ in compared]) if passes(message, ()) else ()
        return () if MISSING in found else found

    return Join(key, lambda _, values: tuple([fill(values) for _, fill in compared]))


def _read_past_fields(node: Node, what: str, problems: Problems) -> PastFields | None:
    fields: tuple[Field, ...] | None = FIELDS_KIND.read(node, what, problems)
    odd = [each for each in fields or () if each.path.dotted.partition(".")[0] not in ROOTS]
    for each in odd:
        text = f"past messages have no {quoted(each.path.dotted)}; a path begins with"
        problems.add(each.place, f"{text} {join_quoted(ROOTS)}")
    return None if fields is None or odd else past_fields(fields)


#: What stands below ``fields`` in a filter.
PAST_FIELDS_KIND = Kind(_read_past_fields, FIELDS_KIND.schema)
