"""Rules that change while the daemon runs."""

from pathlib import Path

import pytest
from support.databases import Databases
from support.deployment import run_deployment
from support.rules import counting_rule, write_rules

pytestmark = pytest.mark.slow


def test_changed_rule_files_apply_to_the_next_messages(
    sqlite_database: Databases, tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    before = {"a": counting_rule("Early", "logger.early", 1)}
    with run_deployment(tmp_path, sqlite_database, before) as running:
        write_rules(rules, {"b": counting_rule("Late", "logger.late", 1)})
        running.hub.wait_for_log(
            "INFO", "Loaded rules", "count=2 new=1 changed=0 removed=0 mistakes=0"
        )
        running.publish("logger.late", username="ann")
        running.wait_for_badge("ann", "late")

        write_rules(rules, {"b": counting_rule("Late", "logger.later", 1)})
        running.hub.wait_for_log("INFO", "new=0 changed=1 removed=0 mistakes=0")
        (rules / "a.yml").unlink()
        running.hub.wait_for_log("INFO", "new=0 changed=0 removed=1 mistakes=0")
        running.publish("logger.late", username="bea")
        running.publish("logger.early", username="bea")
        running.publish("logger.later", username="bea")
        running.wait_for_badge("bea", "late")
        running.publish("logger.later", username="cid")
        running.wait_for_badge("cid", "late")

        assert set(running.badges("bea")) == {"late"}
        later = running.hub.logged("INFO", "Awarded badge badge=late user=bea")
        assert "logger.later" in later[0]
