"""Running all checks over some files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.errors import RuleError
from fedbadges.lint.findings import Finding
from fedbadges.lint.is_literal import is_literal
from fedbadges.lint.never_matches import never_matches
from fedbadges.lint.no_plugin import no_plugin
from fedbadges.lint.same_again import same_again
from fedbadges.lint.same_for_all import same_for_all
from fedbadges.lint.stale_topic import TopicHistory, stale_topic
from fedbadges.lint.whole_topic import whole_topic
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import each_once, files_at, load_file
from fedbadges.rules.rule import Rule

_Check = Callable[[Rule], Iterable[Finding]]


@dataclass(frozen=True)
class Linter:
    """Finds mistakes in rules, and what in them is probably not meant so.

    Attributes:
        backends: The criteria backends that rules may ask.
        settings: The settings of the deployment, or those of none.
        configured: Whether to report what the deployment does not have for a rule.
        topics: When topics were last seen; without it no topic is reported as stale.
    """

    backends: Backends
    settings: Settings
    configured: bool = False
    topics: TopicHistory | None = None

    def run(self, files: Iterable[Path]) -> Iterator[Finding]:
        """Yield what is wrong with each file, and then what is wrong with all together.

        Raises:
            Unavailable: datanommer cannot be asked about ``topics``.
        """
        checks = self._checks()
        rules: list[Rule] = []
        for path in files:
            try:
                rule = load_file(path, self.backends, configured=self.configured)
            except RuleError as error:
                yield from map(Finding.from_problem, error.problems)
                continue
            rules.append(rule)
            for check in checks:
                yield from check(rule)
        chosen, duplicates = each_once(rules)
        yield from (Finding.from_problem(problem, "duplicate") for problem in duplicates)
        yield from same_again(chosen)

    def _checks(self) -> list[_Check]:
        checks: list[_Check] = [never_matches, same_for_all, is_literal, whole_topic]
        if not FedmsgUsernames(self.settings.fedmsg).has_plugins:
            checks.append(no_plugin)
        topics = self.topics
        if topics is not None:
            checks.append(lambda rule: stale_topic(rule, topics))
        return checks


def list_files(paths: Iterable[Path]) -> tuple[list[Path], list[Finding]]:
    """List the rule files at some paths, each once, as the daemon does; and what is unreadable."""
    files, problems = files_at(paths)
    return files, [Finding.from_problem(problem, "unreadable") for problem in problems]
