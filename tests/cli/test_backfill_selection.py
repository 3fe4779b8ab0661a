"""``fedbadges backfill`` for a series, and for some messages and people."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.command_deployment import CommandDeployment
from support.databases import Databases, awards

from fedbadges.replay.selection import Selection

pytestmark = pytest.mark.sqlite

DAY = 86_400.0
#: 2014-01-01, when the first edits were made.
BEGIN = 1388534400.0
EDITORS = {"alice": 7, "bob": 4, "carol": 3, "dave": 1}


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> CommandDeployment:
    """A deployment with a series for 2, 3 and 100 edits; everybody makes one a day."""
    made = CommandDeployment(sqlite_database, tmp_path)
    made.write_series("Scribe", "wiki.edit", [2, 3, 100])
    for name, edits in EDITORS.items():
        for day in range(edits):
            sent = BEGIN + day * DAY
            made.store("wiki.edit", [name], {"user": name}, timestamp=sent, msg_id=f"{name}-{day}")
    return made


def found(deployment: CommandDeployment, *arguments: str) -> dict[str, Any]:
    path = deployment.rules / "Scribe.yml"
    done = deployment.call("backfill", "--format", "json", *arguments, path)
    assert done.exit_code == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def pairs(result: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(each["badge"], each["user"], each["earned"][:10]) for each in result["awards"]}


def test_backfill_of_a_file_awards_all_badges_of_its_series(deployment: CommandDeployment) -> None:
    earned = {
        *(("scribe-2", name, "2014-01-02") for name in ("alice", "bob", "carol")),
        *(("scribe-3", name, "2014-01-03") for name in ("alice", "bob", "carol")),
    }
    assert pairs(found(deployment)) == earned
    assert "selection" not in found(deployment)

    assert pairs(found(deployment, "--award", "--no-publish")) == earned
    assert len(awards(deployment.databases)) == 6


def test_backfill_since_a_time_dates_awards_by_the_first_message_since(
    deployment: CommandDeployment,
) -> None:
    result = found(deployment, "--since", "2014-01-04", "--award", "--no-publish")

    assert pairs(result) == {
        (badge, name, "2014-01-04")
        for badge in ("scribe-2", "scribe-3")
        for name in ("alice", "bob")
    }
    assert result["selection"]["since"] == "2014-01-04T00:00:00Z"


def test_backfill_until_a_time_says_so(deployment: CommandDeployment) -> None:
    path = deployment.rules / "Scribe.yml"
    done = deployment.call("backfill", "--until", "2014-01-03", "--user", "Bob", path)

    assert done.exit_code == 0
    assert done.stderr == (
        "Only messages sent before 2014-01-03 could earn a badge.\n"
        "Users looked at: bob.\n"
        "1 badge to award to 1 person; --award awards them\n"
    )


def test_backfill_of_a_sample_lists_its_people_and_awards_nothing(
    deployment: CommandDeployment,
) -> None:
    sample = Selection(sample=0.5)
    names = {name for name in ("alice", "bob", "carol") if sample.has(name)}
    assert 0 < len(names) < 3

    result = found(deployment, "--sample", "50%")

    assert {each["user"] for each in result["awards"]} == names
    assert result["selection"]["estimate"]["likely"] == 2 * len(names)
    refused = deployment.call("backfill", "--award", "--sample", "50%", "scribe-2")
    assert refused.exit_code == 2
    assert "--sample estimates" in refused.stderr
    assert awards(deployment.databases) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--progress", "--since", "2014-01-01"],
        ["--progress", "--until", "2014-01-01"],
        ["--progress", "--sample", "50%"],
        ["--groups", "--user", "bob"],
        ["--groups", "--since", "2014-01-01"],
    ],
)
def test_backfill_refuses_a_selection_that_it_would_not_heed(
    deployment: CommandDeployment, arguments: list[str]
) -> None:
    done = deployment.call("backfill", *arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert f"Error: {arguments[0]}" in done.stderr


def test_progress_can_be_written_for_some_users(deployment: CommandDeployment) -> None:
    path = deployment.rules / "Scribe.yml"
    done = deployment.call(
        "backfill", "--progress", "--user", "bob", "--user", "dave", "--format", "json", path
    )

    assert done.exit_code == 0, done.stderr
    # dave has not got any badge yet, and bob not that for a hundred edits.
    assert json.loads(done.stdout)["people"] == 2
