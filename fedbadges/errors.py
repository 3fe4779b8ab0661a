"""Every exception that crosses a package, and the places that they name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fedbadges.util.text import printable


@dataclass(frozen=True, order=True)
class Place:
    """A place in a file; line and column count from 1."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{printable(self.path)}:{self.line}:{self.column}"


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: where it is, and what would be right."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class RuleError(Exception):
    """A rule file has mistakes; ``problems`` has them, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SettingsError(Exception):
    """The configuration cannot be used; ``lines`` has one line for each thing that is wrong."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("\n".join(lines))


class CannotStart(Exception):
    """Something is wrong that waiting does not mend; its text is one line."""


class Unavailable(Exception):
    """A backend cannot answer now; the question stands, and is to be asked again."""


class Broken(Unavailable):
    """A database answers, but it lacks what every question needs: the schema, or the rights."""


class Stopped(Exception):
    """The daemon stops, and what was asked was not answered before."""


class NotHandled(Exception):
    """A message is not done with, and is to be handed over again, if whoever has it can."""


class NotStored(Exception):
    """datanommer did not answer before the daemon stopped, and nobody else stores messages."""

    def __init__(self) -> None:
        super().__init__("it could not be stored before the daemon stopped")


class Missing(LookupError):
    """The message lacks what a template names, or has nothing usable there."""


class Rejected(RuntimeWarning):
    """A message is not to be heeded: what the hub takes as an invalid one.

    ``reason`` says why, in words that are ours; ``signer`` is the certificate's name, where it is
    the CA's certificate and the signature is true.
    """

    def __init__(self, reason: str, signer: str | None = None) -> None:
        self.reason = reason
        self.signer = signer
        super().__init__(reason if signer is None else f"{reason} (signed by {signer!r})")


class Unfitting(Rejected):
    """A message says something else than what was signed."""
