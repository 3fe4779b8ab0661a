"""Criteria: the dear check, questions to backends and how they combine.

A backend is found by its name through the entry point group ``fedbadges.criteria``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from fedbadges.messages import Message
from fedbadges.rules.operators import OPERATORS, Check, leaves, parse_operator
from fedbadges.rules.parsing import as_mapping, only_entry
from fedbadges.rules.problems import Problems
from fedbadges.rules.yaml_document import MappingNode, Node

T = TypeVar("T")

#: The backend that ``filter``, ``operation`` and ``condition`` directly below criteria mean.
DEFAULT_BACKEND = "datanommer"
QUESTION_KEYS = ("filter", "operation", "condition")


@dataclass(frozen=True)
class Question:
    """What criteria are asked: whether they hold for this message, and this candidate.

    ``recipient`` is None for criteria that do not name the candidate. ``memo`` belongs to the
    message: what was found out once for it holds for all its rules and candidates. ``shared``
    belongs to all the messages that are decided together. ``listener`` hears what is told; mostly
    there is none.
    """

    message: Message
    recipient: str | None = None
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    shared: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)
    listener: Callable[[str, Any], object] | None = field(default=None, compare=False, repr=False)

    def once(self, key: Any, compute: Callable[[], T]) -> T:
        """Give what ``compute`` gave for this key, computing it the first time only."""
        return _once(self.memo, key, compute)

    def once_for_all(self, key: Any, compute: Callable[[], T]) -> T:
        """Do the same for what depends on the key alone, whichever the message."""
        return _once(self.shared, key, compute)

    def tell(self, what: str, found: Any) -> None:
        """Tell what an answer comes from, for those who ask why; mostly nobody listens."""
        if self.listener is not None:
            self.listener(what, found)


Criteria = Check[Question]


class Criterion(Protocol):
    """One question to a backend."""

    @property
    def needs_history(self) -> bool:
        """Whether the message must have been stored in datanommer before it is asked."""

    @property
    def names_recipient(self) -> bool:
        """Whether the answer can differ from candidate to candidate."""

    def holds(self, subject: Question) -> bool:
        """Ask; raises Unavailable, MissingValue, or what the rule's own lambdas raise."""


@runtime_checkable
class PlanningCriterion(Protocol):
    """A criterion that answers several questions with less work than one after the other."""

    def plan(self, subject: Question) -> None:
        """Take note, in ``shared``, of what it may be asked; raises as ``holds`` does."""


class Backend(Protocol):
    """What an entry point of the group ``fedbadges.criteria`` gives, called with the settings."""

    def parse(self, node: Node, problems: Problems) -> Criterion | None:
        """Parse what a rule has below the backend's name; None after reporting what is wrong."""


Backends = Mapping[str, Backend]


def parse_criteria(node: Node, backends: Backends, problems: Problems) -> Criteria | None:
    """Parse the mapping below ``criteria:``, or below one of its operators."""
    if isinstance(node, MappingNode) and _is_direct(node, backends):
        return backends[DEFAULT_BACKEND].parse(node, problems)
    entry = only_entry(node, (*backends, *OPERATORS), "criteria", problems)
    if entry is None:
        return None
    key, value = entry
    if key.text in OPERATORS:
        return parse_operator(
            key.text, value, lambda part: parse_criteria(part, backends, problems), problems
        )
    if as_mapping(value, f"'{key.text}'", problems) is None:
        return None
    before = len(problems)
    criterion = backends[key.text].parse(value, problems)
    if criterion is None and len(problems) == before:
        problems.add(value.place, f"'{key.text}' refuses this, and does not say why")
    return criterion


def needs_history(criteria: Criteria) -> bool:
    """Tell whether any part looks at past messages."""
    return any(leaf.needs_history for leaf in leaves(criteria))


def names_recipient(criteria: Criteria) -> bool:
    """Tell whether each candidate is to be judged by itself."""
    return any(leaf.names_recipient for leaf in leaves(criteria))


def _once(memo: dict[Any, Any], key: Any, compute: Callable[[], T]) -> T:
    if key not in memo:
        memo[key] = compute()
    found: T = memo[key]
    return found


def _is_direct(node: MappingNode, backends: Backends) -> bool:
    return DEFAULT_BACKEND in backends and any(key in QUESTION_KEYS for key in node.names())
