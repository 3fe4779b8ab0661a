"""Criteria: the expensive check, questions to backends and how they combine."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeGuard, TypeVar, runtime_checkable

from fedbadges.errors import MissingValue, Place
from fedbadges.messages import Message, Position
from fedbadges.rules.filters import FilledFilter
from fedbadges.rules.grammar import Schema, mapping_of, operators_over, ref
from fedbadges.rules.operators import (
    RULE_ERRORS,
    AllOf,
    AnyOf,
    Check,
    Not,
    leaves,
    operands,
    parse_combined,
)
from fedbadges.rules.parsing import Problems, as_mapping
from fedbadges.rules.yaml_document import MappingNode, Node

T = TypeVar("T")

#: The backend that ``filter``, ``operation`` and ``condition`` directly below criteria mean.
DEFAULT_BACKEND = "datanommer"
QUESTION_KEYS = ("filter", "operation", "condition")


@dataclass(frozen=True)
class Question:
    """What criteria are asked: whether they hold for this message and this candidate.

    ``recipient`` is None for criteria that do not name the candidate. ``message_cache`` is for all
    rules and candidates of the message, ``batch_cache`` for all messages that are decided together.
    ``observer``, if any, is called with the details of an answer. ``overruled`` are errors of parts
    of ``all`` beside others that are false. ``position`` is the message's own, up to which past
    messages count; None means all that are stored.
    """

    message: Message
    recipient: str | None = None
    message_cache: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    batch_cache: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    observer: Callable[[str, Any], object] | None = field(default=None, compare=False, repr=False)
    overruled: list[BaseException] = field(default_factory=list, compare=False, repr=False)
    position: Position | None = None

    def once(self, key: Any, compute: Callable[[], T]) -> T:
        """Return what ``compute`` returns; compute it once for a message and a key."""
        return _once(self.message_cache, key, compute)

    def once_in_batch(self, key: Any, compute: Callable[[], T]) -> T:
        """Return what ``compute`` returns; compute it once for a key, whichever the message."""
        return _once(self.batch_cache, key, compute)

    def overrule(self, error: BaseException) -> None:
        """Note an error of a part of ``all`` beside one that is false."""
        self.overruled.append(error)

    def tell(self, what: str, found: Any) -> None:
        """Report a detail of how an answer was found, for ``fedbadges explain``."""
        if self.observer is not None:
            self.observer(what, found)


def _once(cache: dict[Any, Any], key: Any, compute: Callable[[], T]) -> T:
    # Keys are large: their hash is computed no more often than needed.
    found: T = cache.get(key, _UNKNOWN)
    if found is _UNKNOWN:
        cache[key] = found = compute()
    return found


_UNKNOWN: Any = object()

#: Where a batch's cache has the positions of its messages.
POSITIONS = "positions"

Criteria = Check[Question]


class Criterion(Protocol):
    """One question to a backend."""

    @property
    def needs_history(self) -> bool:
        """Return True if the message must be stored in datanommer before the question."""

    @property
    def names_recipient(self) -> bool:
        """Return True if the answer can differ from candidate to candidate."""

    def holds(self, subject: Question) -> bool:
        """Return the answer; raise Unavailable, MissingValue or what the rule's lambdas raise."""


class PlanningCriterion(Protocol):
    """A criterion that answers several questions with less work than one after the other."""

    def plan(self, subject: Question) -> None:
        """Note a coming question in its ``batch_cache``; raise as ``holds`` does."""


class FilteringCriterion(Protocol):
    """A criterion whose answer depends on the past messages that a filter selects."""

    def filled(self, subject: Question) -> FilledFilter:
        """Return the filter with its values; raise as ``holds`` does."""


class BoundedCriterion(Protocol):
    """A criterion of which it can be quick to say that it does not hold."""

    def cannot_hold(self, subject: Question) -> bool:
        """Return True if the answer is no and quick to find; raise as ``holds`` does."""


class ReadingCriterion(Protocol):
    """A criterion that reads values of the message."""

    def read(self, subject: Question) -> None:
        """Raise MissingValue if the message lacks one of them, without asking the backend."""


# ``isinstance`` of a protocol takes longer than what these are asked for, for every message.


def plans(criterion: Criterion) -> TypeGuard[PlanningCriterion]:
    """Return True for a PlanningCriterion."""
    return hasattr(criterion, "plan")


def filters(criterion: Criterion) -> TypeGuard[FilteringCriterion]:
    """Return True for a FilteringCriterion."""
    return hasattr(criterion, "filled")


def is_bounded(criterion: Criterion) -> TypeGuard[BoundedCriterion]:
    """Return True for a BoundedCriterion."""
    return hasattr(criterion, "cannot_hold")


def reads(criterion: Criterion) -> TypeGuard[ReadingCriterion]:
    """Return True for a ReadingCriterion."""
    return hasattr(criterion, "read")


@runtime_checkable
class NamingCriterion(Protocol):
    """A criterion that compares values of the message with names."""

    def with_user_paths(self, paths: frozenset[str]) -> Criterion:
        """Return the criterion for a rule in which the templates with these paths name users."""


@dataclass(frozen=True)
class PlacedCriterion:
    """A criterion as a part of a rule; ``text`` is what the rule asks the backend, on one line."""

    backend: str
    criterion: Criterion
    place: Place = field(compare=False)
    text: str = field(compare=False)

    def holds(self, subject: Question) -> bool:
        """Return the criterion's answer."""
        return self.criterion.holds(subject)


class Backend(Protocol):
    """What an entry point of the group ``fedbadges.criteria`` makes when called with Settings.

    If it has a ``schema``, that is a JSON Schema of what a rule has below the backend's name. What
    the schema has under ``$defs`` becomes a definition of the whole.
    """

    def parse(self, node: Node, problems: Problems) -> Criterion | None:
        """Parse what a rule has below the backend's name; return None if that is wrong."""


Backends = Mapping[str, Backend]


def parse_criteria(backends: Backends, node: Node, problems: Problems) -> Criteria | None:
    """Parse the mapping below ``criteria:``, or below one of its operators."""
    parsers = {name: partial(_parse_criterion, name, backend) for name, backend in backends.items()}
    keys = [key.text for key, _ in node.entries] if isinstance(node, MappingNode) else []
    if DEFAULT_BACKEND in backends and any(key in QUESTION_KEYS for key in keys):
        return parsers[DEFAULT_BACKEND](node, problems, node.place)
    parse = partial(parse_criteria, backends)
    return parse_combined(node, "criteria", parsers, parse, problems)


def criteria_definitions(backends: Backends) -> dict[str, Schema]:
    """Return the definitions of a JSON Schema for criteria of these backends.

    ``series-criteria`` are those of a series, whose questions may leave the condition out.
    """
    definitions: dict[str, Schema] = {}
    for name, backend in backends.items():
        described = dict(getattr(backend, "schema", {"type": "object"}))
        definitions |= {**described.pop("$defs", {}), f"criteria-{name}": described}
    single = {name: ref(f"criteria-{name}") for name in backends}
    operators = operators_over("criteria")
    in_series = {**operators_over("series-criteria"), "not": operators["not"]}
    if DEFAULT_BACKEND not in backends:
        whole, series = mapping_of({**single, **operators}), mapping_of({**single, **in_series})
        return {"criteria": whole, "series-criteria": series, **definitions}
    question = definitions[f"criteria-{DEFAULT_BACKEND}"]
    open_question = {
        **question,
        "required": [key for key in question["required"] if key != "condition"],
    }
    single_in_series = {**single, DEFAULT_BACKEND: ref(f"series-criteria-{DEFAULT_BACKEND}")}
    return {
        "criteria": _or_question({**single, **operators}, question["required"]),
        "series-criteria": _or_question(
            {**single_in_series, **in_series}, open_question["required"]
        ),
        f"series-criteria-{DEFAULT_BACKEND}": open_question,
        **definitions,
    }


def _or_question(single: dict[str, Schema], required: list[str]) -> Schema:
    """Describe a mapping with one of these keys, or a question without its backend's name."""
    direct = {key: ref(f"criteria-{DEFAULT_BACKEND}/properties/{key}") for key in QUESTION_KEYS}
    return {
        "type": "object",
        "properties": {**direct, **single},
        "additionalProperties": False,
        "oneOf": [
            {"required": required, "maxProperties": len(direct)},
            *({"required": [key], "maxProperties": 1} for key in single),
        ],
    }


def backend_criteria(criteria: Criteria) -> Iterator[Criterion]:
    """Yield what the backends made of criteria, without the operators."""
    return (leaf.criterion for leaf in leaves(criteria))


def barring_value(
    criteria: Criteria, question: Question, wanted: bool = True
) -> MissingValue | None:
    """Return a value that the message lacks, so that criteria cannot be ``wanted``, if any.

    It is found wherever it stands, also behind a part that decides the answer.
    """
    if isinstance(criteria, Not):
        return barring_value(criteria.part, question, not wanted)
    if isinstance(criteria, PlacedCriterion):
        return _missing_value(criteria.criterion, question)
    barring = (barring_value(part, question, wanted) for part in operands(criteria))
    if isinstance(criteria, AllOf) is wanted:  # it takes every part
        return next(filter(None, barring), None)
    found = list(barring)
    return found[0] if all(found) else None


def _missing_value(criterion: Criterion, question: Question) -> MissingValue | None:
    if reads(criterion):
        try:
            criterion.read(question)
        except MissingValue as error:
            return error
        except RULE_ERRORS:  # raised again where the criterion is asked
            return None
    return None


def known_to_fail(criteria: Criteria, question: Question) -> bool:
    """Return True if it is quick to find that combined criteria do not hold.

    ``all`` asks its parts in their order, and an answer may take long where a later part has none.
    """
    if operands(criteria):
        with contextlib.suppress(*RULE_ERRORS):  # raised again where the criteria are asked
            return _cannot_hold(criteria, question)
    return False


def _cannot_hold(criteria: Criteria, question: Question) -> bool:
    if isinstance(criteria, AllOf):
        return any(_cannot_hold(part, question) for part in criteria.parts)
    if isinstance(criteria, AnyOf):
        return all(_cannot_hold(part, question) for part in criteria.parts)
    if isinstance(criteria, PlacedCriterion) and is_bounded(criteria.criterion):
        return criteria.criterion.cannot_hold(question)
    return False


def hidden_error(criteria: Criteria, question: Question) -> BaseException | None:
    """Return an error that would come as soon as the part that is false were true."""
    if not operands(criteria):
        return None
    overruled = (each for each in question.overruled if not isinstance(each, MissingValue))
    return barring_value(criteria, question) or next(overruled, None)


def only_grows(criteria: Criteria) -> bool:
    """Return True if criteria that hold still hold whatever past messages are stored later."""
    if isinstance(criteria, (AllOf, AnyOf)):
        return all(map(only_grows, criteria.parts))
    if isinstance(criteria, PlacedCriterion):
        criterion = criteria.criterion
        return bool(getattr(criterion, "only_grows", not criterion.needs_history))
    return not any(each.needs_history for each in backend_criteria(criteria))


def with_user_paths(criteria: Criteria, paths: frozenset[str]) -> Criteria:
    """Return criteria for a rule in which the templates with these paths name users."""
    if isinstance(criteria, (AllOf, AnyOf)):
        parts: Any = tuple(with_user_paths(each, paths) for each in criteria.parts)
        return replace(criteria, parts=parts)
    if isinstance(criteria, Not):
        return replace(criteria, part=with_user_paths(criteria.part, paths))
    if isinstance(criteria, PlacedCriterion) and isinstance(criteria.criterion, NamingCriterion):
        return replace(criteria, criterion=criteria.criterion.with_user_paths(paths))
    return criteria


def _parse_criterion(
    name: str, backend: Backend, node: Node, problems: Problems, place: Place
) -> Criteria | None:
    if as_mapping(node, f"'{name}'", problems) is None:
        return None
    before = len(problems)
    criterion = backend.parse(node, problems)
    if criterion is not None:
        text = str(node)[1:-1]  # without the braces
        return PlacedCriterion(name, criterion, place, text)
    if len(problems) == before:
        problems.add(node.place, f"'{name}' refuses this, and does not say why")
    return None
