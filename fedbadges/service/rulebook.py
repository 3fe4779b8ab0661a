"""The rules in force: loaded from their directory, and loaded again when files change."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from fedbadges.errors import Problem
from fedbadges.rules.criteria import Backends
from fedbadges.rules.dialects import OWN
from fedbadges.rules.file_permissions import PermissionChecker
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import RuleFiles, load_directory
from fedbadges.rules.rule import Badge, Rule
from fedbadges.tahrir.badges import Unawardable
from fedbadges.util.logs import get_logger

log = get_logger(__name__)


class RuleBook:
    """Loads rules, shows their badges in tahrir, and logs what is wrong with the others.

    ``publish`` shows badges in tahrir, and returns those that cannot be awarded; it may raise
    Unavailable, and then nothing has changed here. Rules that others can write are refused, or with
    ``insecure`` logged. Without ``lambdas``, rules with Python in them are refused as well.
    ``dialect`` is that of rules in which nothing tells.
    """

    def __init__(
        self,
        directory: Path,
        backends: Backends,
        publish: Callable[[Iterable[Badge]], Unawardable],
        insecure: bool = False,
        *,
        lambdas: bool = True,
        dialect: str = OWN,
    ) -> None:
        self._directory = directory
        self._backends = backends
        self._publish = publish
        self._insecure = insecure
        self._good: dict[str, list[Rule]] = {}
        self._insecure_rules: set[Problem] = set()
        self._loaded = False
        self._read_files = partial(RuleFiles, lambdas=lambdas, dialect=dialect)
        self._files = self._read_files()
        #: What was wrong with rules when they were loaded last.
        self.problems: frozenset[Problem] = frozenset()
        self.rules = RuleSet()
        #: When they were loaded last, in seconds since 1970; None before.
        self.loaded_at: float | None = None

    def load(self) -> RuleSet:
        """Load the directory; the last good version of a file that became bad stays in force."""
        permissions = PermissionChecker(self._directory)
        vet = permissions.record if self._insecure else permissions.check
        files = self._read_files(self._files)
        loaded = load_directory(self._directory, self._backends, self._good, vet, files.load)
        self._files = files
        published = self._publish(rule.badge for rule in loaded.rules)
        refused = [
            Problem(rule.place, published.refused[rule.badge.id])
            for rule in loaded.rules
            if rule.badge.id in published.refused
        ]
        rules = [rule for rule in loaded.rules if rule.badge.id not in published.refused]
        good: dict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            good[rule.place.path].append(rule)
        problems = frozenset([*loaded.problems, *refused])
        for problem in sorted(problems - self.problems):
            log.error("Mistake in a rule", mistake=str(problem))
        for rule in rules:
            new = rule not in self._good.get(rule.place.path, ())
            if new and rule.badge.id in published.legacy:
                log.warning(
                    "Legacy badge is not awarded", badge=rule.badge.id, rule=str(rule.place)
                )
        self._warn(permissions.recorded)
        self._report(good, problems)
        self._good, self.problems, self.loaded_at = dict(good), problems, time.time()
        awarded = [rule for rule in rules if rule.badge.id not in published.legacy]
        self.rules = loaded.rules if len(awarded) == len(loaded.rules) else RuleSet(awarded)
        return self.rules

    def _warn(self, insecure: set[Problem]) -> None:
        """Log once that the daemon runs what others can write."""
        if insecure and insecure != self._insecure_rules:
            paths = [problem.place.path for problem in sorted(insecure)]
            log.warning("Insecure rules are loaded", count=len(paths), paths=paths)
        self._insecure_rules = insecure

    def _report(self, good: dict[str, list[Rule]], problems: frozenset[Problem]) -> None:
        """Log what has changed, if anything has."""
        now, old = _numbered(good), _numbered(self._good)
        new, removed = len(now.keys() - old.keys()), len(old.keys() - now.keys())
        changed = sum(now[key] != old[key] for key in now.keys() & old.keys())
        if not self._loaded or new or removed or changed or problems != self.problems:
            log.info(
                "Loaded rules",
                path=self._directory,
                count=len(now),
                new=new,
                changed=changed,
                removed=removed,
                mistakes=len(problems),
            )
        self._loaded = True


def _numbered(rules: Mapping[str, Sequence[Rule]]) -> dict[tuple[str, int], Rule]:
    """Return rules by path and by their number in the file."""
    return {
        (path, number): rule for path, found in rules.items() for number, rule in enumerate(found)
    }
