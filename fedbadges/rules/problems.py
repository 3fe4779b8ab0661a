"""What is wrong with a rule file, and where: one line each, all of them at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: Of more mistakes than these in one file nobody reads.
MAX_PROBLEMS = 100


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


class Problems:
    """Collects the mistakes of one file while its parsers go on to find more.

    ``configured`` is False where rules are looked at apart from any deployment.
    """

    def __init__(self, *, configured: bool = True) -> None:
        self._configured = configured
        self._found: list[Problem] = []

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, place: Place, text: str) -> None:
        """Note that ``text`` is wrong at ``place``; raises RuleError where that makes too many."""
        self._found.append(Problem(place, text))
        if len(self._found) > MAX_PROBLEMS:
            what = f"more than {MAX_PROBLEMS} mistakes; the others are not shown"
            raise RuleError([*self._found, Problem(max(self._found).place, what)])

    def lack(self, place: Place, text: str) -> None:
        """Note what the deployment lacks for the rule at ``place``; nothing where there is none."""
        if self._configured:
            self.add(place, text)


def printable(text: str) -> str:
    """Write text for a message on one line, whatever is in it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def shown(text: str) -> str:
    """Quote a piece of a file for a message: on one line, and short enough to read."""
    short = text if len(text) <= 40 else text[:37] + "..."
    return f"'{printable(short)}'"


def listed(words: Iterable[str], last: str = "or") -> str:
    """Quote and join words for a sentence: ``'a', 'b' or 'c'``."""
    quoted = [f"'{word}'" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"


def suggestion(word: str, known: Iterable[str], *, full: bool = False) -> str:
    """Say which known word was probably meant, or list those that exist; with ``full`` both."""
    known = list(known)
    near = difflib.get_close_matches(word[:100], known, n=1)
    if not near:
        return f"; expected {listed(known)}"
    meant = f"; did you mean '{near[0]}'?"
    return f"{meant} There are {listed(known, 'and')}" if full else meant
