"""What ``fedbadges test --coverage`` says of the rules that tests do not reach."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedbadges.cli.explain.checks import name_of
from fedbadges.errors import Place
from fedbadges.ruletests.coverage import Coverage, Part, RuleCoverage
from fedbadges.ruletests.runner import RuleTestRunner


@dataclass(frozen=True)
class Covered:
    """How many answers the parts of rules have, how many of these tests reach, and what is missing.

    ``missing`` has a text for each rule without a test, and for each part, with its place.
    """

    branches: int
    reached: int
    missing: tuple[tuple[Place, str], ...]

    @property
    def percent(self) -> int:
        """Return the part that is reached in percent; 100 only if that is everything."""
        return 100 * self.reached // self.branches if self.branches else 100

    def __str__(self) -> str:
        return f"{self.reached} of {self.branches} branches covered ({self.percent} %)"


def covered(coverage: Coverage) -> Covered:
    """Return what was collected; what the badges of a series share counts once."""
    parts = {
        (part.place, name_of(part.check)): part for rule in coverage.rules for part in rule.parts
    }
    missing = dict.fromkeys(gap for rule in coverage.rules for gap in _gaps(rule))
    return Covered(
        sum(len(part.wanted) for part in parts.values()),
        sum(len(part.wanted & part.given) for part in parts.values()),
        tuple(sorted(missing)),
    )


def add_untested(coverage: Coverage, runner: RuleTestRunner, paths: tuple[Path, ...]) -> None:
    """Add all rules below these paths, of which some may have no test."""
    from fedbadges.rules.loader import files_at

    files, _ = files_at(paths)
    for file in files:
        coverage.add(runner.load_rules(file))


def _gaps(rule: RuleCoverage) -> Iterator[tuple[Place, str]]:
    if not rule.tested:
        yield rule.rule.place, "no test has this rule"
    elif not rule.triggered:
        yield rule.rule.place, "no message of a test triggers this rule"
    else:
        for part in rule.parts:
            if part.missing:
                yield part.place, f"{_what_is_missing(part)}: {name_of(part.check)}"


def _what_is_missing(part: Part) -> str:
    if not part.asked:
        return "no test gets as far as this"
    if len(part.missing) > 1:
        return "fails in every test"
    return "holds in no test" if True in part.missing else "holds in every test"
