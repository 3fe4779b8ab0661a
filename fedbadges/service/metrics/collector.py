"""The report of the daemon as metrics of Prometheus, made when somebody asks for them."""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from fedbadges.engine.funnel import COUNTERS
from fedbadges.util import instruments

Report = Mapping[str, Any]

#: The states in a report.
_STATES = ("starting", "running", "stopping", "cannot start")

#: The steps of a rule that are counted in messages; awards are counted by person.
_STEPS = tuple(name for name in COUNTERS if name != "awarded")


class ReportCollector(Collector):
    """Turns what ``report`` returns into metrics, once for each time somebody asks."""

    def __init__(self, report: Callable[[], Report]) -> None:
        self._report = report

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        report = self._report()
        for families in (_process, _messages, _health, _caches, _outbox, _awards, _rules):
            yield from families(report)

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering this asks for no report."""
        return ()


def make_registry(report: Callable[[], Report]) -> CollectorRegistry:
    """Return all that a daemon publishes."""
    registry = CollectorRegistry()
    registry.register(ReportCollector(report))
    registry.register(instruments.REGISTRY)
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """Return a gauge, without a sample where the value is not known."""
    family = GaugeMetricFamily(f"fedbadges_{name}", text)
    if value is not None:
        family.add_metric([], float(value))
    return family


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"fedbadges_{name}", text, value=value)


def _process(report: Report) -> Iterator[Metric]:
    build = GaugeMetricFamily(
        "fedbadges_build_info", "Always 1, with the versions.", labels=["version", "python"]
    )
    build.add_metric([str(report["version"]), platform.python_version()], 1)
    yield build
    state = GaugeMetricFamily("fedbadges_state", "1 for what the daemon does.", labels=["state"])
    for name in _STATES:
        state.add_metric([name], float(report["state"] == name))
    yield state


def _messages(report: Report) -> Iterator[Metric]:
    messages = CounterMetricFamily(
        "fedbadges_messages",
        "Messages by their end; what is released, requeued or left for a restart comes again.",
        labels=["outcome"],
    )
    for outcome, count in report["outcomes"].items():
        messages.add_metric([outcome.replace(" ", "_")], count)
    yield messages
    yield _gauge("messages_in_flight", "Messages that are being handled.", report["in_hand"])
    yield _gauge(
        "messages_delayed",
        "Messages that wait for datanommer to store them.",
        report["waiting_room"],
    )
    yield _gauge("backlog_messages", "Messages that wait for a worker.", report["backlog"])
    yield _gauge("shedding", "1 while messages do not fit into memory.", report["overflown"])
    yield _gauge("dead_letters", "Messages that failed and were set aside.", report["set_aside"])
    yield _gauge(
        "lag_seconds",
        "Age of the checkpoint; of the oldest message in flight where a broker delivers again.",
        report["lag"],
    )
    catch_up = report["catch_up"]
    left = catch_up["count"] - catch_up["done"] if catch_up["running"] else 0
    yield _gauge("catch_up_messages", "Messages yet to be read from datanommer.", max(left, 0))


def _health(report: Report) -> Iterator[Metric]:
    databases = GaugeMetricFamily(
        "fedbadges_database_up", "1 if the database answers.", labels=["database"]
    )
    for name, trouble in report["databases"].items():
        databases.add_metric([name], float(trouble is None))
    yield databases
    yield _gauge("bus_up", "1 if notices can be published.", report["bus"]["trouble"] is None)
    trouble = report["signatures"]["trouble"]
    yield _gauge("signatures_up", "1 unless signatures cannot be checked.", trouble is None)
    outage = report["waiting_for"]
    yield _gauge(
        "outage_seconds",
        "For how long the daemon waits for a database or service; 0 if it does not.",
        0.0 if outage is None else max(report["at"] - outage["since"], 0.0),
    )


def _caches(report: Report) -> Iterator[Metric]:
    cached = GaugeMetricFamily(
        "fedbadges_cached_answers", "Answers of the history in memory.", labels=["cache"]
    )
    for name, count in report["cached"].items():
        cached.add_metric([name], count)
    yield cached


def _outbox(report: Report) -> Iterator[Metric]:
    outbox = report["outbox"]
    yield _gauge("outbox_notices", "Notices that wait to be published.", outbox["waiting"])
    since = outbox["since"]
    yield _gauge(
        "outbox_age_seconds",
        "Age of the oldest notice that waits to be published.",
        0.0 if since is None else max(report["at"] - since, 0.0),
    )
    yield _counter("notices_lost", "Notices that could not be published.", report["bus"]["unsent"])
    yield _gauge("ranks_due", "People whose ranks are to be adjusted.", report["ranks"]["people"])


def _awards(report: Report) -> Iterator[Metric]:
    awards = CounterMetricFamily("fedbadges_awards", "Awards by badge.", labels=["badge"])
    for badge, tally in report["rules"]["tallies"].items():
        awards.add_metric([badge], tally["awards"])
    yield awards
    last = report["last_award"]
    yield _gauge(
        "last_award_timestamp_seconds",
        "When the last award of this process was made.",
        None if last is None else last["at"],
    )
    recorded = report["revocations"]
    yield _gauge(
        "revocations",
        "Revocations that are recorded.",
        None if recorded is None else recorded["count"],
    )


def _rules(report: Report) -> Iterator[Metric]:
    rules = report["rules"]
    yield _gauge("rules_in_force", "Rules in force.", rules["in_force"])
    yield _gauge("rule_files_with_mistakes", "Rule files with mistakes.", rules["broken"])
    yield _gauge(
        "rules_loaded_timestamp_seconds", "When rules were loaded last.", rules["loaded_at"]
    )
    funnel = CounterMetricFamily(
        "fedbadges_rule_messages",
        "Messages that got to a step of a rule: its funnel.",
        labels=["badge", "step"],
    )
    failing = GaugeMetricFamily(
        "fedbadges_rule_failing",
        "1 if the rule cannot work with the latest messages that trigger it.",
        labels=["badge"],
    )
    for badge, tally in rules["tallies"].items():
        for step in _STEPS:
            funnel.add_metric([badge, step], tally["funnel"][step])
        failing.add_metric([badge], float(tally["warning"] is not None))
    yield funnel
    yield failing
