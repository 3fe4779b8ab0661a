"""``fedbadges retry``: messages that were set aside, tried again."""

import json
from pathlib import Path

import pytest
from support.bus import fedmsg_body
from support.command_deployment import CommandDeployment
from support.databases import Databases, awards
from support.rules import counting_rule, write_rules


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> CommandDeployment:
    made = CommandDeployment(sqlite_database, tmp_path)
    write_rules(made.rules, {"first": counting_rule("First Step", "logger.first", 1)})
    made.configure(state_directory=str(tmp_path / "state"), record_messages=True)
    (tmp_path / "state/failed").mkdir(parents=True)
    return made


def set_aside(deployment: CommandDeployment, name: str, message: object) -> Path:
    path = deployment.directory / "state/failed" / f"{name}.json"
    path.write_text(json.dumps({"error": "no", "failed": 1, "message": message, "users": []}))
    return path


def test_message_that_succeeds_is_removed(deployment: CommandDeployment) -> None:
    path = set_aside(deployment, "a", fedmsg_body("logger.first", {}, "alice"))

    result = deployment.call("retry")

    assert (result.exit_code, result.stdout) == (0, "")
    assert awards(deployment.databases) == [("alice", "first-step")]
    assert not path.exists()


def test_message_that_fails_again_is_kept_and_printed(deployment: CommandDeployment) -> None:
    path = set_aside(deployment, "a", {})
    other = set_aside(deployment, "b", fedmsg_body("logger.first", {}, "alice"))

    result = deployment.call("retry")

    assert result.exit_code == 1
    assert result.stdout == f"{path}: failed again: it is no message with a topic\n"
    assert path.exists()
    assert not other.exists()


def test_retry_without_a_state_directory_cannot_run(
    deployment: CommandDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    deployment.configure()

    result = deployment.call("retry")

    assert result.exit_code == 2
    assert "'badges.state_directory' is not set" in result.stderr


def test_retry_that_cannot_start_says_why(deployment: CommandDeployment) -> None:
    (deployment.directory / "file").touch()
    deployment.configure(state_directory=str(deployment.directory / "file/state"))

    result = deployment.call("retry")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Cannot start: ")
