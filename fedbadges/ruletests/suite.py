"""A test file, read: its tests, with all their messages, and everything that is wrong with it."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbadges.errors import Place, Problem, RuleError
from fedbadges.rules.folders import TEST
from fedbadges.rules.grammar import Fields
from fedbadges.rules.moments import to_moment
from fedbadges.rules.problems import Problems
from fedbadges.rules.yaml_document import parse_document
from fedbadges.ruletests.format import EXPECTED_KEYS, FILE, MESSAGE_KEYS
from fedbadges.ruletests.grammar import NOW
from fedbadges.ruletests.messages import Sent, Sketch, Writer, merged
from fedbadges.util.text import quoted, suggestion

#: In place of a topic about which something was reported already.
_MISTAKEN = "mistaken"


@dataclass(frozen=True)
class ExpectedAward:
    """A badge of somebody, as a test says at some place."""

    place: Place
    username: str
    badge: str


@dataclass(frozen=True)
class Expectation:
    """What is to come of messages.

    ``awards`` are all that there are to be, None where nothing is said of the others; ``place`` is
    where that is said.
    """

    place: Place
    awards: tuple[ExpectedAward, ...] | None
    no_awards: tuple[ExpectedAward, ...]

    @property
    def named(self) -> tuple[ExpectedAward, ...]:
        """Every badge that it speaks of."""
        return (*(self.awards or ()), *self.no_awards)


@dataclass(frozen=True)
class Incoming:
    """Messages that come in, and what is expected of them, if anything."""

    messages: tuple[Sent, ...]
    expectation: Expectation | None


@dataclass(frozen=True)
class TestAccount:
    """What the accounts service, and Libravatar, say of somebody."""

    nicks: frozenset[str]
    emails: frozenset[str]
    github: frozenset[str]
    groups: frozenset[str]
    avatar: bool


@dataclass(frozen=True)
class World:
    """What holds before a test; without ``accounts``, everybody has one."""

    accounts: Mapping[str, TestAccount] | None
    opted_out: frozenset[str]
    holds: tuple[ExpectedAward, ...]
    now: datetime.datetime


@dataclass(frozen=True)
class RuleTest:
    """One test; ``expectation`` is of all its incoming messages together."""

    place: Place
    name: str
    world: World
    past: tuple[Sent, ...]
    incoming: tuple[Incoming, ...]
    expectation: Expectation | None

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """Everything that it expects."""
        each = (*(item.expectation for item in self.incoming), self.expectation)
        return tuple(expectation for expectation in each if expectation is not None)


@dataclass(frozen=True)
class RuleFile:
    """A rule file that a test file is about, and where it says so."""

    place: Place
    path: Path


@dataclass(frozen=True)
class Suite:
    """A test file."""

    path: Path
    rules: tuple[RuleFile, ...]
    tests: tuple[RuleTest, ...]


def parse_suite(data: bytes, path: Path, problems: Problems) -> Suite:
    """Parse a test file's content, and report everything that is wrong with it.

    Raises RuleError where it is no YAML, or no test file at all.
    """
    document = parse_document(data, str(path), "test")
    if document.get("trigger") and not document.get("tests"):
        tests = f"{path.name}{TEST}"
        text = f"this is a rule; its tests would be in {quoted(tests)}"
        raise RuleError([Problem(document.place, text)])
    whole = FILE.read(document, "", problems)
    assert whole is not None  # it is a mapping
    sketches = {name: _message(fields) for name, fields in whole.values.get("messages", ())}
    return Suite(
        path,
        _rules(whole, path, problems),
        tuple(_test(test, whole, sketches, problems) for test in whole.values.get("tests", ())),
    )


def check_badges(suite: Suite, badges: Collection[str], problems: Problems) -> None:
    """Report every badge that a test speaks of and that is not among these."""
    spoken = [
        award
        for test in suite.tests
        for award in (
            *test.world.holds,
            *(award for expectation in test.expectations for award in expectation.named),
        )
    ]
    for award in dict.fromkeys(spoken):
        if award.badge not in badges:
            hint = suggestion(award.badge, badges)
            text = f"no rule that is tested here gives {quoted(award.badge)}{hint}"
            problems.add(award.place, text)


def _rules(whole: Fields, path: Path, problems: Problems) -> tuple[RuleFile, ...]:
    if "rules" in whole.places:
        named = whole.values.get("rules", ())
        return tuple(RuleFile(node.place, path.parent / node.text.strip()) for node in named)
    if path.name.endswith(TEST):
        return (RuleFile(whole.place, path.with_suffix("")),)
    problems.add(
        whole.place,
        "missing key 'rules' in a test file; the rule beside is meant where the file is called as"
        f" that is, with '{TEST}' behind it",
    )
    return ()


def _test(
    test: Fields,
    whole: Fields,
    sketches: Mapping[str, Mapping[str, Any]],
    problems: Problems,
) -> RuleTest:
    world = _world({**whole.values, **test.values})
    writer = Writer(world.now, problems)
    past = writer.past(_sketch(item, sketches, problems) for item in test.values.get("past", ()))
    incoming = tuple(
        Incoming(writer.incoming(_sketch(item, sketches, problems)), _expectation(item))
        for item in test.values.get("incoming", ())
    )
    name = test.values.get("name")
    made = RuleTest(
        test.place, name.text.strip() if name else "", world, past, incoming, _expectation(test)
    )
    items = (test, *test.values.get("incoming", ()))
    if not any(EXPECTED_KEYS.keys() & item.places.keys() for item in items):
        problems.add(test.place, "a test that expects nothing; say 'awards' or 'no_awards'")
    return made


def _world(values: Mapping[str, Any]) -> World:
    accounts = None
    if "accounts" in values:
        accounts = {name: _account(fields.values) for name, fields in values["accounts"]}
    now = values.get("now")
    return World(
        accounts,
        frozenset(values.get("opted_out", ())),
        _awards(values.get("holds", ())),
        (None if now is None else to_moment(now.value, NOW)) or NOW,
    )


def _account(values: Mapping[str, Any]) -> TestAccount:
    texts = {
        key: frozenset(node.text.strip() for node in values.get(key, ()))
        for key in ("nicks", "emails", "github", "groups")
    }
    return TestAccount(**texts, avatar=values.get("avatar", False))


def _sketch(item: Fields, sketches: Mapping[str, Mapping[str, Any]], problems: Problems) -> Sketch:
    values = item.values
    fields = _message(item)
    like = values.get("like")
    if like is not None and like.text in sketches:
        fields = merged(sketches[like.text], fields)
    elif like is not None:
        hint = suggestion(like.text, sketches) if sketches else "; there is none at all"
        problems.add(like.place, f"no message {quoted(like.text)} under 'messages'{hint}")
        fields.setdefault("topic", _MISTAKEN)
    return Sketch(
        item.place,
        fields,
        tuple(node.text for node in values.get("from", ())),
        **{key: values[key] for key in ("count", "every") if key in values},
    )


def _message(item: Fields) -> dict[str, Any]:
    """Give what is said of a message itself."""
    fields = {key: value for key, value in item.values.items() if key in MESSAGE_KEYS}
    if "topic" in item.places or ("like" in item.places and "like" not in item.values):
        fields.setdefault("topic", _MISTAKEN)
    return fields


def _expectation(item: Fields) -> Expectation | None:
    values = item.values
    if "awards" not in values and "no_awards" not in values:
        return None
    awards = _awards(values["awards"]) if "awards" in values else None
    place = item.places["awards" if "awards" in values else "no_awards"]
    return Expectation(place, awards, _awards(values.get("no_awards", ())))


def _awards(read: Any) -> tuple[ExpectedAward, ...]:
    return tuple(
        ExpectedAward(node.place, username, node.text.strip())
        for username, badges in read
        for node in badges
    )
