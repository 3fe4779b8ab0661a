"""With NO_COLOR (https://no-color.org), no command sends an escape sequence to a terminal."""

import json
import sys
from pathlib import Path

import pytest
from support.builders import make_message
from support.command_deployment import CommandDeployment, question
from support.databases import Databases
from support.monitoring import REPORT, hub_report, monitored
from support.rule_test_files import PUSH
from support.terminal import on_terminal

COMMAND = Path(sys.executable).with_name("fedbadges")
ESCAPE = "\x1b"

RULE = f"""
trigger: {{topic: git.receive}}
criteria: {question("%(topic)s", "{greater than: 2}")}
recipient: "%(msg.user)s"
"""
FAILING = f"""{PUSH}
tests:
- name: the first push brings it
  incoming:
  - {{like: push, from: alice, awards: {{alice: pushed}}}}
"""

#: What each command shows in colours, among other things.
COMMANDS = {
    "award": (["award", "--dry-run", "--create", "alice", "pushed", "--reason", "x"], "alice"),
    "backfill": (["backfill", "pushed"], "alice"),
    "check": (["check", "bad"], "bad.yml:1:1"),
    "explain": (["explain", "message.json"], "trigger: yes"),
    "help": (["--help"], "Completion"),
    "list": (["list"], "pushed"),
    "preview": (["preview", "pushed"], "would have it"),
    "progress": (["progress", "bob"], "1 of 3"),
    "show": (["show", "pushed"], "trigger"),
    "topics": (["topics", "git.receive"], "names users"),
    "test": (["test", "tested"], "the first push brings it"),
    "usage": (["explain"], "Error: "),
}


@pytest.fixture
def directory(sqlite_database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with a deployment, from where commands are called."""
    deployment = CommandDeployment(sqlite_database, tmp_path)
    path = deployment.write("pushed", RULE)
    for user in ("alice", "alice", "alice", "bob"):
        deployment.store("git.receive", [user], {"user": user})
    body = make_message("git.receive", {"user": "alice"}).body
    (tmp_path / "message.json").write_text(json.dumps(body))
    (tmp_path / "fedmsg.d").mkdir()
    (tmp_path / "config.py").rename(tmp_path / "fedmsg.d/badges.py")
    for name in ("bad", "tested"):
        (tmp_path / name).mkdir()
    (tmp_path / "bad/bad.yml").write_text("- nothing\n")
    (tmp_path / "tested/rule.yml").write_text(path.read_text())
    (tmp_path / "tested/rule.yml.test").write_text(FAILING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.sqlite
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_sends_escapes_with_no_color(directory: Path, name: str) -> None:
    arguments, expected = COMMANDS[name]

    shown = on_terminal(COMMAND, *arguments, NO_COLOR="1", COLUMNS="120")

    assert expected in shown
    assert ESCAPE not in shown


@pytest.mark.parametrize("watch", [False, True])
def test_status_sends_no_escapes_with_no_color(tmp_path: Path, watch: bool) -> None:
    with monitored(tmp_path, hub_report({**REPORT, "set_aside": 2})) as endpoint:
        command = [COMMAND, "status", "--socket", endpoint, *["--watch"] * watch]
        expected = "wrong: dead letters: 2"
        shown = on_terminal(*command, until=expected if watch else None, NO_COLOR="yes")

    assert expected in shown
    assert ESCAPE not in shown


@pytest.mark.sqlite
def test_empty_no_color_changes_nothing(directory: Path) -> None:
    shown = on_terminal(COMMAND, "explain", "message.json", NO_COLOR="")

    assert f"{ESCAPE}[32m" in shown
