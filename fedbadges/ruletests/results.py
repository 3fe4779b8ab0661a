"""What came of a test: every difference between what it expects and what happened."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Set
from dataclasses import dataclass

from fedbadges.errors import Place
from fedbadges.ruletests.suite import Expectation, ExpectedAward, RuleTest


@dataclass(frozen=True)
class Difference:
    """One thing that is not as expected.

    ``incoming`` numbers the incoming messages that it is about, from 1; None for all together.
    """

    place: Place
    incoming: int | None
    expected: str
    got: str


@dataclass(frozen=True)
class TestResult:
    """A test that was run; it passed where nothing differs."""

    test: RuleTest
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Return True if everything is as expected."""
        return not self.differences


def compare(
    expectation: Expectation,
    awards: Set[tuple[str, str]],
    why_not: Callable[[ExpectedAward], str],
    incoming: int | None,
    when: str,
) -> Iterator[Difference]:
    """Yield the differences between what was expected and the awards, as (user, badge).

    Args:
        why_not: returns why somebody was not awarded a badge.
        incoming: the number of the incoming messages, as in ``Difference``.
        when: what to call these messages.
    """
    expected = expectation.awards or ()
    for award in expected:
        if award.pair not in awards:
            others = sorted(name for name, badge in awards if badge == award.badge)
            got = f"{_joined(others)} only" if others else "nobody"
            text = f"{award.username} gets {award.badge} {when}"
            yield Difference(award.place, incoming, text, f"{got}: {why_not(award)}")
    if expectation.awards is not None:
        for username, badge in sorted(awards - {award.pair for award in expectation.named}):
            names = [award.username for award in expected if award.badge == badge]
            verb = "get" if len(names) > 1 else "gets"
            who = f"only {_joined(names)} {verb}" if names else "nobody gets"
            text = f"{who} {badge} {when}"
            yield Difference(expectation.place, incoming, text, f"{username} gets it")
    for award in expectation.no_awards:
        if award.pair in awards:
            text = f"{award.username} does not get {award.badge} {when}"
            yield Difference(award.place, incoming, text, f"{award.username} gets it")


def _joined(names: Collection[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
