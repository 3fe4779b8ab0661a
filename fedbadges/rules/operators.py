"""``all``, ``any`` and ``not``, which combine triggers as well as criteria."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from fedbadges.rules.parsing import each_item
from fedbadges.rules.problems import Problems
from fedbadges.rules.yaml_document import Node

Subject_contra = TypeVar("Subject_contra", contravariant=True)
Subject = TypeVar("Subject")

OPERATORS = ("all", "any", "not")


class Check(Protocol[Subject_contra]):
    """Something that holds, or not, of a subject; what goes wrong with it, it raises."""

    def holds(self, subject: Subject_contra) -> bool:
        """Tell whether it holds."""


@dataclass(frozen=True)
class AllOf(Generic[Subject]):
    """Holds if every part does; the parts are asked in their order."""

    parts: tuple[Check[Subject], ...]

    def holds(self, subject: Subject) -> bool:
        """Tell whether every part holds, asking up to the first that does not."""
        return all(part.holds(subject) for part in self.parts)


@dataclass(frozen=True)
class AnyOf(Generic[Subject]):
    """Holds if at least one part does; the parts are asked in their order."""

    parts: tuple[Check[Subject], ...]

    def holds(self, subject: Subject) -> bool:
        """Tell whether one part holds, asking up to the first that does."""
        return any(part.holds(subject) for part in self.parts)


@dataclass(frozen=True)
class Not(Generic[Subject]):
    """Holds if its part does not."""

    part: Check[Subject]

    def holds(self, subject: Subject) -> bool:
        """Tell whether the part does not hold."""
        return not self.part.holds(subject)


def parse_operator(
    name: str,
    node: Node,
    parse: Callable[[Node], Check[Subject] | None],
    problems: Problems,
) -> Check[Subject] | None:
    """Parse what stands below the operator ``name``, each part with ``parse``."""
    if name == "not":
        part = parse(node)
        return None if part is None else Not(part)
    parts = each_item(node, name, parse, problems)
    if parts is None:
        return None
    return AllOf(parts) if name == "all" else AnyOf(parts)


def leaves(check: Check[Any]) -> Iterator[Any]:
    """Give what stands below all operators."""
    if isinstance(check, Not):
        yield from leaves(check.part)
    elif isinstance(check, (AllOf, AnyOf)):
        for part in check.parts:
            yield from leaves(part)
    else:
        yield check
