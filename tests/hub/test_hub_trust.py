"""Rules that others can write, and a daemon that does not run them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bus import Bus
from support.databases import Databases
from support.deployment import Deployment, make_hub, start, started, stop
from support.rules import counting_rule

pytestmark = pytest.mark.slow

FIRST = {"first": counting_rule("First Step", "logger.first", 1)}


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> Iterator[Deployment]:
    """A daemon that does not run yet."""
    bus = Bus()
    hub = make_hub(tmp_path / "hub", sqlite_database, bus, FIRST)
    started.append(hub)
    yield Deployment(sqlite_database, bus, hub)
    hub.kill()
    started.remove(hub)
    bus.close()


def test_fedmsg_badges_exits_if_others_can_write_the_rule_directory(
    deployment: Deployment, tmp_path: Path
) -> None:
    rules = tmp_path / "hub/rules"
    rules.chmod(0o777)

    deployment.hub.start("fedmsg-badges")

    assert deployment.hub.exit_code() == os.EX_CONFIG
    (line,) = deployment.hub.lines_with("others can write it")
    assert line.startswith(deployment.hub.location_of("badges.yaml.directory"))
    assert line.endswith(f"chmod o-w {rules}")


def test_rule_file_is_not_read_while_others_can_write_it(
    deployment: Deployment, tmp_path: Path
) -> None:
    hub, late = deployment.hub, tmp_path / "hub/rules/late.yml"
    start(deployment.bus, hub)
    late.touch()
    late.chmod(0o606)
    late.write_text(counting_rule("Late", "logger.first", 1))
    hub.wait_for_log("ERROR", f"{late}:1:1: others can write it")
    deployment.publish("logger.first", username="ann")
    deployment.wait_for_badge("ann", "first-step")
    assert deployment.badges("ann").keys() == {"first-step"}

    late.chmod(0o604)
    hub.wait_for_log("INFO", "Loaded rules", "count=2 new=1 changed=0 removed=0 mistakes=0")
    deployment.publish("logger.first", username="bea")
    deployment.wait_for_badge("bea", "late")
    stop(deployment.bus, hub)
