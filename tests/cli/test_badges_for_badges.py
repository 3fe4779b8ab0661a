"""Rules about badges in commands: award, backfill, preview, explain, check and test."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from support.command import fedbadges
from support.command_deployment import CommandDeployment, question
from support.databases import Databases
from support.held_badges import holding, of, pairs
from support.rules import rule

from fedbadges.tahrir.awarding import Award

# What tahrir is asked is tried on both databases in tests/tahrir.
EDITS = f"""\
trigger: {{topic: wiki.edit}}
criteria: {question("%(topic)s", "{greater than: 0}")}
recipient: "%(msg.user)s"
"""
REASON = ("--reason", "a test")


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> CommandDeployment:
    made = CommandDeployment(sqlite_database, tmp_path)
    made.write("editor", EDITS)
    made.write("speaker", EDITS.replace("wiki.edit", "talk.given"))
    made.write("both", holding("[editor, speaker]"))
    made.write("collector", holding("both"))
    return made


def holds(deployment: CommandDeployment, *badges: str) -> None:
    deployment.tahrir.award(Award(badge, "alice") for badge in badges)


def found(result: Result, key: str) -> set[tuple[str, str]]:
    assert result.exit_code == 0, result.output
    return {(each["user"], each["badge"]) for each in json.loads(result.stdout)[key]}


def test_award_gives_what_follows(deployment: CommandDeployment) -> None:
    holds(deployment, "editor")
    result = deployment.call("award", "alice", "speaker", *REASON, "--no-publish")
    assert result.exit_code == 0
    assert "alice has collector now, which follows" in result.stderr
    assert pairs(deployment.settings) == of("alice", ["editor", "speaker", "both", "collector"])


def test_backfill_gives_what_was_earned_before_there_was_a_rule(
    deployment: CommandDeployment,
) -> None:
    holds(deployment, "editor", "speaker")
    result = deployment.call("backfill", "both", "--award", "--no-publish", "--format", "json")
    assert found(result, "awards") == of("alice", ["both", "collector"])
    assert pairs(deployment.settings) == of("alice", ["editor", "speaker", "both", "collector"])
    assert not found(deployment.call("backfill", "both", "--format", "json"), "awards")


def test_backfill_lists_and_gives_what_follows(deployment: CommandDeployment) -> None:
    holds(deployment, "editor")
    deployment.store("talk.given", ["alice"], {"user": "alice"})
    listed = deployment.call("backfill", "speaker", "--format", "json")
    expected = of("alice", ["speaker", "both", "collector"])
    assert found(listed, "awards") == expected
    arguments = ("--award", "--no-publish", "--format", "json")
    assert found(deployment.call("backfill", "speaker", *arguments), "awards") == expected
    assert pairs(deployment.settings) == expected | {("alice", "editor")}


def test_preview_shows_holders(deployment: CommandDeployment) -> None:
    holds(deployment, "editor", "speaker", "both")
    result = deployment.call("preview", "both", "--format", "json")
    assert result.exit_code == 0
    assert [each["username"] for each in json.loads(result.stdout)["earners"]] == ["alice"]


def test_explain_shows_what_follows(deployment: CommandDeployment) -> None:
    holds(deployment, "speaker")
    deployment.store("wiki.edit", ["alice"], {"user": "alice"}, msg_id="2024-1")
    result = deployment.call("explain", "--id", "2024-1", "--format", "json")
    assert found(result, "awards") == of("alice", ["editor", "both", "collector"])
    text = deployment.call("explain", "--id", "2024-1").stdout
    assert "alice gets editor; alice gets both; alice gets collector" in text
    assert deployment.call("explain", "--id", "2024-1", "--badge", "both").exit_code == 1


def test_check_warns_of_a_badge_that_nobody_has(
    deployment: CommandDeployment, tmp_path: Path
) -> None:
    path = deployment.rules / "typo.yml"
    path.write_text(rule("Typo", holding("[editor, speeker]")))
    alone = fedbadges("check", deployment.rules, "--format", "json")
    (finding,) = json.loads(alone.stdout)["findings"]
    assert finding["code"] == "unknown-badge"
    assert finding["message"] == (
        "no rule that was checked has the badge 'speeker'; did you mean 'speaker'?"
    )
    (deployment.rules / "speaker.yml").unlink()  # tahrir has it
    path.write_text(rule("Typo", holding("[editor, speaker]")))
    known = deployment.call("check", deployment.rules)
    assert "unknown-badge" not in known.stdout
    path.write_text(rule("Typo", holding("[editor, nobodys]")))
    result = deployment.call("check", deployment.rules)
    assert "neither a rule nor tahrir has the badge 'nobodys'" in result.stdout


def test_check_reports_badges_that_need_each_other(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        (tmp_path / f"{name}.yml").write_text(rule(name, holding(other)))
    result = fedbadges("check", tmp_path)
    assert result.exit_code == 1
    assert result.stdout.count("error: the criteria of badges may not ask for each other") == 2


SUITE = """\
rules: [editor.yml, both.yml]
messages:
  edit: {topic: org.example.prod.wiki.edit, msg: {user: "%(from)s"}}
tests:
- name: follows
  holds: {alice: [speaker], bob: [other-badge]}
  incoming:
  - {like: edit, from: [alice, bob], awards: {alice: [editor, both], bob: editor}}
"""


def test_rule_tests_say_what_somebody_holds(deployment: CommandDeployment) -> None:
    path = deployment.rules / "both.yml.test"
    path.write_text(SUITE.replace("other-badge", "editor"))
    failing = fedbadges("test", path)
    assert failing.exit_code == 1
    path.write_text(SUITE.replace(", bob: [other-badge]", ""))
    assert fedbadges("test", path).exit_code == 0, fedbadges("test", path).output
    path.write_text(SUITE)
    assert "no tested rule awards 'other-badge'" in fedbadges("test", path).output


def test_progress_says_how_many_of_the_badges_somebody_holds(deployment: CommandDeployment) -> None:
    deployment.write("some", holding("{any: [both, [editor, speaker, translator]]}"))
    holds(deployment, "editor", "speaker")
    result = deployment.call("progress", "alice", "--format", "json")
    assert result.exit_code == 0, result.output
    found = {each["badge"]: each for each in json.loads(result.stdout)["badges"]}
    counts = {badge: (each["count"], each["needed"]) for badge, each in found.items()}
    assert counts["both"] == (2, 2)
    assert counts["collector"] == (0, 1)
    assert counts["some"] == (2, 3)


def test_show_says_who_gets_a_badge_for_badges(deployment: CommandDeployment) -> None:
    shown = deployment.call("show", "both")
    assert "recipient: whoever is awarded a badge" in shown.stdout
    assert "[editor, speaker]" in shown.stdout
