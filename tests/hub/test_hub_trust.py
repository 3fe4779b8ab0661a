"""Rules that others can write, and a daemon that does not run them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bus import Bus
from support.databases import Databases
from support.deployment import Deployment, make_hub, start, started, stop
from support.rules import counting_rule

FIRST = {"first": counting_rule("First Step", "logger.first", 1)}


@pytest.fixture
def sqlite(tmp_path: Path) -> Databases:
    return Databases("sqlite", f"sqlite:///{tmp_path}/t.db", f"sqlite:///{tmp_path}/d.db")


@pytest.fixture
def deployment(sqlite: Databases, tmp_path: Path) -> Iterator[Deployment]:
    """A daemon that does not run yet."""
    bus = Bus()
    hub = make_hub(tmp_path / "hub", sqlite, bus, FIRST)
    started.append(hub)
    yield Deployment(sqlite, bus, hub)
    hub.kill()
    started.remove(hub)
    bus.close()


def test_the_command_refuses_a_rule_directory_that_others_can_write(
    deployment: Deployment, tmp_path: Path
) -> None:
    rules = tmp_path / "hub/rules"
    rules.chmod(0o777)

    deployment.hub.start("fedmsg-badges")

    assert deployment.hub.exit_code() == os.EX_CONFIG
    (line,) = deployment.hub.lines_with("others can write it")
    assert line.startswith(deployment.hub.place_of("badges.yaml.directory"))
    assert line.endswith(f"chmod o-w {rules}")


def test_a_file_that_others_can_write_is_not_read_until_they_cannot(
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
    hub.wait_for_log("INFO", "2 rules", "1 new, 0 changed, 0 gone; 0 mistakes")
    deployment.publish("logger.first", username="bea")
    deployment.wait_for_badge("bea", "late")
    stop(deployment.bus, hub)
