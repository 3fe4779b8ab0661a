"""A rule whose messages have changed, in the log of a real ``fedmsg-hub`` and in its status."""

import json
from pathlib import Path

import pytest
from support.databases import Databases
from support.deployment import run_deployment
from support.rules import rule
from support.waiting import eventually

pytestmark = pytest.mark.slow

TRANSLATED = rule(
    "Translated",
    """
trigger: {topic: weblate.translation.saved}
criteria:
  filter: {topics: ["%(topic)s"]}
  operation: count
  condition: {greater than: 0}
recipient: "%(msg.unit.translator)s"
""",
)
SETTINGS = {
    "moksha.monitoring.socket": "ipc://monitoring.sock",
    "moksha.monitoring.socket.mode": "0600",
}


def test_rule_whose_field_is_gone_is_a_warning_in_the_log_and_in_the_status(
    sqlite_database: Databases, tmp_path: Path
) -> None:
    rules = {"translated": TRANSLATED}
    with run_deployment(tmp_path / "hub", sqlite_database, rules, SETTINGS) as deployment:
        hub = deployment.hub
        for _ in range(20):
            deployment.publish("weblate.translation.saved", {"unit": {"translators": ["alice"]}})

        line = hub.wait_for_log("WARNING", "Rule cannot work with the messages that trigger it")
        assert f"rule={tmp_path}/hub/rules/translated.yml:13:13" in line
        assert "badge=translated count=20" in line
        assert "'msg.unit.translator' is missing; they have 'msg.unit.translators'" in line

        code, text = eventually(
            lambda: found if (found := hub.run("fedbadges", "status"))[0] else None, "a warning"
        )
        first, *_ = text.splitlines()
        assert code == 1
        assert first.startswith(
            f"warning: {tmp_path}/hub/rules/translated.yml:13:13: the latest 20"
        )
        code, text = hub.run("fedbadges", "status", "--format", "json")
        tally = json.loads(text)["rules"]["tallies"]["translated"]
        assert (code, tally["triggers"], tally["funnel"]["candidates"]) == (1, 20, 0)

        deployment.publish("weblate.translation.saved", {"unit": {"translator": "alice"}})
        deployment.bus.wait_for_award("alice", "translated")
        eventually(lambda: hub.run("fedbadges", "status")[0] == 0, "a status without a warning")
        assert len(hub.lines_with("Rule cannot work")) == 1
