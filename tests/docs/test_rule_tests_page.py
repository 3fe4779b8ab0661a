"""docs/rule-tests.rst: its examples pass, and it leaves out no key."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from support.command import fedbadges
from support.rule_test_files import make_runner, run, write_suite

from fedbadges.ruletests.format import MAX_MESSAGES, NOW, suite_schema
from fedbadges.ruletests.runner import RuleTestRunner

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/rule-tests.rst").read_text()
EXAMPLES = [
    re.sub("^    ", "", block[1], flags=re.MULTILINE)
    for block in re.finditer(r"::\n\n((?:    .*\n|\n)+)", PAGE)
]


@pytest.fixture(scope="module")
def runner() -> RuleTestRunner:
    return make_runner()


@pytest.mark.parametrize("text", [each for each in EXAMPLES if "tests:" in each])
def test_example_of_rule_tests_passes(runner: RuleTestRunner, tmp_path: Path, text: str) -> None:
    path = write_suite(tmp_path, text, (ROOT / "rules/git/gardener.yml").read_text())

    assert run(runner, path) == []


def test_example_in_the_help_of_fedbadges_test_passes(
    runner: RuleTestRunner, tmp_path: Path
) -> None:
    example = fedbadges("test", "--help").stdout.partition("gardener.yml:\n")[2]
    path = write_suite(
        tmp_path, textwrap.dedent(example), (ROOT / "rules/git/gardener.yml").read_text()
    )

    assert run(runner, path) == []


def test_page_has_examples() -> None:
    assert len([each for each in EXAMPLES if "tests:" in each]) >= 4


def test_page_explains_every_key_of_rule_tests() -> None:
    def keys(schema: Any) -> set[str]:
        if not isinstance(schema, dict | list):
            return set()
        inner = schema.values() if isinstance(schema, dict) else schema
        found = set(schema["properties"]) if "properties" in schema else set()
        return found.union(*map(keys, inner))

    assert {key for key in keys(suite_schema()) if f"``{key}``" not in PAGE} == set()


def test_page_names_the_limits_of_rule_tests() -> None:
    assert f"{MAX_MESSAGES:,} messages" in PAGE
    assert f"Default: {NOW:%Y-%m-%d %H:%M} UTC" in PAGE
