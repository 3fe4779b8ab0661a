"""What is wrong with a rule file, and where: one line each, all of them at once."""

from __future__ import annotations

from collections.abc import Iterator

from fedbadges.errors import Place, Problem, RuleError

#: Of more mistakes than these in one file nobody reads.
MAX_PROBLEMS = 100


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
