"""SIGTERM while the hub is loaded, and two daemons on one state directory."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bus import Bus
from support.databases import Databases
from support.deployment import make_hub, start, started
from support.hub import Hub
from support.rules import counting_rule
from support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.started]

COMMANDS = ["fedmsg-hub", "fedmsg-badges"]
FIRST = {"first": counting_rule("First Step", "logger.first", 1)}
BLOCKING = """\
import time

def block(*arguments):
    print("It blocks", flush=True)
    time.sleep(3600)

class Consumer:
    __init__ = block
"""


@pytest.fixture
def bus() -> Iterator[Bus]:
    bus = Bus()
    yield bus
    bus.close()


@pytest.fixture
def hub(bus: Bus, sqlite_database: Databases, tmp_path: Path) -> Iterator[Hub]:
    settings = {"badges.state_directory": str(tmp_path / "state")}
    hub = make_hub(tmp_path / "hub", sqlite_database, bus, FIRST, settings)
    started.append(hub)
    yield hub
    hub.kill()
    started.remove(hub)


def install(directory: Path, entry_points: str, code: str) -> Path:
    """Install a distribution with a module ``blocking``."""
    metadata = directory / "plugins" / "blocking-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: blocking\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    (metadata.parent / "blocking.py").write_text(code)
    return metadata.parent


@pytest.mark.parametrize("command", COMMANDS)
def test_sigterm_during_the_imports_ends_with_0(hub: Hub, command: str) -> None:
    hub.start(command)
    eventually(lambda: hub.handles(signal.SIGTERM), "the first imports")

    assert hub.stop() == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_sigterm_while_a_plugin_is_imported_ends_with_0(
    hub: Hub, tmp_path: Path, command: str
) -> None:
    entry_points = "[fedbadges.criteria]\nblocking = blocking:Backend\n"
    hub.python_path = install(tmp_path, entry_points, f"{BLOCKING}\nblock()\n")
    hub.start(command)
    eventually(lambda: "It blocks" in hub.log(), "the import")

    assert hub.stop() == 0


def test_sigterm_while_another_consumer_is_loaded_ends_with_0(hub: Hub, tmp_path: Path) -> None:
    """The daemon runs by then, and stops in order."""
    hub.python_path = install(tmp_path, "", BLOCKING)
    consumers = "fedbadges.consumers:FedoraBadgesConsumer,blocking:Consumer"
    hub.start("fedmsg-hub", "--with-consumers", consumers)
    eventually(lambda: "It blocks" in hub.log(), "the other consumer")

    assert hub.stop() == 0
    assert hub.logged("INFO", "to=stopped")


@pytest.mark.parametrize("command", COMMANDS)
def test_sigterm_while_a_database_does_not_answer_ends_with_0(
    bus: Bus, sqlite_database: Databases, tmp_path: Path, command: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://daemon@127.0.0.1:{silent.getsockname()[1]}/datanommer"
        settings = {"datanommer.sqlalchemy.url": url}
        hub = make_hub(tmp_path / "hub", sqlite_database, bus, FIRST, settings)
        started.append(hub)
        try:
            hub.start(command)
            silent.accept()

            assert hub.stop() == 0
        finally:
            hub.kill()
            started.remove(hub)


def test_second_daemon_on_a_state_directory_names_the_first_and_does_not_start(
    hub: Hub, bus: Bus, sqlite_database: Databases, tmp_path: Path
) -> None:
    start(bus, hub)
    settings = {"badges.state_directory": str(tmp_path / "state")}
    second = make_hub(tmp_path / "second", sqlite_database, bus, FIRST, settings)
    started.append(second)
    try:
        second.start("fedmsg-badges")
        assert second.exit_code() == 1
        (line,) = [each for each in second.lines_with("CRITICAL") if "Cannot start" in each]
        pid = (tmp_path / "state" / "lock").read_text().strip()
        assert f"another daemon (pid {pid}) uses {tmp_path / 'state'}" in line
        assert not second.lines_with("Traceback")
        # Dead letters are retried beside the daemon.
        assert second.run("fedmsg-badges", "--retry-failed")[0] == 0

        hub.send_signal(signal.SIGKILL)
        hub.exit_code()
        second.start("fedmsg-badges")
        second.wait_for_log("INFO", "to=running")
        assert second.stop() == 0
    finally:
        second.kill()
        started.remove(second)
