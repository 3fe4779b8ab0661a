"""Criteria about the badges that somebody holds."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Protocol, TypeGuard

from fedbadges.errors import Place
from fedbadges.rules.criteria import Criteria, Criterion, backend_criteria, only_grows
from fedbadges.rules.parsing import Problems
from fedbadges.rules.yaml_document import MappingNode, Node, SequenceNode

#: The criteria backend that is asked for badges.
BACKEND = "tahrir"

#: The badges that somebody holds, each with its tags.
Held = Mapping[str, Set[str]]

#: Where the cache of a message has what somebody holds, under this and the name.
HELD = "held"


@dataclass(frozen=True)
class BadgeName:
    """The id of a badge that criteria name."""

    badge_id: str
    place: Place


class HoldingCriterion(Protocol):
    """A criterion whose answer depends on nothing but the badges that the candidate holds."""

    def badge_names(self) -> Iterator[BadgeName]:
        """Yield the badges that it names."""


def asks_for_badges(criterion: Criterion) -> TypeGuard[HoldingCriterion]:
    """Return True for a HoldingCriterion."""
    return hasattr(criterion, "badge_names")


def check_untriggered(criteria: Criteria | None, node: Node, problems: Problems) -> bool:
    """Return True if criteria ask for badges alone, and report it if more can make them false.

    They are None if the ``node`` that they were read from has mistakes.
    """
    if criteria is None:
        return _has_key(node, BACKEND)
    if not all(map(asks_for_badges, backend_criteria(criteria))):
        return False
    if not only_grows(criteria):
        text = (
            "more badges can make this false, so it takes a 'trigger': without one, it would "
            "depend on the order in which badges are awarded"
        )
        problems.add(criteria.place, text)
    return True


def _has_key(node: Node, name: str) -> bool:
    if isinstance(node, SequenceNode):
        return any(_has_key(item, name) for item in node.items)
    entries = node.entries if isinstance(node, MappingNode) else ()
    return any(key.text == name or _has_key(value, name) for key, value in entries)
