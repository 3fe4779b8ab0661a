"""The systemd units: understood by systemd, hardened, and in accord with what the daemon does."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.hub import ENDS_WITHIN

from fedbadges.cli.main import main
from fedbadges.service.systemd import Systemd

SYSTEMD = Path(__file__).parents[2] / "systemd"
ALONE = SYSTEMD / "fedmsg-badges.service"
INSTANCE = SYSTEMD / "fedmsg-badges@.service"
IN_HUB = SYSTEMD / "fedmsg-hub.service.d/fedbadges.conf"
ON_BROKER = SYSTEMD / "fm-consumer@fedbadges.service.d/fedbadges.conf"
OF_GROUPS = SYSTEMD / "fedbadges-groups.service"
TIMER = SYSTEMD / "fedbadges-groups.timer"
USER = SYSTEMD / "sysusers.d/fedbadges.conf"


def run(*command: str | Path) -> str:
    """Run a tool of systemd, which must succeed, and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def complaints(unit: Path) -> list[str]:
    """Return what systemd says of a unit, and nothing of others that it looked at with it."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{unit.parent}:"},
    )
    return [line for line in done.stderr.splitlines() if unit.name in line]


def needs(tool: str, *words: str) -> pytest.MarkDecorator:
    """Mark what runs a tool, with a help text that has these words."""
    there = shutil.which(tool) is not None
    known = there and all(word in run(tool, "--help") for word in words)
    return pytest.mark.skipif(not known, reason=f"no {' '.join((tool, *words))}")


def service(path: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(path.read_text())
    return parser["Service"]


@needs("systemd-analyze", "--offline")
@pytest.mark.parametrize("unit", [ALONE, INSTANCE, OF_GROUPS], ids=["alone", "instance", "groups"])
def test_unit_is_hardened(unit: Path) -> None:
    printed = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit)

    found = re.search(r"Overall exposure level for \S+: \S+ (\w+)", printed)
    assert found is not None
    assert found[1] in ("OK", "SAFE", "PERFECT")


@needs("systemd-analyze")
@pytest.mark.parametrize(
    ("path", "name"), [(ALONE, ALONE.name), (INSTANCE, "fedmsg-badges@2.service")]
)
def test_systemd_knows_every_key_of_the_unit(path: Path, name: str, tmp_path: Path) -> None:
    """A key that it does not know would be a warning, and be left out."""
    unit = tmp_path / name
    unit.write_text(path.read_text().replace("/usr/bin/fedmsg-badges", sys.executable))

    assert complaints(unit) == []


@needs("systemd-analyze")
def test_systemd_knows_every_key_of_the_timer_and_what_it_starts(tmp_path: Path) -> None:
    for path in (OF_GROUPS, TIMER):
        (tmp_path / path.name).write_text(
            path.read_text().replace("/usr/bin/fedbadges", sys.executable)
        )

    assert complaints(tmp_path / TIMER.name) == []
    assert complaints(tmp_path / OF_GROUPS.name) == []


def test_service_of_the_timer_runs_a_command_that_there_is() -> None:
    program, *arguments = service(OF_GROUPS)["ExecStart"].split()
    command, *options = arguments

    assert Path(program).name == "fedbadges"
    assert main.commands[command].make_context(command, options).params["groups"] is True


def test_service_of_the_timer_has_the_sandbox_of_the_daemon() -> None:
    own = {
        *("type", "execstart", "environment", "timeoutstartsec", "readwritepaths"),
        *("notifyaccess", "watchdogsec", "statedirectory", "statedirectorymode"),
        *("runtimedirectory", "runtimedirectorymode", "workingdirectory", "restart"),
        *("restartpreventexitstatus", "restartsec", "timeoutstopsec"),
    }
    alone, once = dict(service(ALONE)), dict(service(OF_GROUPS))

    assert {key: once[key] for key in once if key not in own} == {
        key: alone[key] for key in alone if key not in own
    }


def test_each_instance_has_directories_of_its_own_and_is_else_the_same() -> None:
    instance = {
        "statedirectory": "fedbadges-%i",
        "runtimedirectory": "fedbadges-%i",
        "workingdirectory": "%S/fedbadges-%i",
    }

    assert dict(service(INSTANCE)) == dict(service(ALONE)) | instance


@needs("systemd-analyze")
def test_systemd_knows_every_key_added_to_the_unit_of_the_hub(tmp_path: Path) -> None:
    unit = tmp_path / "fedmsg-hub.service"
    unit.write_text(f"[Service]\nExecStart={sys.executable}\n")
    (tmp_path / IN_HUB.parent.name).mkdir()
    shutil.copy(IN_HUB, tmp_path / IN_HUB.parent.name)

    assert complaints(unit) == []


@needs("systemd-analyze")
def test_systemd_knows_every_key_added_to_the_unit_of_fedora_messaging(tmp_path: Path) -> None:
    unit = tmp_path / "fm-consumer@fedbadges.service"
    page = (SYSTEMD.parent / "docs/brokers.rst").read_text()
    _, _, block = page.partition(".. code-block:: systemd\n\n       [Unit]")
    text = textwrap.dedent("       [Unit]" + block.partition("\n\n   A drop-in")[0])
    unit.write_text(text.replace("/opt/fedbadges/bin/fedora-messaging", sys.executable))
    shutil.copytree(ON_BROKER.parent, tmp_path / ON_BROKER.parent.name)

    assert complaints(unit) == []


def test_sandbox_is_the_same_on_each_bus() -> None:
    own = {"execstart", "readwritepaths"}
    alone = {key: value for key, value in service(ALONE).items() if key not in own}
    instance = {"statedirectory": "%i", "runtimedirectory": "%i", "workingdirectory": "%S/%i"}

    assert dict(service(ON_BROKER)) == alone | instance


@needs("systemd-sysusers", "--root")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make users")
def test_sysusers_creates_the_user_of_the_service(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()

    run("systemd-sysusers", f"--root={tmp_path}", USER)

    accounts = [line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    (account,) = [account for account in accounts if account[0] == service(ALONE)["User"]]
    assert account[5] == service(ALONE)["WorkingDirectory"]
    assert account[6].endswith("nologin")


def test_daemon_is_not_restarted_after_a_configuration_error() -> None:
    assert service(ALONE)["Restart"] == "on-failure"
    assert service(ALONE)["RestartPreventExitStatus"] == str(os.EX_CONFIG)


@pytest.mark.parametrize("path", [ALONE, IN_HUB], ids=["alone", "in the hub"])
def test_unit_has_a_stop_timeout_and_a_state_directory(path: Path) -> None:
    assert float(service(path)["TimeoutStopSec"].removesuffix("s")) > ENDS_WITHIN
    assert service(path)["StateDirectory"] == "fedbadges"
    assert service(path)["StateDirectoryMode"] == "0700"


@pytest.mark.parametrize("path", [ALONE, IN_HUB], ids=["alone", "in the hub"])
def test_directory_of_the_documented_monitoring_socket_is_not_public(
    path: Path,
) -> None:
    directory = f"/run/{service(path)['RuntimeDirectory']}/"
    page = (SYSTEMD.parent / "docs/operations.rst").read_text()

    assert f'"moksha.monitoring.socket": "ipc://{directory}' in page
    assert service(path)["RuntimeDirectoryMode"] == "0750"


@pytest.mark.parametrize("path", [ALONE, INSTANCE, ON_BROKER], ids=["alone", "instance", "broker"])
def test_watchdog_waits_for_several_signs_of_life(path: Path) -> None:
    unit = service(path)
    seconds = int(unit["watchdogsec"].removesuffix("s"))
    interval = Systemd({"WATCHDOG_USEC": str(seconds * 1_000_000)}).interval

    assert unit["type"] == "notify"
    assert unit["notifyaccess"] == "main"
    assert interval * 3 <= seconds
