"""All checks over some files, one finding after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.errors import Problem, RuleError
from fedbadges.lint.candidates import names_nobody, same_for_all
from fedbadges.lint.duplicates import same_again
from fedbadges.lint.findings import Finding
from fedbadges.lint.impossible_triggers import never_matches
from fedbadges.lint.literal_identity import is_literal
from fedbadges.lint.stale_topics import Topics, stale_topic
from fedbadges.lint.whole_topics import whole_topic
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import each_once, files_at, load_file
from fedbadges.rules.rule import Rule

_Check = Callable[[Rule], Iterable[Finding]]


@dataclass(frozen=True)
class Linter:
    """What to check rules with; without ``configured``, apart from any deployment.

    With ``topics``, it is also checked when messages that the rules wait for were last seen.
    """

    backends: Backends
    settings: Settings
    configured: bool = False
    topics: Topics | None = None

    def run(self, files: Iterable[Path]) -> Iterator[Finding]:
        """Give what is wrong with each of the files, and then with all together.

        Raises Unavailable where datanommer cannot be asked about ``topics``.
        """
        checks = self._checks()
        rules: list[Rule] = []
        for path in files:
            try:
                rule = load_file(path, self.backends, configured=self.configured)
            except RuleError as error:
                yield from (as_finding(problem) for problem in error.problems)
                continue
            rules.append(rule)
            for check in checks:
                yield from check(rule)
        chosen, duplicates = each_once(rules)
        yield from (as_finding(problem, "duplicate") for problem in duplicates)
        yield from same_again(chosen)

    def _checks(self) -> list[_Check]:
        checks: list[_Check] = [never_matches, same_for_all, is_literal, whole_topic]
        if not FedmsgUsernames(self.settings.fedmsg).has_plugins:
            checks.append(names_nobody)
        topics = self.topics
        if topics is not None:
            checks.append(lambda rule: stale_topic(rule, topics))
        return checks


def files_of(paths: Iterable[Path]) -> tuple[list[Path], list[Finding]]:
    """List the rule files at some paths, each once, as the daemon would; and what is unreadable."""
    files, problems = files_at(paths)
    return files, [as_finding(problem, "unreadable") for problem in problems]


def as_finding(problem: Problem, code: str = "mistake") -> Finding:
    """Give the daemon's mistake as a finding."""
    return Finding(problem.place, code, problem.text)
