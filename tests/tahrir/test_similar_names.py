"""Names that tahrir does not know, and those that were probably meant."""

import sqlalchemy as sa
from support.builders import statements
from tahrir_api.dbapi import TahrirDatabase
from tahrir_api.model import Person

from fedbadges.config.settings import Settings
from fedbadges.tahrir.database import Tahrir


def add(api: TahrirDatabase, *names: str) -> None:
    rows = [{"email": f"{name}@example.org", "nickname": name} for name in names]
    api.session.execute(sa.insert(Person), rows)
    api.session.commit()


def test_unknown_names_have_the_most_similar_known_ones(
    tahrir: Tahrir, api: TahrirDatabase
) -> None:
    add(api, "gladys", "Glenda", "glad_ys", "robert", "zoe")

    assert tahrir.unknown(["gladis", "zoe", "quux", "GLENDA".lower()]) == {
        "gladis": ["gladys", "glad_ys"],
        "quux": [],
    }


def test_wildcards_of_sql_in_a_name_are_letters(tahrir: Tahrir, api: TahrirDatabase) -> None:
    add(api, "abcdefgh")

    assert tahrir.unknown(["_____fgx", "a_______"]) == {"_____fgx": [], "a_______": []}


def test_short_names_are_looked_for_as_well(tahrir: Tahrir, api: TahrirDatabase) -> None:
    add(api, "jo", "al")

    assert tahrir.unknown(["joe"]) == {"joe": ["jo"]}


def test_number_of_statements_is_bounded_however_many_names_are_unknown(
    tahrir: Tahrir, settings: Settings, api: TahrirDatabase
) -> None:
    add(api, "alice")
    names = [f"alice{number}" for number in range(900)]

    with statements(settings.tahrir_url) as sent:
        unknown = tahrir.unknown(names)

    assert list(unknown) == names
    assert unknown["alice0"] == ["alice"]
    assert unknown["alice899"] == []
    assert len(sent) <= 25
