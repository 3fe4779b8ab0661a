"""``all``, ``any`` and ``not``, which combine triggers as well as criteria.

They follow Kleene's logic of three values, so that the order of the parts does not matter: a part
that raises an error is neither true nor false. One part that holds decides ``any``, and one that
does not decides ``all``, whatever the others raise. Where nothing decides, the error is raised.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from fedbadges.errors import Place, Unavailable
from fedbadges.rules.grammar import OPERATORS
from fedbadges.rules.parsing import Problems, each_item, only_entry
from fedbadges.rules.yaml_document import Node

Subject_contra = TypeVar("Subject_contra", contravariant=True)
Subject = TypeVar("Subject")

#: What the code in a rule may raise: anything, and ``exit()`` must not end the thread.
RULE_ERRORS = (Exception, SystemExit)


class Check(Protocol[Subject_contra]):
    """Something that holds of a subject or does not, or cannot be judged and raises an error."""

    @property
    def place(self) -> Place:
        """Return where the rule says it."""

    def holds(self, subject: Subject_contra) -> bool:
        """Return True if the subject passes the check."""


@runtime_checkable
class NotesErrors(Protocol):
    """A subject for which errors are noted that decide nothing."""

    def overrule(self, error: BaseException) -> None:
        """Note an error of a part of ``all`` beside one that is false."""


@dataclass(frozen=True)
class _Several(Generic[Subject]):
    parts: tuple[Check[Subject], ...]
    place: Place = field(compare=False)

    def _decide(self, subject: Subject, decisive: bool) -> bool:
        """Return ``decisive`` if that is the answer of a part; ask no part after the first such.

        Otherwise raise what a part raised, and Unavailable rather than another error: the part may
        have the decisive answer when it is asked again.
        """
        raised: BaseException | None = None
        try:
            for part in self.parts:
                try:
                    if bool(part.holds(subject)) is decisive:
                        if not (raised is None or decisive or isinstance(raised, Unavailable)):
                            _note(raised, subject)
                        return decisive
                except Unavailable as error:
                    if not isinstance(raised, Unavailable):
                        raised = error
                except RULE_ERRORS as error:
                    raised = error if raised is None else raised
            if raised is not None:
                raise raised
            return not decisive
        finally:
            del raised  # its traceback has this frame, which has it


class AllOf(_Several[Subject]):
    """Holds if every part does; the parts are asked in their order."""

    def holds(self, subject: Subject) -> bool:
        """Return True if every part holds; raise an error if none is false, and one raised it."""
        return self._decide(subject, False)


class AnyOf(_Several[Subject]):
    """Holds if at least one part does; the parts are asked in their order."""

    def holds(self, subject: Subject) -> bool:
        """Return True if one part holds; raise an error if none holds, and one raised it."""
        return self._decide(subject, True)


@dataclass(frozen=True)
class Not(Generic[Subject]):
    """Holds if its part does not."""

    part: Check[Subject]
    place: Place = field(compare=False)

    def holds(self, subject: Subject) -> bool:
        """Return True if the part does not hold; raise what it raises."""
        return not self.part.holds(subject)


def _note(error: BaseException, subject: object) -> None:
    if isinstance(subject, NotesErrors):
        subject.overrule(error)


#: Parses what stands below a key; the check begins at the place.
LeafParser = Callable[[Node, Problems, Place], Check[Subject] | None]


def parse_combined(
    node: Node,
    what: str,
    parsers: Mapping[str, LeafParser[Subject]],
    parse: Callable[[Node, Problems], Check[Subject] | None],
    problems: Problems,
    place: Place | None = None,
) -> Check[Subject] | None:
    """Parse a mapping with one key: one of ``parsers``, or an operator over what ``parse`` parses.

    ``what`` names the mapping in errors; ``place`` is where the check begins, if before it.
    """
    place = place or node.place
    entry = only_entry(node, (*parsers, *OPERATORS), what, problems)
    if entry is None:
        return None
    name, value = entry[0].text, entry[1]
    if name in parsers:
        return parsers[name](value, problems, place)
    if name == "not":
        part = parse(value, problems)
        return None if part is None else Not(part, place)
    parts = each_item(value, name, lambda item: parse(item, problems), problems)
    if parts is None:
        return None
    return AllOf(parts, place) if name == "all" else AnyOf(parts, place)


def operands(check: Check[Any]) -> tuple[Check[Any], ...]:
    """Return the parts that an operator combines; none for any other check."""
    if isinstance(check, Not):
        return (check.part,)
    return check.parts if isinstance(check, _Several) else ()


def leaves(check: Check[Any]) -> Iterator[Any]:
    """Yield the checks below all operators."""
    if not isinstance(check, (Not, _Several)):
        yield check
    for part in operands(check):
        yield from leaves(part)
