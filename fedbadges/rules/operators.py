"""``all``, ``any`` and ``not``, which combine triggers as well as criteria."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from fedbadges.errors import Place
from fedbadges.rules.parsing import Problems, each_item
from fedbadges.rules.yaml_document import Node

Subject_contra = TypeVar("Subject_contra", contravariant=True)
Subject = TypeVar("Subject")


class Check(Protocol[Subject_contra]):
    """Something that holds of a subject or does not; errors are raised to the caller."""

    @property
    def place(self) -> Place:
        """Return where the rule says it."""

    def holds(self, subject: Subject_contra) -> bool:
        """Return True if the subject passes the check."""


@dataclass(frozen=True)
class AllOf(Generic[Subject]):
    """Holds if every part does; the parts are asked in their order."""

    parts: tuple[Check[Subject], ...]
    place: Place = field(compare=False)

    def holds(self, subject: Subject) -> bool:
        """Return True if every part holds; ask no part after the first that does not."""
        return all(part.holds(subject) for part in self.parts)


@dataclass(frozen=True)
class AnyOf(Generic[Subject]):
    """Holds if at least one part does; the parts are asked in their order."""

    parts: tuple[Check[Subject], ...]
    place: Place = field(compare=False)

    def holds(self, subject: Subject) -> bool:
        """Return True if one part holds; ask no part after the first that does."""
        return any(part.holds(subject) for part in self.parts)


@dataclass(frozen=True)
class Not(Generic[Subject]):
    """Holds if its part does not."""

    part: Check[Subject]
    place: Place = field(compare=False)

    def holds(self, subject: Subject) -> bool:
        """Return True if the part does not hold."""
        return not self.part.holds(subject)


def parse_operator(
    name: str,
    node: Node,
    parse: Callable[[Node], Check[Subject] | None],
    problems: Problems,
    place: Place,
) -> Check[Subject] | None:
    """Parse what stands below the operator ``name``, each part with ``parse``.

    ``place`` is where the check as a whole begins.
    """
    if name == "not":
        part = parse(node)
        return None if part is None else Not(part, place)
    parts = each_item(node, name, parse, problems)
    if parts is None:
        return None
    return AllOf(parts, place) if name == "all" else AnyOf(parts, place)


def operands(check: Check[Any]) -> tuple[Check[Any], ...]:
    """Return the parts that an operator combines; none for any other check."""
    if isinstance(check, Not):
        return (check.part,)
    return check.parts if isinstance(check, (AllOf, AnyOf)) else ()


def leaves(check: Check[Any]) -> Iterator[Any]:
    """Yield the checks below all operators."""
    if not isinstance(check, (AllOf, AnyOf, Not)):
        yield check
    for part in operands(check):
        yield from leaves(part)
