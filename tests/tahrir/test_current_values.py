"""How far people are, in tahrir's table, whoever writes it and in which order."""

import datetime

import pytest
import sqlalchemy as sa
from support.tahrir import DAY, award, opt_out
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import CurrentValue as Row

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.tahrir.current_values import CurrentValue, find_outdated, write_values
from fedbadges.tahrir.database import Tahrir

LATER = DAY + datetime.timedelta(microseconds=1)


@pytest.fixture
def alice(tahrir: Tahrir) -> int:
    given = award(tahrir, "tagger", "alice")
    assert given is not None
    return given.person_id


def stored(settings: Settings) -> dict[str, tuple[int, datetime.datetime]]:
    with engine(settings.tahrir_url).connect() as connection:
        return {
            row.badge_id: (row.value, row.last_update)
            for row in connection.execute(sa.select(Row.__table__))
        }


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ((3, DAY), (4, LATER), (4, LATER)),
        ((4, LATER), (3, DAY), (4, LATER)),
        ((4, DAY), (1, LATER), (1, LATER)),
        ((3, DAY), (4, DAY), (4, DAY)),
        ((4, DAY), (3, DAY), (4, DAY)),
    ],
)
def test_value_as_of_the_latest_message_stays(
    settings: Settings,
    alice: int,
    first: tuple[int, datetime.datetime],
    second: tuple[int, datetime.datetime],
    left: tuple[int, datetime.datetime],
) -> None:
    write_values(settings, [CurrentValue("editor", alice, *first)])
    changed = write_values(settings, [CurrentValue("editor", alice, *second)])

    assert stored(settings) == {"editor": left}
    assert changed == (left == second)


def test_value_beyond_what_the_column_holds_is_written_as_its_greatest(
    settings: Settings, alice: int
) -> None:
    write_values(settings, [CurrentValue("editor", alice, 5_000_000_000, DAY)])

    assert stored(settings) == {"editor": (2**31 - 1, DAY)}


def test_value_that_is_there_is_not_written_again(settings: Settings, alice: int) -> None:
    value = CurrentValue("editor", alice, 3, DAY)
    assert write_values(settings, [value]) == 1
    assert write_values(settings, [value]) == 0


def test_two_names_of_one_person_are_one_value(settings: Settings, alice: int) -> None:
    values = [CurrentValue("editor", alice, value, DAY) for value in (2, 3, 1)]

    assert write_values(settings, values) == 1
    assert stored(settings) == {"editor": (3, DAY)}


def test_what_tahrir_does_not_know_or_has_as_of_later_needs_no_value(
    settings: Settings, tahrir: Tahrir, api: TahrirDatabase, alice: int
) -> None:
    award(tahrir, "tagger", "bob")
    opt_out(api, "bob@example.org")
    write_values(settings, [CurrentValue("tagger", alice, 3, LATER)])
    wanted = [
        ("editor", "alice"),
        ("tagger", "alice"),
        ("deleted", "alice"),
        ("editor", "bob"),
        ("editor", "nobody"),
    ]

    assert find_outdated(settings, dict.fromkeys(wanted, DAY)) == {("editor", "alice"): alice}
    # It may have been counted before something was stored.
    assert find_outdated(settings, {("tagger", "alice"): LATER}) == {("tagger", "alice"): alice}


def test_nothing_is_written_of_nothing(settings: Settings) -> None:
    assert find_outdated(settings, {}) == {}
    assert write_values(settings, []) == 0
