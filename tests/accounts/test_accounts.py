"""Accounts: who gets nothing because there is no such person, and whose a nick or address is."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from support.builders import candidates_of, make_message, make_rule, make_settings
from support.databases import badges, sqlite_databases
from support.rule_text import load, message

from fedbadges.accounts.service import CachedAccounts, make_accounts
from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.errors import Unavailable
from fedbadges.rules.index import RuleSet
from fedbadges.rules.recipients import (
    EVERYBODY,
    MAX_NAME,
    MOST_CANDIDATES,
    Accounts,
    TrustedDomains,
)
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import AwardResult
from fedbadges.tahrir.database import Tahrir


class Listed:
    """Accounts that a test lists, and what was asked of them."""

    def __init__(self, *names: str, others: dict[str, str] | None = None) -> None:
        self._names = set(names)
        self._others = others or {}
        self.asked: list[str] = []
        self.away = False

    def exists(self, username: str) -> bool:
        self._ask(username)
        return username in self._names

    def by_nick(self, nick: str) -> str | None:
        self._ask(f"nick {nick}")
        return self._others.get(nick)

    def by_email(self, address: str) -> str | None:
        self._ask(f"email {address}")
        return self._others.get(address)

    def by_github(self, name: str) -> str | None:
        self._ask(f"github {name}")
        return self._others.get(name)

    def _ask(self, question: str) -> None:
        self.asked.append(question)
        if self.away:
            raise Unavailable("the accounts are away")


# Existence

EACH = 'trigger: {topic: git.receive}\nrecipient: "%(msg.users)s"\n'
HOLDS = EACH + (
    "criteria: {filter: {topics: [nothing]}, operation: count, condition: {equal to: 0}}\n"
)
FAILS = HOLDS.replace("equal to: 0", "equal to: 1")


class Desk:
    """An engine that asks accounts, and its databases."""

    def __init__(self, directory: Path) -> None:
        self.databases = sqlite_databases(directory)
        self.settings: Settings = make_settings(self.databases, directory)
        self.given: list[AwardResult] = []

    def handle(self, accounts: Accounts, *bodies: str, users: object = "alice") -> int:
        """Handles a message that names these users; returns the number of awards."""
        tahrir = Tahrir(self.settings)
        rules: list[Rule] = [
            make_rule(self.settings, f"rule-{number}", body) for number, body in enumerate(bodies)
        ]
        tahrir.publish_badges(rule.badge for rule in rules)
        engine = BadgeEngine(
            self.settings,
            tahrir,
            RecipientFinder(self.settings, FedmsgUsernames(self.settings.fedmsg), accounts),
            RuleSet(rules),
            self.given.append,
        )
        case = candidates_of(engine, make_message("git.receive", {"users": users}))
        return 0 if case is None else engine.decide(case)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_without_a_service_every_name_exists(desk: Desk) -> None:
    assert make_accounts(desk.settings) is EVERYBODY

    assert desk.handle(EVERYBODY, HOLDS, users=["alice", "some-nick"]) == 2


def test_name_without_account_is_awarded_nothing(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "fedbadges")

    assert desk.handle(Listed("alice"), HOLDS, users=["some-nick", "alice"]) == 1

    assert set(badges(desk.databases, "alice")) == {"rule-0"}
    assert badges(desk.databases, "some-nick") == {}
    assert "Candidate has no account badge=rule-0 user=some-nick" in caplog.messages


def test_accounts_are_not_asked_about_people_who_get_nothing_anyway(desk: Desk) -> None:
    accounts = Listed("alice", "bob")
    desk.handle(accounts, HOLDS, users=["alice"])
    accounts.asked.clear()

    desk.handle(accounts, HOLDS, FAILS, users=["alice", "bob"])

    assert accounts.asked == ["bob"]


def test_nothing_is_awarded_while_the_accounts_service_is_away(desk: Desk) -> None:
    accounts = Listed("alice")
    accounts.away = True

    with pytest.raises(Unavailable):
        desk.handle(accounts, HOLDS)

    assert desk.given == []
    accounts.away = False
    assert desk.handle(accounts, HOLDS) == 1


# Other names

TRUSTED = TrustedDomains("example.org", "id.example.org", "src.example.org", "EXAMPLE.ORG")
OTHERS = {"al": "Alice", "alice@mail.example": "alice", "ali": "alice"}


def found(accounts: Accounts, value: object, *keys: str) -> list[str | None]:
    lines = ['recipient: "%(msg.who)s"', *(f"{key}: Yes" for key in keys)]
    recipient = load("\n".join(lines)).recipient
    assert recipient is not None
    names = recipient.find(message(msg={"who": value}).body, TRUSTED, accounts)
    return [each.name for each in names]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("recipient_nick2fas", "al"),
        ("recipient_email2fas", "alice@mail.example"),
        ("recipient_github2fas", "ali"),
    ],
)
def test_recipient_conversion_finds_the_account(key: str, name: str) -> None:
    assert found(Listed(others=OTHERS), name, key) == ["alice"]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("recipient_nick2fas", "alice"),
        ("recipient_email2fas", "bob@mail.example"),
        ("recipient_github2fas", "alice"),
    ],
)
def test_recipient_conversion_without_account_names_nobody(key: str, name: str) -> None:
    """Not even where an account is called the same: that may be somebody else."""
    assert found(Listed("alice", others=OTHERS), name, key) == [None]


def test_accounts_are_asked_about_each_name_once_up_to_a_limit() -> None:
    accounts = Listed(others={"nick7": "alice", "nick5000": "bob"})
    nicks = [f"nick{number}" for number in range(10_000)]

    names = found(accounts, [None, "nick7", "nick7", *nicks], "recipient_nick2fas")

    assert {name for name in names if name is not None} == {"alice"}
    assert len(accounts.asked) == len(set(accounts.asked)) == MOST_CANDIDATES


def test_message_with_too_many_names_is_warned_of_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = CachedAccounts(Listed("alice", others={"nick0": "alice"}), 60)
    rule = HOLDS + "recipient_nick2fas: Yes\n"

    assert desk.handle(accounts, rule, rule, users=[f"nick{n}" for n in range(5_000)]) == 2

    (line,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert line.startswith("Too many recipients, ignoring those after the first")
    assert line.endswith(" count=5000 limit=500")


@pytest.mark.parametrize("key", ["recipient_nick2fas", "recipient_github2fas"])
def test_without_a_service_other_names_stay_as_they_are(key: str) -> None:
    assert found(EVERYBODY, "al", key) == ["al"]


def test_without_a_service_a_foreign_address_names_nobody() -> None:
    assert found(EVERYBODY, "alice@mail.example", "recipient_email2fas") == [None]


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("alice@example.org", ["recipient_email2fas"]),
        ("alice", ["recipient_email2fas"]),
        ("http://alice.id.example.org/", ["recipient_openid2fas"]),
        ("https://src.example.org/user/alice", ["recipient_distgit2fas"]),
        ("alice@EXAMPLE.ORG", ["recipient_krb2fas", "recipient_nick2fas"]),
        ("alice", []),
    ],
)
def test_conversion_that_needs_only_the_text_asks_no_service(value: str, keys: list[str]) -> None:
    accounts = Listed()

    assert found(accounts, value, *keys) == ["alice"]
    assert accounts.asked == []


def test_several_kinds_of_names_are_tried_until_one_is_known() -> None:
    accounts = Listed(others=OTHERS)

    assert found(accounts, "ali", "recipient_github2fas", "recipient_email2fas") == ["alice"]
    accounts = Listed(others={"github": "alice"})
    both = ("recipient_nick2fas", "recipient_github2fas")
    assert found(accounts, ["nobody", 7, None], *both) == [None, None, None]
    assert accounts.asked == ["nick nobody", "github nobody"]


def test_name_that_is_too_long_is_not_asked_about() -> None:
    accounts = Listed()

    assert found(accounts, "a" * 1_000_000, "recipient_nick2fas") == [None]
    assert accounts.asked == []
    assert found(Listed(others={"b" * (MAX_NAME + 1): "bob"}), "b" * 65, "recipient_nick2fas") == [
        "bob"
    ]


def test_only_rules_that_are_triggered_look_names_up(desk: Desk) -> None:
    accounts = Listed("alice", others=OTHERS)
    nick = HOLDS + "recipient_nick2fas: Yes\n"
    other = nick.replace("git.receive", "git.branch")

    desk.handle(accounts, other, users=["al"])
    assert accounts.asked == []

    assert desk.handle(accounts, nick, users=["al"]) == 1
    assert accounts.asked == ["nick al", "alice"]


# Memory


@pytest.fixture(params=["exists", "by_nick", "by_email", "by_github"])
def question(request: pytest.FixtureRequest) -> Callable[[Accounts, str], object]:
    return lambda accounts, name: getattr(accounts, request.param)(name)


Asking = Callable[[Accounts, str], object]


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_every_answer_is_cached(question: Asking, name: str) -> None:
    accounts = Listed("alice", others={"alice": "alice"})
    remembered = CachedAccounts(accounts, 60)

    first = question(remembered, name)

    assert question(remembered, name) == first == question(accounts, name)
    assert len(accounts.asked) == 2  # and one of these is by the line above


@pytest.mark.parametrize("question", ["by_nick", "by_email", "by_github"])
def test_cached_answer_is_for_a_name_in_any_case(question: str) -> None:
    accounts = Listed(others={"al@mail.example": "alice"})
    ask = getattr(CachedAccounts(accounts, 60), question)

    assert [ask(name) for name in ("al@mail.example", "Al@Mail.Example")] == ["alice", "alice"]
    assert len(accounts.asked) == 1


def test_cache_distinguishes_kinds_of_names() -> None:
    remembered = CachedAccounts(Listed("ann", others={"al": "alice"}), 60)

    assert remembered.exists("al") is False
    assert remembered.by_nick("al") == "alice"


def test_cached_answer_expires() -> None:
    accounts = Listed()
    remembered = CachedAccounts(accounts, 0)

    remembered.exists("alice")
    remembered.exists("alice")

    assert accounts.asked == ["alice", "alice"]


def test_outage_is_not_cached() -> None:
    accounts = Listed("alice")
    remembered = CachedAccounts(accounts, 60)
    accounts.away = True
    with pytest.raises(Unavailable):
        remembered.exists("alice")

    accounts.away = False

    assert remembered.exists("alice") is True


def test_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedbadges.accounts.service._MAX_ANSWERS", 2)
    accounts = Listed()
    remembered = CachedAccounts(accounts, 60)

    for name in ("alice", "bob", "carol", "alice"):
        remembered.exists(name)

    assert accounts.asked == ["alice", "bob", "carol", "alice"]
