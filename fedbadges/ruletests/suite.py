"""Test files: their tests, with all messages, and everything that is wrong with them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbadges.errors import Place, Problem, RuleError
from fedbadges.rules.grammar import Fields
from fedbadges.rules.loader import TEST
from fedbadges.rules.moments import to_moment
from fedbadges.rules.parsing import Problems
from fedbadges.rules.yaml_document import parse_document
from fedbadges.ruletests.format import EXPECTED_KEYS, FILE, MESSAGE_KEYS, NOW
from fedbadges.ruletests.messages import MessageBuilder, MessageTemplate, SentMessage, merge
from fedbadges.util.text import quoted, suggestion

#: Stands for a topic with a mistake that is reported already.
_MISTAKEN = "mistaken"

_Templates = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ExpectedAward:
    """A badge of somebody, and where a test says so."""

    place: Place
    username: str
    badge: str

    @property
    def pair(self) -> tuple[str, str]:
        """Return the user and the badge."""
        return self.username, self.badge


@dataclass(frozen=True)
class Expectation:
    """What messages must and must not award.

    ``awards`` are all of them, or None where others may be awarded as well.
    """

    place: Place
    awards: tuple[ExpectedAward, ...] | None
    no_awards: tuple[ExpectedAward, ...]

    @property
    def named(self) -> tuple[ExpectedAward, ...]:
        """Return every award that it is about."""
        return (*(self.awards or ()), *self.no_awards)


@dataclass(frozen=True)
class Incoming:
    """Messages that come in, and what is expected of them, if anything."""

    messages: tuple[SentMessage, ...]
    expectation: Expectation | None


@dataclass(frozen=True)
class TestAccount:
    """What the accounts service and Libravatar know of somebody."""

    nicks: frozenset[str]
    emails: frozenset[str]
    github: frozenset[str]
    groups: frozenset[str]
    avatar: bool


@dataclass(frozen=True)
class RuleTest:
    """One test; ``expectation`` is of all its incoming messages together.

    Without ``accounts``, everybody has one.
    """

    place: Place
    name: str
    accounts: Mapping[str, TestAccount] | None
    opted_out: frozenset[str]
    holds: tuple[ExpectedAward, ...]
    past: tuple[SentMessage, ...]
    incoming: tuple[Incoming, ...]
    expectation: Expectation | None

    @property
    def expectations(self) -> tuple[Expectation, ...]:
        """Return everything that it expects."""
        each = (*(item.expectation for item in self.incoming), self.expectation)
        return tuple(expectation for expectation in each if expectation is not None)


@dataclass(frozen=True)
class Suite:
    """A test file: the rule files that it is about, each with where it says so, and its tests."""

    rules: tuple[tuple[Place, Path], ...]
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
    templates = {name: _fields(each) for name, each in whole.values.get("messages", ())}
    return Suite(
        _rules(whole, path, problems),
        tuple(_test(test, whole, templates, problems) for test in whole.values.get("tests", ())),
    )


def check_badges(suite: Suite, badges: Collection[str], problems: Problems) -> None:
    """Report every badge that a test is about and that is not among these."""
    awards: list[ExpectedAward] = []
    for test in suite.tests:
        awards += test.holds
        awards += (award for expected in test.expectations for award in expected.named)
    for award in dict.fromkeys(awards):
        if award.badge not in badges:
            hint = suggestion(award.badge, badges)
            text = f"no rule that is tested here gives {quoted(award.badge)}{hint}"
            problems.add(award.place, text)


def _rules(whole: Fields, path: Path, problems: Problems) -> tuple[tuple[Place, Path], ...]:
    if "rules" in whole.places:
        nodes = whole.values.get("rules", ())
        return tuple((node.place, path.parent / node.text.strip()) for node in nodes)
    if path.name.endswith(TEST):
        return ((whole.place, path.with_suffix("")),)
    problems.add(
        whole.place,
        "missing key 'rules' in a test file; the rule beside is meant where the file is called as"
        f" that is, with '{TEST}' behind it",
    )
    return ()


def _test(test: Fields, whole: Fields, templates: _Templates, problems: Problems) -> RuleTest:
    values = {**whole.values, **test.values}
    now = values.get("now")
    builder = MessageBuilder((None if now is None else to_moment(now.value, NOW)) or NOW, problems)
    accounts = None
    if "accounts" in values:
        accounts = {name: _account(fields.values) for name, fields in values["accounts"]}
    incoming = test.values.get("incoming", ())
    if not any(EXPECTED_KEYS.keys() & each.places.keys() for each in (test, *incoming)):
        problems.add(test.place, "a test that expects nothing; say 'awards' or 'no_awards'")
    name = test.values.get("name")
    return RuleTest(
        test.place,
        name.text.strip() if name else "",
        accounts,
        frozenset(values.get("opted_out", ())),
        _awards(values.get("holds", ())),
        builder.past(_template(each, templates, problems) for each in test.values.get("past", ())),
        tuple(
            Incoming(builder.incoming(_template(each, templates, problems)), _expectation(each))
            for each in incoming
        ),
        _expectation(test),
    )


def _account(values: Mapping[str, Any]) -> TestAccount:
    texts = {
        key: frozenset(node.text.strip() for node in values.get(key, ()))
        for key in ("nicks", "emails", "github", "groups")
    }
    return TestAccount(**texts, avatar=values.get("avatar", False))


def _template(item: Fields, templates: _Templates, problems: Problems) -> MessageTemplate:
    values = item.values
    fields = _fields(item)
    like = values.get("like")
    if like is not None and like.text in templates:
        fields = merge(templates[like.text], fields)
    elif like is not None:
        hint = suggestion(like.text, templates) if templates else "; there is none at all"
        problems.add(like.place, f"no message {quoted(like.text)} under 'messages'{hint}")
        fields.setdefault("topic", _MISTAKEN)
    return MessageTemplate(
        item.place,
        fields,
        tuple(node.text for node in values.get("from", ())),
        **{key: values[key] for key in ("count", "every") if key in values},
    )


def _fields(item: Fields) -> dict[str, Any]:
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


def _awards(by_name: Any) -> tuple[ExpectedAward, ...]:
    return tuple(
        ExpectedAward(node.place, username, node.text.strip())
        for username, badges in by_name
        for node in badges
    )
