"""Which rules make a series of badges."""

from pathlib import Path

import pytest
from support.builders import make_rule, make_settings
from support.databases import Databases
from support.rules import counting_rule, only_rule, rule

from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.engine.series import find_series
from fedbadges.rules.loader import load_text
from fedbadges.rules.rule import Rule

MOST = """
trigger: {topic: wiki.edit}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(username)s"]}
  operation: count
  condition: {less than: 7}
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(Databases("sqlite", "sqlite://", "sqlite://"), tmp_path)


def counting(
    settings: Settings, name: str, needed: int, topic: str = "wiki.edit", more: str = ""
) -> Rule:
    text = counting_rule(name, topic, needed) + more
    return only_rule(text.encode(), f"{name}.yml", load_backends(settings))


def found(*rules: Rule) -> dict[str, tuple[str, ...]]:
    """Return the badges of each series, whatever the order of the rules."""
    series = find_series(rules)
    assert series == find_series(reversed(rules))
    return {each.name: each.badge_ids for each in series}


def test_rules_that_differ_in_how_many_they_need_are_a_series(settings: Settings) -> None:
    rules = [counting(settings, f"Wiki Scribe {n}", n) for n in (10, 2, 50)]

    (series,) = find_series(rules)

    assert series.name == "Wiki Scribe"
    assert series.badge_ids == ("wiki-scribe-2", "wiki-scribe-10", "wiki-scribe-50")
    assert series.description == "Wiki Scribe 2 to Wiki Scribe 50"


def test_other_differences_make_no_series(settings: Settings) -> None:
    assert not found(
        counting(settings, "One", 1),
        counting(settings, "Two", 2, "wiki.delete"),
        counting(settings, "Again", 1),
        make_rule(settings, "Most", MOST),
    )


def test_series_without_a_common_word_has_the_name_of_its_first_badge(settings: Settings) -> None:
    rules = [counting(settings, name, n) for n, name in enumerate(("Egg", "Chick", "Hen"), 1)]

    assert found(*rules) == {"Egg": ("egg", "chick", "hen")}


def test_two_series_do_not_have_one_name(settings: Settings) -> None:
    rules = [
        counting(settings, f"Scribe {topic[5:]} {n}", n, topic)
        for topic in ("wiki.edit", "wiki.move")
        for n in (1, 2)
    ]
    others = [counting(settings, f"Scribe move {n}", n, "wiki.merge") for n in (3, 4)]

    assert found(*rules, *others) == {
        "Scribe edit": ("scribe-edit-1", "scribe-edit-2"),
        "Scribe move": ("scribe-move-1", "scribe-move-2"),
        "Scribe move 3": ("scribe-move-3", "scribe-move-4"),
    }


def test_badges_of_one_file_are_in_the_order_of_their_thresholds(settings: Settings) -> None:
    text = counting_rule("Name", "wiki.edit", 1)
    question = """{filter: {topics: ["%(topic)s"]}, operation: count}"""
    badges = "".join(f"- {{name: {name}, threshold: {n}}}\n" for n, name in ((2, "Z"), (10, "A")))
    series = text[: text.index("criteria")].replace("name: Name\n", "")
    series += f"criteria: {{any: [{question}]}}\nseries: Path\nbadges:\n{badges}"

    rules = load_text(series.encode(), "path.yml", load_backends(settings))

    assert found(*rules) == {"Path": ("z", "a")}


def test_key_names_a_series_of_any_rules(settings: Settings) -> None:
    key = "series: Path\n"
    rules = [
        counting(settings, "Second", 5, "wiki.move", key),
        counting(settings, "First", 2, "wiki.edit", key),
        counting(settings, "Alone", 9, "wiki.edit"),
        only_rule(rule("Last", MOST + key).encode(), "last.yml", load_backends(settings)),
    ]

    assert found(*rules) == {"Path": ("first", "second", "last")}
