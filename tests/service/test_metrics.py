"""The HTTP server of the daemon: metrics that Prometheus accepts, and health checks."""

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_settings
from support.bus import fedmsg_body, free_ports
from support.databases import Databases, sqlite_databases
from support.metrics import ask, free_address, metrics, needs_promtool, status_of
from support.publisher import FakePublisher
from support.rules import counting_rule, write_rules
from support.waiting import eventually

from fedbadges.service.daemon import Daemon
from fedbadges.service.metrics import server

RULES = {"first": counting_rule("First Step", "logger.first", 1)}


@contextlib.contextmanager
def serving(
    tmp_path: Path,
    address: object,
    publisher: FakePublisher | None = None,
    databases: Databases | None = None,
    **keys: Any,
) -> Iterator[Daemon]:
    databases = databases or sqlite_databases(tmp_path)
    write_rules(tmp_path / "rules", RULES)
    settings = make_settings(
        databases,
        tmp_path / "rules",
        record_messages=True,
        reload=False,
        state_directory=str(tmp_path / "state"),
        **{"metrics.address": str(address), **keys},
    )
    daemon = Daemon(settings, publisher or FakePublisher())
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


@pytest.fixture
def address() -> str:
    return free_address()


def test_metrics_count_messages_awards_and_queries(tmp_path: Path, address: str) -> None:
    with serving(tmp_path, address) as daemon:
        before = metrics(address)
        daemon.handle_acknowledged(fedmsg_body("logger.first", {}, "alice"))
        daemon.handle_acknowledged(fedmsg_body("logger.other", {}, "alice"))
        after = metrics(address)

    def grown(name: str) -> float:
        return after[name] - before[name]

    assert grown('fedbadges_messages_total{outcome="handled"}') == 2
    assert grown("fedbadges_messages_matched_total") == 1
    assert grown('fedbadges_awards_total{badge="first-step"}') == 1
    assert grown('fedbadges_rule_messages_total{badge="first-step",step="triggered"}') == 1
    assert grown("fedbadges_sent_to_award_seconds_count") == 1
    assert grown("fedbadges_received_to_award_seconds_count") == 1
    assert grown("fedbadges_batch_messages_sum") == 1
    assert (
        grown('fedbadges_database_query_seconds_count{database="tahrir",statement="insert"}') >= 1
    )
    assert (
        grown('fedbadges_database_query_seconds_count{database="datanommer",statement="select"}')
        >= 1
    )
    assert after['fedbadges_state{state="running"}'] == 1
    assert after['fedbadges_database_up{database="tahrir"}'] == 1
    assert grown('fedbadges_cached_answers{cache="counts"}') >= 1
    assert after["fedbadges_rules_in_force"] == 1
    assert after["fedbadges_dead_letters"] == 0


@needs_promtool
def test_promtool_accepts_the_metrics(tmp_path: Path, address: str) -> None:
    with serving(tmp_path, address) as daemon:
        daemon.handle_acknowledged(fedmsg_body("logger.first", {}, "alice"))
        text = ask(address, "/metrics").text

    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_every_metric_has_its_prefix_and_help(tmp_path: Path, address: str) -> None:
    with serving(tmp_path, address):
        lines = ask(address, "/metrics").text.splitlines()

    helped = [line.split(" ", 3)[2:] for line in lines if line.startswith("# HELP")]
    assert len(helped) > 30
    assert all(name.startswith(("fedbadges_", "process_", "python_")) for name, _ in helped)
    assert all(text.strip() for _, text in helped)


def test_daemon_becomes_ready_once_it_catches_up(tmp_path: Path, address: str) -> None:
    with serving(tmp_path, address):
        assert ask(address, "/live") == (200, "live\n")
        assert eventually(lambda: status_of(address, "/ready") == 200, "ready")
    assert status_of(address, "/live") is None


def test_daemon_that_is_too_far_behind_is_not_ready(tmp_path: Path, address: str) -> None:
    with serving(tmp_path, address, **{"metrics.max_lag": 1e-6}):
        # Only messages in flight, and the time since the last sweep, make it so.
        answer = eventually(
            lambda: (got := ask(address, "/ready")).text.endswith("s behind\n") and got, "behind"
        )
    assert answer.status == 503


def test_daemon_that_waits_for_its_database_is_live_but_not_ready(
    tmp_path: Path, address: str
) -> None:
    closed = f"postgresql://badges:sesame@127.0.0.1:{free_ports(1)[0]}/tahrir"
    databases = replace(sqlite_databases(tmp_path), tahrir_url=closed)
    with serving(tmp_path, address, databases=databases):
        answer = ask(address, "/ready")
        first, second, *_ = answer.text.splitlines()
        assert (answer.status, first) == (503, "the daemon is starting")
        assert second.startswith("tahrir: ")
        assert ask(address, "/live").status == 200
        assert metrics(address)['fedbadges_database_up{database="tahrir"}'] == 0
        eventually(lambda: metrics(address)["fedbadges_outage_seconds"] > 0, "an outage")
        pages = [ask(address, page).text for page in ("/ready", "/metrics", "/status")]
    assert "sesame" not in "".join(pages)


def test_daemon_that_cannot_publish_is_not_ready(tmp_path: Path, address: str) -> None:
    publisher = FakePublisher()
    with serving(tmp_path, address, publisher):
        eventually(lambda: status_of(address, "/ready") == 200, "ready")
        publisher.cannot = "nobody listens"
        assert ask(address, "/ready") == (503, "bus: nobody listens\n")
        assert metrics(address)["fedbadges_bus_up"] == 0


def test_unix_socket_is_served_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    with serving(tmp_path, path):
        assert ask(path, "/metrics").status == 200
    assert not path.exists()


def test_socket_that_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with serving(tmp_path, path):
        assert ask(path, "/live").status == 200


def test_daemon_awards_though_its_address_is_taken(
    tmp_path: Path, address: str, log: pytest.LogCaptureFixture
) -> None:
    host, port = address.split(":")
    with socket.create_server((host, int(port))), serving(tmp_path, address) as daemon:
        daemon.handle_acknowledged(fedmsg_body("logger.first", {}, "alice"))
        assert daemon.report()["awarded"] == 1
    assert f"Cannot serve metrics address={address}" in log.text


def test_unknown_pages_and_methods_are_refused(tmp_path: Path, address: str) -> None:
    with serving(tmp_path, address):
        assert ask(address, "/etc/passwd").status == 404
        assert ask(address, "/metrics", "POST").status == 501
        assert ask(address, "/live", "HEAD") == (200, "")


def test_slow_clients_keep_nobody_from_the_metrics(tmp_path: Path, address: str) -> None:
    host, port = address.split(":")
    with serving(tmp_path, address), contextlib.ExitStack() as stack:
        for _ in range(server._MOST_CONNECTIONS + 4):
            slow = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            slow.sendall(b"G")
            assert ask(address, "/live").status == 200


def test_client_is_cut_off_that_is_never_idle_and_never_done(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_TIMEOUT", 0.2)
    host, port = address.split(":")
    with serving(tmp_path, address), socket.create_connection((host, int(port))) as slow:
        slow.setblocking(False)

        def is_cut_off() -> bool:
            try:
                slow.sendall(b"G")
                return slow.recv(1) == b""
            except BlockingIOError:
                return False
            except OSError:
                return True

        eventually(is_cut_off, "the end of the connection")


def test_live_is_answered_while_a_report_hangs(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    with serving(tmp_path, address) as daemon:
        monkeypatch.setattr(daemon._parts.health, "check", release.wait)
        asked = threading.Thread(target=status_of, args=(address, "/ready"))
        asked.start()
        assert ask(address, "/live").status == 200
        assert asked.is_alive()
        release.set()
        asked.join()
