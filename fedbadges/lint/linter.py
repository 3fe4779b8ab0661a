"""Running all checks over some files."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.errors import RuleError, Unavailable
from fedbadges.history.topics import TopicHistory
from fedbadges.lint.conditions import constant_condition, empty_window
from fedbadges.lint.criteria import (
    counted_together,
    no_plugin,
    not_converted,
    nothing_stored,
    same_again,
    same_for_all,
)
from fedbadges.lint.findings import Finding
from fedbadges.lint.held_badges import unknown_badge
from fedbadges.lint.ignores import Ignores
from fedbadges.lint.lambdas import is_literal, whole_topic
from fedbadges.lint.missing_path import missing_path
from fedbadges.lint.never_matches import never_matches
from fedbadges.lint.samples import LatestMessages, MessageFiles, Samples
from fedbadges.lint.stale_topic import stale_topic
from fedbadges.lint.texts import cut_text, no_field, no_topic, odd_id
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import each_once, files_at, load_file, read_file, without_cycles
from fedbadges.rules.rule import Rule
from fedbadges.rules.yaml_document import parse_document
from fedbadges.tahrir.database import Tahrir


@dataclass(frozen=True)
class Linter:
    """Finds mistakes in rules, and what in them is probably not meant so.

    ``configured`` says that ``settings`` are those of a deployment, and that what it does not have
    for a rule is a mistake. Without ``topics`` no topic is reported as stale; without these and
    ``messages`` no path is reported as missing.
    """

    backends: Backends
    settings: Settings
    configured: bool = False
    topics: TopicHistory | None = None
    messages: MessageFiles | None = None

    def run(self, files: Iterable[Path]) -> Iterator[Finding]:
        """Yield what is wrong with each file, and then with all together; raise Unavailable.

        Each finding comes once, although the rules of a series have most of them in common.
        """
        seen: set[Finding] = set()
        for finding in self._run(files):
            if finding not in seen:
                seen.add(finding)
                yield finding

    def _run(self, files: Iterable[Path]) -> Iterator[Finding]:
        if self.messages is not None:
            yield from self.messages.mistakes
        checks = self._checks()
        rules: list[Rule] = []
        ignores = Ignores()
        for path in files:
            try:
                found = load_file(
                    path,
                    self.backends,
                    configured=self.configured,
                    lambdas=self.settings.lambdas,
                    dialect=self.settings.dialect,
                )
                data = read_file(path)
                document = parse_document(data, str(path))
            except RuleError as error:
                yield from map(Finding.from_problem, error.problems)
                continue
            rules.extend(found)
            ignores.read(data, str(path))
            checked = (check(rule) for rule in found for check in checks)
            odd = (odd_id(rule, document) for rule in found)
            yield from ignores.apply(itertools.chain(*checked, *odd, cut_text(document)))
        chosen, duplicates = each_once(rules)
        yield from (Finding.from_problem(problem, "duplicate") for problem in duplicates)
        chosen, cycles = without_cycles(chosen)
        yield from map(Finding.from_problem, cycles)
        yield from ignores.apply(same_again(chosen))
        yield from ignores.apply(unknown_badge(chosen, self._tahrir_badges))
        yield from ignores.unused_ignore()

    def _tahrir_badges(self) -> Collection[str] | None:
        """Return the ids of tahrir's badges; None where there is no tahrir to ask."""
        if not self.configured:
            return None
        try:
            return Tahrir(self.settings).badges()
        except Unavailable:  # a deployment's rules are checked elsewhere as well
            return None

    def _checks(self) -> list[Callable[[Rule], Iterable[Finding]]]:
        """Return the checks of a single rule."""
        samples: list[Samples] = [] if self.messages is None else [self.messages]
        if self.topics is not None:
            samples.append(LatestMessages(self.topics))
        checks: list[Callable[[Rule], Iterable[Finding]]] = [
            never_matches,
            same_for_all,
            partial(counted_together, samples),
            not_converted,
            is_literal,
            whole_topic,
            constant_condition,
            empty_window,
            no_topic,
            no_field,
        ]
        if not FedmsgUsernames(self.settings.fedmsg).has_plugins:
            checks.append(no_plugin)
            if self.settings.record_messages:
                checks.append(nothing_stored)
        if self.topics is not None:
            checks.append(partial(stale_topic, self.topics))
        return [*checks, *(partial(missing_path, each) for each in samples)]


def list_files(paths: Iterable[Path]) -> tuple[list[Path], list[Finding]]:
    """List the rule files at some paths, each once, as the daemon does; and what is unreadable."""
    files, problems = files_at(paths)
    return files, [Finding.from_problem(problem, "unreadable") for problem in problems]
