"""The alerts and the dashboard, with a real Prometheus that asks a daemon under load."""

import contextlib
import itertools
import json
import re
import shutil
import subprocess
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_settings
from support.bus import fedmsg_body, free_ports
from support.databases import sqlite_databases
from support.metrics import needs_promtool
from support.publisher import FakePublisher
from support.rules import counting_rule, write_rules
from support.waiting import eventually

from fedbadges.service.daemon import Daemon

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/fedbadges.json").read_text())
QUERIES = [
    pytest.param(target["expr"], id=f"{panel['title']}: {target['refId']}")
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
]
RULES = {
    "first": counting_rule("First Step", "logger.first", 1),
    "fifty": counting_rule("Fifty Steps", "logger.first", 50),
}

CONFIGURATION = """
global: {{scrape_interval: 500ms, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: fedbadges
    static_configs:
      - targets: ["{target}"]
"""

#: Which variables of Grafana stand for what.
VARIABLES = {"$__rate_interval": "1m", "$job": "fedbadges", "$instance": ".*"}


class Prometheus:
    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/"

    def get(self, path: str, **query: str) -> Any:
        url = f"{self._url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]

    def values(self, query: str) -> list[float]:
        return [float(each["value"][1]) for each in self.get("query", query=query)["result"]]

    def is_up(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.values('up{job="fedbadges"} == 1'))
        return False


@contextlib.contextmanager
def daemon_under_load(directory: Path, address: str) -> Iterator[None]:
    write_rules(directory / "rules", RULES)
    settings = make_settings(
        sqlite_databases(directory),
        directory / "rules",
        record_messages=True,
        state_directory=str(directory / "state"),
        **{"metrics.address": address},
    )
    daemon, stopping = Daemon(settings, FakePublisher()), threading.Event()

    def send() -> None:
        for number in itertools.count():
            if stopping.wait(0.02):
                return
            daemon.handle_acknowledged(fedmsg_body("logger.first", {}, f"user{number % 200}"))

    daemon.start()
    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stopping.set()
        sender.join()
        daemon.stop()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    directory = tmp_path_factory.mktemp("prometheus")
    daemon, own = free_ports(2)
    (directory / "prometheus.yml").write_text(
        CONFIGURATION.format(rules=DEPLOY / "prometheus/alerts.yml", target=f"127.0.0.1:{daemon}")
    )
    options = (
        f"--config.file={directory}/prometheus.yml",
        f"--storage.tsdb.path={directory}/data",
        f"--web.listen-address=127.0.0.1:{own}",
    )
    with (
        daemon_under_load(directory, f"127.0.0.1:{daemon}"),
        (directory / "log").open("wb") as log,
        subprocess.Popen([program, *options], stdout=log, stderr=log) as process,
    ):
        try:
            made = Prometheus(own)
            eventually(made.is_up, "Prometheus has asked the daemon")
            yield made
        finally:
            process.terminate()


@pytest.mark.parametrize("query", QUERIES)
def test_query_of_the_dashboard_has_data(prometheus: Prometheus, query: str) -> None:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query

    def has_data() -> bool:
        values = prometheus.values(query)
        return bool(values) and all(value == value for value in values)

    eventually(has_data, query, timeout=30)


def test_dashboard_shows_every_metric_of_the_daemon(prometheus: Prometheus) -> None:
    names = prometheus.get("label/__name__/values")
    ours = {name for name in names if name.startswith("fedbadges_")}
    shown = " ".join(query.values[0] for query in QUERIES)

    # These are in the annotation and the variables, or for those who look for them.
    others = {
        "fedbadges_build_info",
        "fedbadges_last_award_timestamp_seconds",
        "fedbadges_revocations",
        "fedbadges_rules_loaded_timestamp_seconds",
        "fedbadges_shedding",
    }
    bases = {re.sub(r"_(bucket|count|sum)$", "", name) for name in ours}
    assert {name for name in bases if name not in shown} == others & bases


def test_alerts_are_loaded_and_silent(prometheus: Prometheus) -> None:
    groups = prometheus.get("rules")["groups"]

    assert len(groups[0]["rules"]) == 13
    assert {rule["health"] for rule in groups[0]["rules"]} <= {"ok", "unknown"}
    assert prometheus.get("alerts")["alerts"] == []


@needs_promtool
def test_alerts_are_right(tmp_path: Path) -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", "alerts_test.yml"],
        cwd=DEPLOY / "prometheus",
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test() -> None:
    alerts = re.findall(r"alert: (\w+)", (DEPLOY / "prometheus/alerts.yml").read_text())
    tested = (DEPLOY / "prometheus/alerts_test.yml").read_text()

    assert alerts
    assert all(f"- name: {alert}" in tested for alert in alerts)
