"""Rules that cannot work, made after public reports: what ``fedbadges check`` finds in them.

The cases are no part of the project. They are looked for beside the repository.
"""

import json
from pathlib import Path

import pytest
from support.command import fedbadges
from support.databases import Databases, store_message

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not there")


def findings(*arguments: str | Path) -> list[str]:
    """Returns the file names, places and codes of what is found."""
    found = json.loads(fedbadges("check", "--format", "json", *arguments).stdout)["findings"]
    return [f"{Path(each['path']).name}:{each['line']} {each['code']}" for each in found]


def test_case_never_and_always() -> None:
    assert findings("--ignore", "same-again", CASES / "never-and-always") == [
        "at-least-none.yml:10 always-holds",
        "braces.yml:8 no-topic",
        "envelope.yml:11 no-field",
        "less-than-none.yml:10 never-holds",
    ]


def test_case_newcomer_beside_veteran() -> None:
    rule = CASES / "newcomer-beside-veteran/rule.yml"

    assert findings(rule) == ["rule.yml:10 counted-together"]


def test_case_text_cut_by_comment() -> None:
    assert findings(CASES / "text-cut-by-comment/rule.yml") == ["rule.yml:2 cut-text"]


def test_case_path_that_is_gone(database: Databases) -> None:
    case = CASES / "path-that-is-gone"
    message = json.loads((case / "message.json").read_text())
    for number in range(20):
        store_message(database, message | {"msg_id": f"2026-{number}"})

    expected = ["rule.yml:8 missing-path", "rule.yml:11 missing-path"]
    history = ("--history-url", database.datanommer_url, "--ignore", "stale-topic")
    assert findings(*history, case / "rule.yml") == expected
    assert findings("--messages", case, case / "rule.yml") == expected
