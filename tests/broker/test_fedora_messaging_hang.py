"""What a real ``fedora-messaging consume`` tells systemd when its main loop hangs."""

import signal
from pathlib import Path

import pytest
from support.broker import Broker, BrokerBus, needs_broker
from support.databases import Postgresql
from support.fm_consumer import FmDeployment
from support.hanging import HANGING, hanging_modules
from support.metrics import ask
from support.rules import counting_rule
from support.service_manager import service_manager

pytestmark = needs_broker

RULES = {"first": counting_rule("First Step", "logger.first", 1)}


@pytest.mark.slow
@pytest.mark.started
def test_watchdog_hears_nothing_of_a_consumer_whose_main_loop_hangs(
    broker: Broker, postgresql: Postgresql, tmp_path: Path
) -> None:
    databases, metrics = postgresql.create_databases(), tmp_path / "metrics.sock"
    with (
        service_manager(tmp_path, watchdog=1.0) as systemd,
        FmDeployment(tmp_path, databases, BrokerBus(broker), RULES) as running,
    ):
        daemon = running.make(**{"metrics.address": str(metrics)})
        daemon.python_path = hanging_modules(tmp_path)
        daemon.start()
        daemon.wait_until_started()
        systemd.wait_for("READY=1")
        systemd.wait_for("WATCHDOG=1")
        assert ask(metrics, "/live").status == 200

        daemon.send_signal(signal.SIGUSR1)

        systemd.wait_for(HANGING)
        told = systemd.told()
        assert "WATCHDOG=1" not in told[told.index(HANGING) :]
        assert ask(metrics, "/live") == (503, "the bus's main loop does not run\n")
        daemon.wait_for_log("CRITICAL", "The daemon hangs, a restart is needed")
    postgresql.drop_databases(databases)
