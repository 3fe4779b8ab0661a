"""Rules about badges: what they may say, and that none need each other."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.builders import make_settings
from support.databases import Databases
from support.rule_text import HERE, mistakes
from support.rules import METADATA, rule, write_rules
from support.schemas import as_json

from fedbadges.criteria.backends import load_backends
from fedbadges.rules.badge_rules import earned_by_holding
from fedbadges.rules.criteria import Backends
from fedbadges.rules.loader import load_directory, load_text
from fedbadges.rules.rule import Rule
from fedbadges.rules.series import file_schema
from fedbadges.rules.yaml_document import parse_document

TRIGGER = "trigger: {topic: git.receive}\n"
PAST = 'filter: {topics: ["%(topic)s"]}, operation: count, condition: {equal to: 10}'
LINES = METADATA.count("\n")

NO_TRIGGER = "missing key 'trigger' in a rule"
CAN_FAIL = (
    "more badges can make this false, so it takes a 'trigger': without one, it would depend on "
    "the order in which badges are awarded"
)


@pytest.fixture(scope="module")
def backends() -> Backends:
    return load_backends(make_settings(Databases("sqlite", "sqlite://", "sqlite://"), Path()))


@pytest.fixture(scope="module")
def validator(backends: Backends) -> Draft202012Validator:
    return Draft202012Validator(file_schema(backends))


def holds(badges: str, more: str = "") -> str:
    return f"criteria: {{tahrir: {{holds: {badges}}}}}\n{more}"


def tagged(tags: str, condition: str = "greater than: 1", more: str = "") -> str:
    asked = f"badges with tags: {tags}, condition: {{{condition}}}"
    return f"criteria: {{tahrir: {{{asked}}}}}\n{more}"


def load(body: str, backends: Backends, name: str = "Test Badge") -> Rule:
    (loaded,) = load_text(rule(name, body).encode(), "rule.yml", backends)
    return loaded


GOOD = [
    holds("gardener-i"),
    holds("[gardener-i, scribe-i]"),
    holds("{any: [gardener-i, {all: [scribe-i, fixer]}]}"),
    holds("[{any: [gardener-i, scribe-i]}, fixer]"),
    tagged("event"),
    tagged("[event, 2026-a]"),
    tagged("{any: [event, {not: old}]}"),
    "criteria: {any: [{tahrir: {holds: a}}, {all: [{tahrir: {holds: b}}]}]}\n",
    holds("{not: a}", TRIGGER),
    tagged("event", "equal to: 2", TRIGGER),
    f"criteria: {{all: [{{tahrir: {{holds: a}}}}, {{{PAST}}}]}}\n{TRIGGER}",
    f"criteria: {{not: {{tahrir: {{holds: a}}}}}}\n{TRIGGER}" + 'recipient: "%(msg.user)s"\n',
]


@pytest.mark.parametrize("body", GOOD)
def test_rules_about_badges_load_and_fit_the_schema(
    body: str, backends: Backends, validator: Draft202012Validator
) -> None:
    text = rule("Test Badge", body).encode()
    assert mistakes(text, backends) == []
    assert list(validator.iter_errors(as_json(parse_document(text, "rule.yml")))) == []


BAD: list[tuple[str, ...]] = [
    (f"criteria: {HERE}{{tahrir: {{holds: {{not: a}}}}}}\n", CAN_FAIL),
    (f"criteria: {HERE}{{not: {{tahrir: {{holds: a}}}}}}\n", CAN_FAIL),
    (
        f"criteria: {HERE}{{tahrir: {{badges with tags: a, condition: {{less than: 3}}}}}}\n",
        CAN_FAIL,
    ),
    (
        holds("a") + f'{HERE}recipient: "%(msg.user)s"\n',
        "'recipient' needs a 'trigger': without one, whoever is awarded a badge is judged",
    ),
    (
        f"criteria: {{tahrir: {{holds: a, {HERE}condition: {{greater than: 1}}}}}}\n",
        "'condition' stands beside 'holds'; combine two with 'all' or 'any'",
    ),
    (
        f"criteria: {{tahrir: {{{HERE}badges with tags: a}}}}\n",
        "'badges with tags' needs a 'condition', such as 'greater than or equal to: 5'",
    ),
    (
        f"criteria: {{tahrir: {HERE}{{condition: {{greater than: 1}}}}}}\n",
        "'tahrir' takes 'holds', or 'badges with tags' with a 'condition'",
    ),
    (
        f"criteria: {{tahrir: {{{HERE}hold: a}}}}\n",
        "unknown key 'hold' in 'tahrir'; did you mean 'holds'? There are 'holds', "
        "'badges with tags' and 'condition'",
    ),
    (f"criteria: {{tahrir: {{holds: {HERE}[]}}}}\n", "'holds' is empty; it takes at least one"),
    (
        f"criteria: {{tahrir: {{holds: [a, {HERE}7]}}}}\n",
        "a badge is text, and this is a number, '7' (quotes make it text)",
    ),
    (f"criteria: {{tahrir: {{holds: {HERE}}}}}\n", "a badge is text, and this is empty"),
]


@pytest.mark.parametrize(("body", "expected"), BAD)
def test_mistakes_in_rules_about_badges_have_their_places(
    body: str, expected: str, backends: Backends, validator: Draft202012Validator
) -> None:
    before, after = body.split(HERE)
    found = mistakes(rule("Test Badge", before + after).encode(), backends)
    line = LINES + before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    assert found == [f"rule.yml:{line}:{column}: {expected}"]


@pytest.mark.parametrize(
    "body",
    [
        f"criteria: {{{PAST}}}\n",
        f"criteria: {{all: [{{tahrir: {{holds: a}}}}, {{{PAST}}}]}}\n",
        "criteria: {libravatar: {exists: Yes}}\n",
    ],
)
def test_only_criteria_about_badges_need_no_trigger(
    body: str, backends: Backends, validator: Draft202012Validator
) -> None:
    text = rule("Test Badge", body).encode()
    assert mistakes(text, backends) == [f"rule.yml:1:1: {NO_TRIGGER}"]
    assert list(validator.iter_errors(as_json(parse_document(text, "rule.yml"))))


@pytest.mark.parametrize("body", [holds("{not: a}"), tagged("a", "equal to: 2"), holds("a")])
def test_the_schema_refuses_nothing_that_the_reader_takes(
    body: str, backends: Backends, validator: Draft202012Validator
) -> None:
    text = rule("Test Badge", body).encode()
    if list(validator.iter_errors(as_json(parse_document(text, "rule.yml")))):
        assert mistakes(text, backends)


@pytest.mark.parametrize(
    ("body", "held", "expected"),
    [
        (holds("a"), {"a": ()}, True),
        (holds("a"), {"b": ()}, False),
        (holds("[a, b]"), {"a": ()}, False),
        (holds("[a, b]"), {"a": (), "b": (), "c": ()}, True),
        (holds("{any: [a, b]}"), {"b": ()}, True),
        (holds("[a, {any: [b, c]}]"), {"a": (), "c": ()}, True),
        (tagged("event", "greater than: 1"), {"a": ("event",), "b": ("x", "event")}, True),
        (tagged("EVENT", "greater than: 1"), {"a": ("event",), "b": ("x", "event")}, True),
        (tagged("event", "greater than: 1"), {"a": ("event",), "b": ("x",)}, False),
        (tagged("[event, x]", "greater than: 0"), {"a": ("event",), "b": ("x",)}, False),
        (tagged("{any: [event, x]}"), {"a": ("event",), "b": ("x",)}, True),
        (tagged("{not: x}", "greater than: 0"), {"a": ("x",), "b": ()}, True),
    ],
)
def test_criteria_about_badges_hold_for_what_somebody_holds(
    body: str, held: dict[str, Any], expected: bool, backends: Backends
) -> None:
    loaded = load(body, backends)
    theirs = {badge: frozenset(tags) for badge, tags in held.items()}
    assert bool(earned_by_holding([loaded], "alice", theirs)) is expected


def needing(**needs: str) -> dict[str, str]:
    """Return rules whose badges need others."""
    return {name: rule(name, holds(badges)) for name, badges in needs.items()}


def test_badges_that_need_each_other_are_a_mistake_with_all_places(
    tmp_path: Path, backends: Backends
) -> None:
    write_rules(tmp_path, needing(a="[x, b]", b="{any: [c, y]}", c="a", d="a"))

    loaded = load_directory(tmp_path, backends)

    assert [rule.badge.id for rule in loaded.rules] == ["d"]
    line = LINES + 1
    a, b, c = (f"{tmp_path}/{name}.yml:{line}" for name in "abc")
    text = "the criteria of badges may not ask for each other: "
    steps = [
        f"'a' asks for 'b' at {a}:32",
        f"'b' asks for 'c' at {b}:35",
        f"'c' asks for 'a' at {c}:28",
    ]
    assert [str(problem) for problem in loaded.problems] == [
        f"{a}:32: {text}{steps[0]}, {steps[1]}, {steps[2]}",
        f"{b}:35: {text}{steps[1]}, {steps[2]}, {steps[0]}",
        f"{c}:28: {text}{steps[2]}, {steps[0]}, {steps[1]}",
    ]


def test_a_badge_does_not_need_itself(tmp_path: Path, backends: Backends) -> None:
    write_rules(tmp_path, {"a": rule("a", holds("{not: a}", TRIGGER))})
    loaded = load_directory(tmp_path, backends)
    assert not len(loaded.rules)
    assert "'a' asks for 'a'" in str(loaded.problems[0])


def test_what_was_good_before_a_cycle_stays_in_force(tmp_path: Path, backends: Backends) -> None:
    write_rules(tmp_path, needing(a="x", b="a"))
    before = {rule.place.path: [rule] for rule in load_directory(tmp_path, backends).rules}
    write_rules(tmp_path, needing(a="b"))

    loaded = load_directory(tmp_path, backends, before)

    assert {rule.place.path: [rule] for rule in loaded.rules} == before
    assert len(loaded.problems) == 2
