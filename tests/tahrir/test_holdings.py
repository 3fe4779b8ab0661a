"""Who holds what, as tahrir_api itself sees it."""

import datetime

from support.builders import statements
from support.tahrir import (
    BOTH,
    at,
    award,
    badges_of,
    opt_out,
)
from tahrir_api.dbapi import TahrirDatabase

from fedbadges.config.settings import Settings
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import Holdings

NOW = datetime.datetime(2026, 11, 26, 12)


def test_unknown_people_hold_nothing_and_have_not_opted_out(tahrir: Tahrir) -> None:
    assert tahrir.holdings(["alice"], BOTH) == Holdings({}, set())


def test_holdings_are_of_the_requested_people_and_badges_only(tahrir: Tahrir) -> None:
    award(tahrir, "editor", "alice")
    award(tahrir, "tagger", "alice")
    award(tahrir, "editor", "bob")

    standing = tahrir.holdings(["alice", "carol"], ["editor"])

    assert standing.held.keys() == {("alice", "editor")}
    assert not standing.allows("alice", "editor", at(NOW))
    assert standing.allows("carol", "editor", at(NOW))


def test_holdings_allow_nothing_to_those_who_opted_out(tahrir: Tahrir, api: TahrirDatabase) -> None:
    award(tahrir, "editor", "alice")
    opt_out(api, "alice@example.org")

    standing = tahrir.holdings(["alice"], ["tagger"])

    assert standing.opted_out == {"alice"}
    assert not standing.allows("alice", "tagger", at(NOW))


def test_holdings_of_known_people_take_one_statement(tahrir: Tahrir, settings: Settings) -> None:
    for name in ("alice", "bob"):
        award(tahrir, "editor", name)

    with statements(settings.tahrir_url) as sent:
        tahrir.holdings(["alice", "bob"], BOTH)

    assert len(sent) == 1


def test_holdings_of_unknown_people_take_a_second_statement(
    tahrir: Tahrir, settings: Settings
) -> None:
    award(tahrir, "editor", "alice")

    with statements(settings.tahrir_url) as sent:
        tahrir.holdings(["alice", *(f"user{number}" for number in range(100))], BOTH)

    assert len(sent) == 2


def test_person_is_found_by_an_address_in_upper_case(tahrir: Tahrir, api: TahrirDatabase) -> None:
    api.add_person("Alice@Example.org", nickname="somebody")
    api.add_assertion("editor", "alice@example.org", None)

    assert tahrir.holdings(["alice"], BOTH).held.keys() == {("alice", "editor")}
    assert award(tahrir, "editor", "alice") is None


def test_person_with_another_address_is_found_by_nickname(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    api.add_person("alice@elsewhere.example", nickname="Alice")
    api.add_assertion("editor", "alice@elsewhere.example", None)
    api.add_person("bob@elsewhere.example", nickname="bob")
    opt_out(api, "bob@elsewhere.example")

    standing = tahrir.holdings(["alice", "bob"], BOTH)

    assert standing.held.keys() == {("alice", "editor")}
    assert standing.opted_out == {"bob"}


def test_holdings_say_when_badges_were_awarded(tahrir: Tahrir, api: TahrirDatabase) -> None:
    since = datetime.datetime(2014, 9, 20, 12)
    api.add_person("Alice@Example.org", nickname="somebody")
    api.add_assertion("editor", "alice@example.org", since)
    award(tahrir, "tagger", "bob")

    holdings = tahrir.holdings(["alice", "bob", "carol"], ["editor"])

    assert holdings.held == {("alice", "editor"): since}


def test_address_takes_precedence_over_nickname(tahrir: Tahrir, api: TahrirDatabase) -> None:
    """As it does for awards."""
    api.add_person("Alice@example.org", nickname="bob")
    api.add_person("carol@example.org", nickname="alice")
    api.add_assertion("editor", "carol@example.org", None)

    assert tahrir.holdings(["alice"], BOTH).held == {}
    award(tahrir, "tagger", "alice")
    assert badges_of(api, "alice@example.org") == ["tagger"]
    assert tahrir.holdings(["alice", "bob"], BOTH).held.keys() == {
        ("alice", "tagger"),
        ("bob", "tagger"),
    }


def test_holdings_of_more_people_than_a_statement_can_hold(tahrir: Tahrir) -> None:
    names = [f"user{number}" for number in range(40_000)]
    award(tahrir, "editor", names[-1])

    assert tahrir.holdings(names, BOTH).held.keys() == {(names[-1], "editor")}
