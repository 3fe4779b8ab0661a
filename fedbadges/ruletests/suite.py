"""Parses test files into tests with all their messages, and reports mistakes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbadges.errors import Place, Problem, RuleError
from fedbadges.rules.grammar import Fields
from fedbadges.rules.loader import TEST
from fedbadges.rules.parsing import Problems
from fedbadges.rules.yaml_document import parse_document
from fedbadges.ruletests.format import EXPECTED_KEYS, FILE, NOW
from fedbadges.ruletests.messages import MessageBuilder, SentMessage
from fedbadges.util.moments import to_moment
from fedbadges.util.text import quoted, suggestion


@dataclass(frozen=True)
class ExpectedAward:
    """A badge that somebody gets or holds, and its place in the test file."""

    place: Place
    username: str
    badge: str

    @property
    def pair(self) -> tuple[str, str]:
        """Return the user and the badge."""
        return self.username, self.badge


@dataclass(frozen=True)
class Expectation:
    """What messages must and must not award; None as ``awards`` allows any others."""

    place: Place
    awards: tuple[ExpectedAward, ...] | None
    no_awards: tuple[ExpectedAward, ...]

    @property
    def named(self) -> tuple[ExpectedAward, ...]:
        """Return all awards that it names."""
        return (*(self.awards or ()), *self.no_awards)


@dataclass(frozen=True)
class Incoming:
    """Messages that come in, and what is expected of them."""

    messages: tuple[SentMessage, ...]
    expectation: Expectation


@dataclass(frozen=True)
class RuleTest:
    """One test; ``expectation`` is of all messages. Without ``accounts``, everybody has one."""

    place: Place
    name: str
    accounts: Mapping[str, Mapping[str, Any]] | None
    opted_out: frozenset[str]
    holds: tuple[ExpectedAward, ...]
    past: tuple[SentMessage, ...]
    incoming: tuple[Incoming, ...]
    expectation: Expectation

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """Return everything that it expects."""
        return (*(item.expectation for item in self.incoming), self.expectation)


@dataclass(frozen=True)
class Suite:
    """A test file: the rule files that it is about, each with where it says so, and its tests."""

    rules: tuple[tuple[Place, Path], ...]
    tests: tuple[RuleTest, ...]


def parse_suite(data: bytes, path: Path, problems: Problems) -> Suite:
    """Parse a test file and report its mistakes; raise RuleError where it is none at all."""
    document = parse_document(data, str(path), "test")
    if document.get("trigger") and not document.get("tests"):
        text = f"this is a rule; its tests would be in {quoted(path.name + TEST)}"
        raise RuleError([Problem(document.place, text)])
    whole = FILE.read(document, "", problems)
    assert whole is not None  # it is a mapping
    tests = whole.values.get("tests", ())
    rules = _rules(whole, path, problems)
    return Suite(rules, tuple(_test(test, whole, problems) for test in tests))


def check_badges(suite: Suite, badges: Collection[str], problems: Problems) -> None:
    """Report every badge that a test names and that is not among these."""
    held = (award for test in suite.tests for award in test.holds)
    named = (award for test in suite.tests for each in test.expectations for award in each.named)
    for award in dict.fromkeys((*held, *named)):
        if award.badge not in badges:
            hint = suggestion(award.badge, badges)
            problems.add(award.place, f"no tested rule awards {quoted(award.badge)}{hint}")


def _rules(whole: Fields, path: Path, problems: Problems) -> tuple[tuple[Place, Path], ...]:
    if "rules" in whole.places:
        nodes = whole.values.get("rules", ())
        return tuple((node.place, path.parent / node.text.strip()) for node in nodes)
    if path.name.endswith(TEST):
        return ((whole.place, path.with_suffix("")),)
    text = f"only a file named after its rule, with '{TEST}' appended, needs none"
    problems.add(whole.place, f"missing key 'rules' in a test file; {text}")
    return ()


def _test(test: Fields, whole: Fields, problems: Problems) -> RuleTest:
    values = {"past": (), "incoming": (), **whole.values, **test.values}
    now = to_moment(values["now"].value, NOW) if "now" in values else None
    builder = MessageBuilder(dict(values.get("messages", ())), now or NOW, problems)
    accounts = None
    if "accounts" in values:
        accounts = {name: fields.values for name, fields in values["accounts"]}
    if not any(EXPECTED_KEYS.keys() & each.places.keys() for each in (test, *values["incoming"])):
        problems.add(test.place, "a test without expectations; add 'awards' or 'no_awards'")
    return RuleTest(
        test.place,
        values.get("name", ""),
        accounts,
        frozenset(values.get("opted_out", ())),
        _awards(values.get("holds", ())),
        builder.past(values["past"]),
        tuple(Incoming(builder.incoming(each), _expectation(each)) for each in values["incoming"]),
        _expectation(test),
    )


def _expectation(item: Fields) -> Expectation:
    awards = _awards(item.values["awards"]) if "awards" in item.values else None
    place = item.places.get("awards", item.place)
    return Expectation(place, awards, _awards(item.values.get("no_awards", ())))


def _awards(by_name: Any) -> tuple[ExpectedAward, ...]:
    return tuple(
        ExpectedAward(node.place, username, node.text.strip())
        for username, badges in by_name
        for node in badges
    )
