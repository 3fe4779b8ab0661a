"""The example rules have tests that pass, and that fail when a rule no longer does its part."""

import copy
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.command import fedbadges
from support.rule_test_files import make_runner
from tahrir_api.utils import convert_name_to_id

from fedbadges.rules.loader import TEST
from fedbadges.rules.parsing import Problems
from fedbadges.ruletests.runner import RuleTestRunner
from fedbadges.ruletests.suite import Suite, parse_suite

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "rules").rglob("*.yml"))


@pytest.fixture(scope="module")
def runner() -> RuleTestRunner:
    return make_runner()


def suite_of(rule: Path) -> Suite:
    path = rule.with_name(rule.name + TEST)
    return parse_suite(path.read_bytes(), path, Problems())


def test_example_rule_tests_pass_in_reasonable_time() -> None:
    begin = time.monotonic()
    done = fedbadges("test", "--format", "json", ROOT / "rules")

    assert done.exit_code == 0
    assert time.monotonic() - begin < 100
    found = json.loads(done.stdout)
    assert found["failed"] == 0
    assert {Path(test["path"]) for test in found["tests"]} == {
        rule.with_name(rule.name + TEST) for rule in RULES
    }


def test_nearly_all_examples_are_without_python() -> None:
    done = fedbadges("check", "--no-lambdas", ROOT / "rules")

    assert done.stdout.count("lambdas are not allowed here") == 1


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.stem)
def test_each_example_has_awards_and_no_awards(rule: Path) -> None:
    whole = yaml.safe_load(rule.read_text())
    badges = {convert_name_to_id(each["name"]) for each in whole.get("badges", [whole])}
    expected = [each for test in suite_of(rule).tests for each in test.expectations]

    assert {award.badge for each in expected for award in each.awards or ()} == badges
    assert badges <= {award.badge for each in expected for award in each.no_awards} or [
        each for each in expected if each.awards == ()
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.stem)
def test_each_example_fails_with_another_threshold_or_trigger(
    rule: Path, tmp_path: Path, runner: RuleTestRunner
) -> None:
    for each in (*rule.parent.glob("*.yml"), rule.with_name(rule.name + TEST)):
        (tmp_path / each.name).write_bytes(each.read_bytes())
    path = tmp_path / f"{rule.name}{TEST}"
    assert fails(runner, path) is False

    variants = list(mutants(yaml.safe_load(rule.read_text())))
    assert len(variants) >= 2
    unnoticed = []
    for what, variant in variants:
        (tmp_path / rule.name).write_text(yaml.safe_dump(variant))
        if not fails(runner, path):
            unnoticed.append(what)

    assert unnoticed == []


def fails(runner: RuleTestRunner, path: Path) -> bool:
    suite = runner.load(path)
    return any(runner.run(suite, test) for test in suite.tests)


def mutants(rule: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Gives a rule with each part of its trigger and each threshold changed, one at a time."""
    for path, value in leaves(rule):
        if path[0] == "trigger" and isinstance(value, str):
            yield changed(rule, path, f"{value}x")
        elif path[0] == "trigger":
            yield changed(rule, path, not value if isinstance(value, bool) else value + 1)
            yield changed(rule, path, not value if isinstance(value, bool) else value - 1)
        if path[-1] == "threshold":
            yield changed(rule, path, value + 1)
            yield changed(rule, path, value - 1)
        elif "condition" in path and isinstance(value, str):
            for number in re.finditer(r"\d+", value):
                more = f"{value[: number.start()]}{int(number[0]) + 1}{value[number.end() :]}"
                yield changed(rule, path, more)
        elif "condition" in path:
            yield changed(rule, path, value + 1)
            # There is always one: the message itself.
            if value != 1 or "equal to" not in path[-1]:
                yield changed(rule, path, value - 1)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, key))
    else:
        yield path, value


def changed(rule: dict[str, Any], path: tuple[Any, ...], value: Any) -> tuple[str, dict[str, Any]]:
    variant = copy.deepcopy(rule)
    inner: Any = variant
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return f"{'.'.join(map(str, path))}: {value}", variant
