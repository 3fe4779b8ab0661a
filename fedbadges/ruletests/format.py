"""Test files: every key there is, and what a file with all of them comes to."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbadges.rules.document import parse_document
from fedbadges.rules.filters import to_moment
from fedbadges.rules.folders import TEST
from fedbadges.rules.problems import Place, Problem, Problems, RuleError, shown, suggestion
from fedbadges.rules.schema import DIALECT, Schema
from fedbadges.ruletests.grammar import (
    ACCOUNT,
    DATA,
    INTERVAL,
    MOMENT,
    NOW,
    OBJECT,
    TEMPLATE,
    TEXTUAL,
    YES_NO,
    Fields,
    Key,
    Kind,
    account_name,
    any_name,
    by_name,
    number,
    one_or_several,
    or_empty,
    record,
    several,
)
from fedbadges.ruletests.messages import MOST_MESSAGES, Sent, Sketch, Writer, merged

_TEXTS = one_or_several(TEXTUAL, "a name")
_NAMES = one_or_several(TEMPLATE, "a name", least=0)
_BADGES = one_or_several(TEXTUAL, "a badge")

_MESSAGE = {
    "topic": Key(TEMPLATE, "The whole topic, such as org.fedoraproject.prod.git.receive."),
    "msg": Key(OBJECT, "What the message says."),
    "usernames": Key(
        _NAMES, "Whom it concerns; without, whom it is from, or else whom fedmsg.meta names."
    ),
    "packages": Key(
        _NAMES, "The packages that it concerns; without, those that fedmsg.meta names."
    ),
    "agent": Key(TEMPLATE, "Who did it; without, whom fedmsg.meta names."),
    "timestamp": Key(
        MOMENT,
        "When it was sent, or the first of several: a date, seconds or an age such as 3 days ago.",
    ),
    "msg_id": Key(TEMPLATE, "Its id; without, one of its own."),
    "username": Key(TEMPLATE, "The envelope's own: the account that ran what sent it."),
    "i": Key(number(0, 2**31 - 1), "The envelope's own: the sender's count."),
    "headers": Key(OBJECT, "The envelope's own."),
    **{
        name: Key(DATA, "The envelope's own; takes part in nothing.")
        for name in ("source_name", "source_version", "crypto", "certificate", "signature")
    },
}
_SEVERAL = {
    "like": Key(TEXTUAL, "The message under 'messages' that says what this one does not."),
    "from": Key(_TEXTS, "Whom it is from: one message from each; fills in %(from)s."),
    "count": Key(
        number(1, MOST_MESSAGES), "How many there are, of each sender; they fill in %(number)s."
    ),
    "every": Key(INTERVAL, "How long after one the next is sent, such as 1 day; a minute."),
}
_EXPECTED = {
    "awards": Key(
        by_name(_BADGES, account_name),
        "Who gets which badges, by their ids; and nobody anything else. {} for nobody.",
    ),
    "no_awards": Key(
        by_name(_BADGES, account_name, least=1), "Who does not get which badges, by their ids."
    ),
}
_ACCOUNT = record(
    "an account",
    {
        "nicks": Key(_TEXTS, "IRC nicks."),
        "emails": Key(_TEXTS, "E-mail addresses."),
        "github": Key(_TEXTS, "Names on GitHub."),
        "groups": Key(_TEXTS, "Groups that the account is in, for criteria that ask."),
        "avatar": Key(YES_NO, "Yes, if Libravatar has one, for criteria that ask."),
    },
)
_WORLD = {
    "accounts": Key(
        by_name(or_empty(_ACCOUNT), account_name),
        "Who has an account, and what else the accounts service says; without, everybody has.",
    ),
    "opted_out": Key(one_or_several(ACCOUNT, "a name", least=0), "Who wants no badges."),
    "holds": Key(by_name(_BADGES, account_name), "Who has which badges already, by their ids."),
    "now": Key(MOMENT, "When the first incoming message is sent; 2024-01-01 12:00:00 else."),
}
_TEST = record(
    "a test",
    {
        "name": Key(TEXTUAL, "What it shows.", required=True),
        "past": Key(
            several(record("a past message", {**_SEVERAL, **_MESSAGE}), "a past message"),
            "Messages of before, which datanommer has.",
        ),
        "incoming": Key(
            several(
                record("an incoming message", {**_SEVERAL, **_MESSAGE, **_EXPECTED}),
                "an incoming message",
            ),
            "Messages that come in, one after the other, with what is expected of each.",
            required=True,
        ),
        **_EXPECTED,
        **_WORLD,
    },
)
#: In place of a topic about which something was reported already.
_MISTAKEN = "mistaken"

#: A whole test file.
FILE: Kind[Fields] = record(
    "a test file",
    {
        "rules": Key(_TEXTS, "The rule files, as seen from here; without, the one beside."),
        "messages": Key(
            by_name(record("a message", _MESSAGE), any_name), "Messages to be 'like', by names."
        ),
        "tests": Key(several(_TEST, "a test"), "The tests.", required=True),
        **_WORLD,
    },
)


@dataclass(frozen=True)
class Award:
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
    awards: tuple[Award, ...] | None
    no_awards: tuple[Award, ...]

    @property
    def named(self) -> tuple[Award, ...]:
        """Every badge that it speaks of."""
        return (*(self.awards or ()), *self.no_awards)


@dataclass(frozen=True)
class Incoming:
    """Messages that come in, and what is expected of them, if anything."""

    messages: tuple[Sent, ...]
    expectation: Expectation | None


@dataclass(frozen=True)
class Account:
    """What the accounts service, and Libravatar, say of somebody."""

    nicks: frozenset[str]
    emails: frozenset[str]
    github: frozenset[str]
    groups: frozenset[str]
    avatar: bool


@dataclass(frozen=True)
class World:
    """What holds before a test; without ``accounts``, everybody has one."""

    accounts: Mapping[str, Account] | None
    opted_out: frozenset[str]
    holds: tuple[Award, ...]
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
        text = f"this is a rule; its tests would be in {shown(tests)}"
        raise RuleError([Problem(document.place, text)])
    whole = FILE.read(document, "", problems)
    assert whole is not None  # it is a mapping
    sketches = {name: _message(fields) for _, name, fields in whole.values.get("messages", ())}
    return Suite(
        path,
        _rules(whole, path, problems),
        tuple(_test(test, whole, sketches, problems) for test in whole.values.get("tests", ())),
    )


def suite_schema() -> Schema:
    """Describe test files: a JSON Schema, as JSON has it."""
    return {"$schema": DIALECT, "title": "Tests of rules of fedbadges", **FILE.schema}


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
            text = f"no rule that is tested here gives {shown(award.badge)}{hint}"
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
    expected = {"awards", "no_awards"}
    items = (test, *test.values.get("incoming", ()))
    if not any(expected & item.places.keys() for item in items):
        problems.add(test.place, "a test that expects nothing; say 'awards' or 'no_awards'")
    return made


def _world(values: Mapping[str, Any]) -> World:
    accounts = None
    if "accounts" in values:
        accounts = {name: _account(fields.values) for _, name, fields in values["accounts"]}
    now = values.get("now")
    return World(
        accounts,
        frozenset(values.get("opted_out", ())),
        _awards(values.get("holds", ())),
        (None if now is None else to_moment(now.value, NOW)) or NOW,
    )


def _account(values: Mapping[str, Any]) -> Account:
    texts = {
        key: frozenset(node.text.strip() for node in values.get(key, ()))
        for key in ("nicks", "emails", "github", "groups")
    }
    return Account(**texts, avatar=values.get("avatar", False))


def _sketch(item: Fields, sketches: Mapping[str, Mapping[str, Any]], problems: Problems) -> Sketch:
    values = item.values
    fields = _message(item)
    like = values.get("like")
    if like is not None and like.text in sketches:
        fields = merged(sketches[like.text], fields)
    elif like is not None:
        hint = suggestion(like.text, sketches) if sketches else "; there is none at all"
        problems.add(like.place, f"no message {shown(like.text)} under 'messages'{hint}")
        fields.setdefault("topic", _MISTAKEN)
    return Sketch(
        item.place,
        fields,
        tuple(node.text for node in values.get("from", ())),
        **{key: values[key] for key in ("count", "every") if key in values},
    )


def _message(item: Fields) -> dict[str, Any]:
    """Give what is said of a message itself."""
    fields = {key: value for key, value in item.values.items() if key in _MESSAGE}
    if "topic" in item.places:
        fields.setdefault("topic", _MISTAKEN)
    return fields


def _expectation(item: Fields) -> Expectation | None:
    values = item.values
    if "awards" not in values and "no_awards" not in values:
        return None
    awards = _awards(values["awards"]) if "awards" in values else None
    place = item.places["awards" if "awards" in values else "no_awards"]
    return Expectation(place, awards, _awards(values.get("no_awards", ())))


def _awards(read: Any) -> tuple[Award, ...]:
    return tuple(
        Award(node.place, username, node.text.strip())
        for _, username, badges in read
        for node in badges
    )
