"""``fedbadges status`` and ``fedbadges award`` beside a real ``fedmsg-hub``."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.databases import Databases
from support.deployment import Deployment, run_deployment
from support.rules import counting_rule, rule
from support.waiting import TIMEOUT, eventually

pytestmark = pytest.mark.slow

RULES = {
    "first": counting_rule("First Step", "logger.first", 1),
    "fifty": counting_rule("Fifty Steps", "logger.fifty", 50),
    "never": counting_rule("Never", "logger.never", 1),
    "collector": rule(
        "Collector",
        """
trigger:
  topic: fedbadges.badge.award
criteria:
  filter: {msg_id: "%(msg_id)s"}
  operation: count
  condition: {equal to: 1}
recipient: "%(msg.user.username)s"
""",
    ),
}


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> Iterator[Deployment]:
    # Relative to where the hub runs, for the path of a socket is short.
    settings = {
        "moksha.monitoring.socket": "ipc://monitoring.sock",
        "moksha.monitoring.socket.mode": "0600",
        "badges.state_directory": str(tmp_path / "state"),
    }
    with run_deployment(tmp_path / "hub", sqlite_database, RULES, settings) as running:
        yield running


def status(deployment: Deployment) -> tuple[int, dict[str, Any]]:
    code, printed = deployment.hub.run("fedbadges", "status", "--format", "json")
    return code, json.loads(printed)


def when(deployment: Deployment, **values: object) -> dict[str, Any]:
    """Wait for a report with these values, and returns it."""

    def matching() -> dict[str, Any] | None:
        _, report = status(deployment)
        return report if values.items() <= report.items() else None

    found = eventually(matching, f"a report with {values}")
    assert found is not None
    return found


def test_status_reports_what_the_hub_did(deployment: Deployment, tmp_path: Path) -> None:
    """One hub for much, since each of its reports takes five seconds."""
    for _ in range(3):
        deployment.publish("logger.fifty", username="bob")
    last = deployment.publish("logger.first", username="alice")
    deployment.bus.wait_for_award("alice", "collector")

    report = when(deployment, awarded=2, in_hand=0)
    assert (tmp_path / "hub/monitoring.sock").stat().st_mode & 0o777 == 0o600
    assert report["problems"] == []
    assert report["state"] == "running"
    said = ("fedbadges.badge.award", "fedbadges.person.rank.advance")
    assert report["handled"] == 4 + sum(len(deployment.bus.heard(topic)) for topic in said)
    assert report["databases"] == {"tahrir": None, "datanommer": None}
    tallies = report["rules"]["tallies"]
    assert {badge: (each["triggers"], each["awards"]) for badge, each in tallies.items()} == {
        "fifty-steps": (3, 0),
        "first-step": (1, 1),
        "never": (0, 0),
        "collector": (2, 1),
    }
    assert tallies["fifty-steps"]["funnel"]["candidates"] == 3
    assert report["last_award"]["badge"] == "collector"
    assert report["last_award"]["msg_id"] != last["msg_id"]
    code, text = deployment.hub.run("fedbadges", "status")
    assert (code, text.splitlines()[0]) == (0, "all is well")
    assert re.search(r"\nfifty-steps +3 +3 +3 +0 +0 +0\n", text)

    (tmp_path / "hub/rules/broken.yml").write_text("name: Broken\n")
    (tmp_path / "state/failed/1.json").write_text("{}")
    deployment.hub.wait_for_log("ERROR", "broken.yml")
    code, report = status(deployment)
    assert (code, report["set_aside"]) == (1, 1)
    assert report["problems"][:2] == [
        "dead letters: 1",
        "rule files with mistakes: 1",
    ]
    assert "broken.yml" in report["problems"][2]
    # For the check of the log at the end.
    deployment.hub.log_file.write_text("")


def test_award_by_hand_is_announced_and_triggers_rules(deployment: Deployment) -> None:
    # The daemon has its address.
    deployment.publish("logger.first", username="zoe")
    deployment.bus.wait_for_award("zoe", "first-step")

    given = ("alice", "fifty-steps", "--create", "--reason", "helped at the booth")
    command = ("fedbadges", "award", *given)
    code, printed = deployment.hub.run(*command)

    assert code == 0, printed
    deployment.bus.wait_for_award("alice", "fifty-steps")
    assert set(deployment.badges("alice")) >= {"fifty-steps"}
    # Its own hub heard it, so that the rule for awards gave another badge.
    deployment.wait_for_badge("alice", "collector")
    assert deployment.hub.run(*command)[0] == 1


def test_watch_prints_report_after_report(deployment: Deployment, tmp_path: Path) -> None:
    watching = subprocess.Popen(
        [Path(sys.executable).with_name("fedbadges"), "status", "--watch", "--format", "json"],
        cwd=tmp_path / "hub",
        stdout=subprocess.PIPE,
        env=os.environ | {"HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        text=True,
    )
    assert watching.stdout is not None
    reports = [json.loads(watching.stdout.readline()) for _ in range(2)]
    watching.send_signal(signal.SIGINT)

    assert watching.wait(TIMEOUT) == 0
    assert reports[1]["at"] - reports[0]["at"] > 4
