"""Who holds which badge is remembered for a while, and nobody gets too much because of that."""

from typing import Any

import pytest
from support.builders import statements
from support.tahrir import BOTH, at, award, badges_of, opt_out, revoke
from tahrir_api.dbapi import TahrirDatabase

from fedbadges.config.settings import Settings
from fedbadges.errors import Unavailable
from fedbadges.tahrir.awarding import Award
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import BELIEVED, Holdings
from fedbadges.tahrir.remembered import RememberedHoldings

MINUTE = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def remembered(tahrir: Tahrir, clock: Clock) -> RememberedHoldings:
    return RememberedHoldings(tahrir, MINUTE, clock)


def holds(remembered: RememberedHoldings, name: str = "alice") -> bool:
    return (name, "editor") in remembered.holdings([name], ["editor"]).held


def test_remembered_holdings_are_those_of_tahrir(
    tahrir: Tahrir, remembered: RememberedHoldings, api: TahrirDatabase
) -> None:
    award(tahrir, "editor", "alice")
    award(tahrir, "tagger", "bob")
    revoke(tahrir, "tagger", "bob")
    opt_out(api, "bob@example.org")
    names = ["alice", "bob", "carol"]

    first, again = (remembered.holdings(names, BOTH) for _ in range(2))

    assert first == again == tahrir.holdings(names, BOTH)
    assert all((first.held, first.opted_out, first.revoked))


def test_same_person_and_badge_are_asked_once_a_minute(
    remembered: RememberedHoldings, settings: Settings, clock: Clock
) -> None:
    remembered.holdings(["alice", "bob"], BOTH)
    clock.now += MINUTE - 1
    with statements(settings.tahrir_url) as within:
        remembered.holdings(["bob"], ["editor"])
    clock.now += 1
    with statements(settings.tahrir_url) as after:
        remembered.holdings(["bob"], ["editor"])

    assert not within
    assert after


def test_somebody_new_and_a_badge_not_asked_about_are_looked_up(
    tahrir: Tahrir, remembered: RememberedHoldings
) -> None:
    award(tahrir, "editor", "bob")
    award(tahrir, "tagger", "alice")
    assert not holds(remembered)

    assert holds(remembered, "bob")
    assert remembered.holdings(["alice"], BOTH).held.keys() == {("alice", "tagger")}


def test_badges_that_were_asked_about_in_turn_are_remembered_together(
    remembered: RememberedHoldings, settings: Settings
) -> None:
    for badge_id in BOTH:
        remembered.holdings(["alice"], [badge_id])

    with statements(settings.tahrir_url) as sent:
        for badge_id in BOTH:
            remembered.holdings(["alice"], [badge_id])
    assert not sent


def test_what_was_awarded_is_seen_at_once(remembered: RememberedHoldings) -> None:
    assert not holds(remembered)

    assert remembered.award([Award("editor", "alice")]).given

    assert holds(remembered)


def test_what_is_asked_during_an_award_is_not_remembered_whether_it_ends_well_or_not(
    tahrir: Tahrir, remembered: RememberedHoldings, monkeypatch: pytest.MonkeyPatch
) -> None:
    give = tahrir.award

    def lose_the_answer(awards: list[Award], rules: object) -> None:
        assert not holds(remembered)
        give(awards)
        raise Unavailable("tahrir is away")

    monkeypatch.setattr(tahrir, "award", lose_the_answer)
    with pytest.raises(Unavailable):
        remembered.award([Award("editor", "alice")])

    assert holds(remembered)


def test_answer_is_as_old_as_its_question(
    tahrir: Tahrir, remembered: RememberedHoldings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = tahrir.holdings

    def answer_slowly(*about: Any) -> Holdings:
        found = ask(*about)
        clock.now += MINUTE
        return found

    monkeypatch.setattr(tahrir, "holdings", answer_slowly)
    assert not holds(remembered)
    award(tahrir, "editor", "alice")

    assert holds(remembered)


def test_badge_claimed_meanwhile_is_not_given_again_and_then_known(
    tahrir: Tahrir, remembered: RememberedHoldings
) -> None:
    assert not holds(remembered)
    award(tahrir, "editor", "alice")
    assert not holds(remembered)

    assert not remembered.award([Award("editor", "alice")]).given

    assert holds(remembered)


def test_who_opted_out_meanwhile_gets_nothing(
    tahrir: Tahrir, remembered: RememberedHoldings, api: TahrirDatabase
) -> None:
    award(tahrir, "tagger", "alice")
    assert not holds(remembered)
    opt_out(api, "alice@example.org")

    assert not remembered.award([Award("editor", "alice")]).given

    assert "editor" not in badges_of(api, "alice@example.org")
    assert remembered.holdings(["alice"], ["editor"]).opted_out == {"alice"}


def test_message_that_finds_a_revoked_badge_held_would_not_give_it_anyway(
    tahrir: Tahrir, remembered: RememberedHoldings, clock: Clock
) -> None:
    award(tahrir, "editor", "alice")
    assert holds(remembered)
    revoke(tahrir, "editor", "alice")
    revocation = tahrir.holdings(["alice"], BOTH).revoked["alice", "editor"]

    # The last moment at which it is remembered, by a message that was sent then.
    clock.now += BELIEVED.total_seconds() - 1
    assert holds(remembered)
    assert revocation.bars(at(revocation.revoked_on + BELIEVED))


def test_zero_seconds_remember_nothing(tahrir: Tahrir, clock: Clock) -> None:
    remembered = RememberedHoldings(tahrir, 0.0, clock)
    assert not holds(remembered)
    award(tahrir, "editor", "alice")

    assert holds(remembered)
