"""Collecting the mistakes of a rule file, so that all of them are reported at once."""

from collections.abc import Iterator

from fedbadges.errors import Place, Problem, RuleError

#: How many mistakes of one file are reported.
MAX_PROBLEMS = 100


class Problems:
    """Collects the mistakes of one file while its parsers go on to find more.

    ``configured`` is False where rules are checked without the configuration of a deployment.
    """

    def __init__(self, *, configured: bool = True) -> None:
        self._configured = configured
        self._found: list[Problem] = []

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def add(self, place: Place, text: str) -> None:
        """Add the mistake ``text`` at ``place``; raise RuleError if there are too many."""
        self._found.append(Problem(place, text))
        if len(self._found) > MAX_PROBLEMS:
            what = f"more than {MAX_PROBLEMS} mistakes; the others are not shown"
            raise RuleError([*self._found, Problem(max(self._found).place, what)])

    def lack(self, place: Place, text: str) -> None:
        """Add what the deployment does not have for the rule, unless there is no deployment."""
        if self._configured:
            self.add(place, text)
