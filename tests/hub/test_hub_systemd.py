"""What a real ``fedmsg-badges`` tells systemd, also when its main loop hangs."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bus import Bus
from support.databases import Databases
from support.deployment import Deployment, make_hub, start, started
from support.hanging import HANGING, hanging_modules
from support.metrics import ask, free_address, metrics
from support.rules import counting_rule
from support.service_manager import ServiceManager, service_manager

RULES = {"first": counting_rule("First Step", "logger.first", 1)}


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[ServiceManager]:
    with service_manager(tmp_path, watchdog=1.0) as manager:
        yield manager


@pytest.fixture
def address() -> str:
    return free_address()


@pytest.fixture
def deployment(
    sqlite_database: Databases, tmp_path: Path, systemd: ServiceManager, address: str
) -> Iterator[Deployment]:
    keys = {"badges.metrics.address": address, "badges.state_directory": str(tmp_path / "state")}
    bus = Bus()
    hub = make_hub(tmp_path / "hub", sqlite_database, bus, RULES, keys)
    hub.python_path = hanging_modules(tmp_path)
    started.append(hub)
    try:
        start(bus, hub, command="fedmsg-badges")
        yield Deployment(sqlite_database, bus, hub)
    finally:
        hub.kill()
        started.remove(hub)
        bus.close()


@pytest.mark.slow
@pytest.mark.started
def test_systemd_hears_of_the_start_of_awards_and_of_the_stop(
    deployment: Deployment, systemd: ServiceManager, address: str
) -> None:
    systemd.wait_for("READY=1")
    systemd.wait_for("STATUS=caught up, 0 awards in the last hour")
    deployment.publish("logger.first", username="ann")
    systemd.wait_for("STATUS=caught up, 1 awards in the last hour")
    assert "WATCHDOG=1" in systemd.told()
    assert metrics(address)['fedbadges_awards_total{badge="first-step"}'] == 1
    assert deployment.hub.stop() == 0
    deployment.hub.check_log()
    assert "STOPPING=1" in systemd.told()


@pytest.mark.slow
@pytest.mark.started
def test_watchdog_hears_nothing_of_a_hub_whose_main_loop_hangs(
    deployment: Deployment, systemd: ServiceManager, address: str
) -> None:
    systemd.wait_for("WATCHDOG=1")
    assert ask(address, "/live").status == 200
    deployment.hub.send_signal(signal.SIGUSR1)

    systemd.wait_for(HANGING)

    told = systemd.told()
    assert "WATCHDOG=1" not in told[told.index(HANGING) :]
    assert ask(address, "/live") == (503, "the bus's main loop does not run\n")
    deployment.hub.wait_for_log("CRITICAL", "The daemon hangs, a restart is needed")
