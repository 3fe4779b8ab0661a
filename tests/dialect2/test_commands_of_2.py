"""Commands work on rules of fedbadges 2.x as on others."""

import json
from pathlib import Path

import pytest
from support.builders import make_message
from support.command import fedbadges
from support.command_deployment import CommandDeployment
from support.databases import Databases
from support.rule_text import METADATA
from support.rules_of_2 import TEXTS

EDITOR = """
trigger:
  all:
  - topic: wiki.edit
  - lambda: message.body["pages"] > 0
previous:
  filter:
    topics: [message.topic]
    users: [recipient]
  operation: count
condition: {greater than or equal to: 2}
recipient: message.body["user"]
"""


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> CommandDeployment:
    found = CommandDeployment(sqlite_database, tmp_path)
    found.write("Editor", EDITOR)
    for number in range(2):
        found.store("wiki.edit", ["alice"], {"user": "alice", "pages": 1}, msg_id=f"2024-{number}")
    found.store("wiki.edit", ["bob"], {"user": "bob", "pages": 1}, msg_id="2024-9")
    return found


def test_explain_shows_what_a_rule_says(deployment: CommandDeployment) -> None:
    path = deployment.directory / "message.json"
    body = make_message("wiki.edit", {"user": "alice", "pages": 1}, msg_id="2024-1").body
    path.write_text(json.dumps(body))

    shown = deployment.call("explain", path).stdout

    assert 'lambda message.body["pages"] > 0: yes' in shown
    assert 'recipient message.body["user"]: alice' in shown
    assert "users: alice" in shown
    assert "alice gets editor" in shown


def test_preview_finds_who_has_earned_it(deployment: CommandDeployment) -> None:
    done = deployment.call("backfill", "editor", "--format", "json")
    assert "alice" in done.stdout
    assert "bob" not in done.stdout


def test_progress_shows_the_count(deployment: CommandDeployment) -> None:
    done = deployment.call("progress", "bob")
    assert "1 of 2" in done.stdout


def test_check_finds_nothing_in_rules_as_they_are(tmp_path: Path) -> None:
    for name, text in TEXTS.items():
        (tmp_path / f"{name}.yml").write_text(text)

    assert fedbadges("check", tmp_path).stdout == ""


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        ("users: [recipient]", "start: 2020-01-01", "to ask about each, write users: [recipient]"),
        ('message.body["pages"] > 0', 'message.body["pages"] is 0', "write '== 0' [is-literal]"),
        ("[message.topic]", "[wiki.edit]", "prod.git.receive' or 'message.topic'"),
        ('message.body["user"]', 'message.body["usr"]', "has msg.usr; they have msg.user"),
    ],
)  # fmt: skip
def test_check_finds_what_is_probably_not_meant(
    tmp_path: Path, right: str, wrong: str, text: str
) -> None:
    path = tmp_path / "rule.yml"
    path.write_text(METADATA + EDITOR.replace(right, wrong))
    sample = {"topic": "org.fedoraproject.prod.wiki.edit", "msg": {"user": "a", "pages": 1}}
    (tmp_path / "sample.json").write_text(json.dumps([sample, sample]))

    assert text in fedbadges("check", "--messages", tmp_path / "sample.json", path).stdout
