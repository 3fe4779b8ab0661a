"""The JSON Schema of test files: it takes what ``fedbadges test`` takes, and sees mistakes."""

import contextlib
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from support.command import fedbadges
from support.schemas import as_json
from test_rule_test_files import EVERYTHING, MISTAKES, TESTS

from fedbadges.errors import RuleError
from fedbadges.rules.parsing import Problems
from fedbadges.rules.yaml_document import parse_document
from fedbadges.ruletests.suite import parse_suite

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "rules").rglob("*.test"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    done = fedbadges("schema", "--tests")
    assert (done.exit_code, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def errors(validator: Draft202012Validator, text: str) -> list[str]:
    document = parse_document(text.encode(), "rule.yml.test", "test")
    return [
        f"{error.json_path}: {error.message}" for error in validator.iter_errors(as_json(document))
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_schema_accepts_the_tests_of_every_example(
    validator: Draft202012Validator, path: Path
) -> None:
    assert errors(validator, path.read_text()) == []


@pytest.mark.parametrize("text", [EVERYTHING, TESTS])
def test_schema_accepts_files_without_mistakes(validator: Draft202012Validator, text: str) -> None:
    problems = Problems()
    assert parse_suite(text.encode(), Path("rule.yml.test"), problems)
    assert list(problems) == []
    assert errors(validator, text) == []


#: What a schema cannot see: what other parts or files say, and what texts mean.
UNSEEN = (
    *("no message ", "a text has ", "nothing to fill in", "a template that", "sent at a time"),
    *("with these, the test", "another message has", "no tested rule awards", "there is no rule"),
    *("missing key 'topic'", "a test without expectations", "'timestamp' is a date"),
    *("'a\\x00' cannot be a topic", "'.inf' is not a number", "'a b' cannot be an account"),
)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (text.replace("→", ""), expected[0])
        for text, expected in MISTAKES
        if not expected[0].startswith(UNSEEN) and "---" not in text and not text.startswith("→- a")
    ],
)
def test_schema_rejects_mistakes(validator: Draft202012Validator, text: str, mistake: str) -> None:
    problems = Problems()
    with contextlib.suppress(RuleError):
        assert parse_suite(text.encode(), Path("rule.yml.test"), problems)
        assert list(problems) != []
    assert errors(validator, text) != [], mistake


def test_schema_describes_every_key(validator: Draft202012Validator) -> None:
    def keys(schema: object) -> list[str]:
        if isinstance(schema, list):
            return [name for each in schema for name in keys(each)]
        if not isinstance(schema, dict):
            return []
        named = schema.get("properties", {})
        mute = [name for name, each in named.items() if not each.get("description")]
        return mute + [name for each in (*schema.values(), *named.values()) for name in keys(each)]

    assert keys(validator.schema) == []
