"""What came of a test: every difference between what is expected and what is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from fedbadges.errors import Place
from fedbadges.ruletests.suite import Expectation, ExpectedAward, Incoming, RuleTest

#: Somebody and a badge.
Pair = tuple[str, str]


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
        """Whether everything is as expected."""
        return not self.differences


@dataclass(frozen=True)
class Happened:
    """What came of some messages: who got what, and how to find out why somebody did not."""

    awards: frozenset[Pair]
    why_not: Callable[[ExpectedAward], str]


def differences(
    expectation: Expectation, happened: Happened, number: int | None, item: Incoming | None
) -> Iterator[Difference]:
    """Compare; ``number`` and ``item`` are the incoming messages, None for all together."""
    when = _when(number, item)
    expected = expectation.awards or ()
    for award in expected:
        if (award.username, award.badge) not in happened.awards:
            got = _got(award, happened)
            yield Difference(award.place, number, f"{_gets(award)} {when}", got)
    refused = {(award.username, award.badge) for award in expectation.no_awards}
    if expectation.awards is not None:
        wanted = {(award.username, award.badge) for award in expected}
        for username, badge in sorted(happened.awards - wanted - refused):
            others = [award.username for award in expected if award.badge == badge]
            verb = "get" if len(others) > 1 else "gets"
            who = f"only {_joined(others)} {verb}" if others else "nobody gets"
            text = f"{who} {badge} {when}"
            yield Difference(expectation.place, number, text, f"{username} gets it")
    for award in expectation.no_awards:
        if (award.username, award.badge) in happened.awards:
            text = f"{award.username} does not get {award.badge} {when}"
            yield Difference(award.place, number, text, f"{award.username} gets it")


def _when(number: int | None, item: Incoming | None) -> str:
    if number is None or item is None:
        return "in all"
    if len(item.messages) == 1:
        return f"with incoming message {number}"
    return f"with the {len(item.messages)} messages of incoming {number}"


def _gets(award: ExpectedAward) -> str:
    return f"{award.username} gets {award.badge}"


def _got(award: ExpectedAward, happened: Happened) -> str:
    others = sorted(name for name, badge in happened.awards if badge == award.badge)
    who = f"{_joined(others)} only" if others else "nobody"
    return f"{who}: {happened.why_not(award)}"


def _joined(names: Collection[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
