"""Measures the cost of messages, and how it depends on the length of the history.

    make bench

It takes some minutes, and up to 4 GiB in the directory for temporary files. ``--quick`` measures
over the shortest history only, and writes no files unless it is told where. docs/performance.rst
says how to read it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import awarding
import broker
import databases
import engine_cost
import report
from backlog import Backlog
from deployment import ROOT, RULES, Deployment, copy_rules, make_settings, parsed
from hub import HubBenchmark, Late
from traffic import Traffic, people, send

RESULTS = ROOT / "benchmarks" / "results.json"
PLOT = ROOT / "docs" / "performance.svg"
PAGE = ROOT / "docs" / "performance.rst"

#: The past and the present differ, also in the ids of messages: one that seems to be stored already
#: is not waited for.
_SEED = 20141001
_SEED_OF_THE_PAST = 20141002

#: The length of the history with which the longest is compared.
_SHORT = 100_000


class Plan(NamedTuple):
    """The sizes of the measurements, and the seconds after which each is cut short."""

    sizes: dict[str, int]
    messages: int
    rounds: int
    cold_seconds: float
    warm_seconds: float
    memory_seconds: float
    replay_seconds: float
    resident_seconds: float
    hub_rounds: int
    hub_messages: int
    awards: int
    broker_rounds: int
    broker_messages: int


FULL = Plan(
    sizes={"20k": 20_000, "200k": 200_000, "1m": 1_000_000},
    messages=400,
    rounds=9,
    cold_seconds=60,
    warm_seconds=90,
    memory_seconds=60,
    replay_seconds=60,
    resident_seconds=90,
    hub_rounds=5,
    hub_messages=8000,
    awards=200,
    broker_rounds=3,
    broker_messages=1500,
)
QUICK = Plan(
    sizes={"20k": 20_000},
    messages=60,
    rounds=3,
    cold_seconds=8,
    warm_seconds=8,
    memory_seconds=8,
    replay_seconds=8,
    resident_seconds=15,
    hub_rounds=1,
    hub_messages=2000,
    awards=20,
    broker_rounds=1,
    broker_messages=1000,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="less, in less than a minute")
    parser.add_argument(
        "--no-hub", action="store_true", help="leave out what needs a hub or a broker"
    )
    parser.add_argument("--output", type=Path, help="write the files into this directory")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    begin = time.monotonic()
    plan = QUICK if options.quick else FULL
    server = databases.Server()
    try:
        results = measure(server, plan, begin, hub=not options.no_hub)
    finally:
        server.stop()
    results["seconds"] = time.monotonic() - begin
    good = report.table(results, quick=options.quick)
    if options.output is not None or not options.quick:
        numbers, plot = _files(options.output)
        results = dict(report.rounded(results))
        report.write(results, numbers)
        report.plot(results, plan.sizes, plot)
        if options.output is None:
            report.document(results, PAGE)
    return 0 if good else 1


def _files(directory: Path | None) -> tuple[Path, Path]:
    return (
        (RESULTS, PLOT) if directory is None else (directory / RESULTS.name, directory / PLOT.name)
    )


def measure(server: databases.Server, plan: Plan, begin: float, *, hub: bool) -> dict[str, float]:
    """Measure everything with each set of rules, each over histories of its own."""
    results: dict[str, float] = {}
    past = databases.Past(_SEED_OF_THE_PAST, server.directory)
    for suffix, rules in RULES.items():
        if rules.is_dir():
            print(f"{rules.relative_to(ROOT.parent)}:")
            found = Benchmark(server, past, plan, begin, rules, suffix).run(hub=hub)
            results |= {f"{key}{suffix}": value for key, value in found.items()}
    return results


class Benchmark:
    """All measurements with one set of rules, one after the other."""

    def __init__(
        self,
        server: databases.Server,
        past: databases.Past,
        plan: Plan,
        begin: float,
        rules: Path,
        suffix: str,
    ) -> None:
        self._server = server
        self._past = past
        self._plan = plan
        self._begin = begin
        self._source = rules
        self._suffix = suffix
        self._home = Path(tempfile.mkdtemp(dir=server.directory))
        self._traffic = Traffic(_SEED)
        self._results: dict[str, float] = {}
        #: Who earns a badge; each does once.
        self._idle = iter(databases.idle_people())

    def run(self, *, hub: bool) -> dict[str, float]:
        self._server.configure(fsync="off")
        self._prepare()
        self._measure_engine()
        self._measure_awards()
        # From here on no connection of this process is needed.
        databases.dispose(
            url
            for each in self._deployments.values()
            for url in (each.settings.history_url, each.settings.tahrir_url)
        )
        self._measure_memory()
        self._measure_replay()
        if not self._suffix:
            # They are of rules of their own.
            self._measure_previews()
        self._measure_reloading()
        if hub:
            self._measure_hub()
            if not self._suffix:
                self._measure_broker()
        self._measure_resident()
        return self._results

    def _prepare(self) -> None:
        plan = self._plan
        self._rules = copy_rules(self._source, self._home / "rules")
        self._tahrir_url = self._create("tahrir")
        databases.fill_tahrir(self._tahrir_url)
        self._histories: dict[str, databases.History] = {}
        for name, count in plan.sizes.items():
            self._say(f"a history of {count:,} messages")
            history = databases.History(self._create(f"history_{name}"))
            history.fill(count, self._past)
            self._histories[name] = history
        self._deployments = {
            name: Deployment(make_settings(self._rules, self._tahrir_url, history.url)[0])
            for name, history in self._histories.items()
        }
        first = self._first
        first.tahrir.publish_badges(rule.badge for rule in first.rules)
        badges = [rule.badge.id for rule in first.rules if not rule.badge.id.startswith("bench")]
        databases.hand_out(self._tahrir_url, badges, _SEED)
        # From here on commits are as durable, and as slow, as they are in production.
        self._server.configure(fsync="on")
        self._server.checkpoint()
        self._results["disk_mb"] = self._server.megabytes()
        self._results["rules"] = float(len(badges))

    def _create(self, name: str) -> str:
        return self._server.create_database(f"{name}{self._suffix}")

    def _measure_engine(self) -> None:
        plan = self._plan
        self._say("messages that trigger nothing")
        texts = engine_cost.untriggering(self._first, self._traffic)
        self._decoding = engine_cost.Decoding(texts)
        self._add(engine_cost.untriggered(self._first, texts, 5 * plan.rounds))
        triggered_rules = engine_cost.rules_triggered(self._first, self._traffic, 20_000)
        self._results["rules_triggered"] = float(triggered_rules)
        drafts = engine_cost.triggering(self._first, self._traffic, plan.messages)
        triggered = engine_cost.Triggered(self._deployments, self._histories, drafts, self._traffic)
        self._say("messages that trigger, the first time")
        self._add(triggered.cold(plan.cold_seconds))
        self._say("messages that trigger, warm")
        self._add(triggered.warm(plan.rounds, plan.warm_seconds))
        self._say("messages that trigger, after a restart")
        self._add(triggered.restarted(plan.rounds, self._home / "state"))
        self._add(triggered.shares())
        self._drafts = triggered.drafts

    def _measure_awards(self) -> None:
        self._say("awards")
        history = next(iter(self._histories.values()))
        self._add(
            awarding.awarding(
                self._first,
                history,
                self._traffic,
                people()[-20:],
                databases.new_people()[:20],
                databases.new_people()[20:],
            )
        )

    def _measure_memory(self) -> None:
        self._say("a rule that reads everything")
        self._measure_apart("memory.py", str(self._plan.memory_seconds))

    def _measure_replay(self) -> None:
        self._say("a backfill")
        self._measure_pass("replaying.py", "backfill")
        self._say("counting the past in one pass")
        self._measure_pass("warming.py", "warmup")

    def _measure_pass(self, script: str, what: str) -> None:
        """Compare the time for a message with that of decoding it, if any were gone through."""
        arguments = [str(self._rules), str(self._plan.replay_seconds)]
        decode_us = self._measure_apart(script, *arguments)
        speed = self._results[f"{what}_messages_per_s"]
        if speed:
            self._add({f"{what}_over_decode": 1e6 / speed / decode_us})

    def _measure_previews(self) -> None:
        urls = [history.url for history in list(self._histories.values())[:2]][-1:]
        if len(self._histories) > 1:
            self._say("a history for previews")
            short = databases.History(self._create("history_short"))
            short.fill(_SHORT, self._past)
            urls += [short.url, list(self._histories.values())[-1].url]
        self._say("previews")
        self._run_apart("previewing.py", self._tahrir_url, *urls)

    def _measure_reloading(self) -> None:
        self._say("one changed rule of thousands")
        empty = databases.History(self._create("history_empty"))
        empty.fill(0, self._past)
        # Each of the badges is committed alone.
        self._server.configure(fsync="off")
        tahrir_url = self._fill_tahrir("few")
        decode_us = self._run_apart("reloading.py", tahrir_url, empty.url, str(self._source))
        self._server.configure(fsync="on")
        reload_us = self._results["reload_one_of_2001_cpu_s"] * 1e6
        self._add({"reload_over_decode": reload_us / decode_us})

    def _measure_resident(self) -> None:
        self._say("a daemon that has handled the longest history")
        url = self._fill_tahrir("resident")
        last = list(self._histories.values())[-1]
        seconds = str(self._plan.resident_seconds)
        self._run_apart("resident.py", url, last.url, str(self._rules), seconds)

    def _fill_tahrir(self, name: str) -> str:
        """Return the URL of another database of tahrir with the same people."""
        url = self._create(f"tahrir_{name}")
        databases.fill_tahrir(url)
        return url

    def _measure_apart(self, script: str, *arguments: str) -> float:
        """Run a measurement over the longest history in a process of its own."""
        last = list(self._histories.values())[-1]
        return self._run_apart(script, self._tahrir_url, last.url, *arguments)

    def _run_apart(self, script: str, *arguments: str) -> float:
        """Run a measurement in a process of its own.

        Return the microseconds that decoding a message takes around it: the speed of a machine that
        is shared changes within minutes.
        """
        before = self._decoding.microseconds()
        here = Path(__file__)
        done = subprocess.run(
            [sys.executable, str(here.with_name(script)), *arguments],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(here.parent)},
            check=True,
        )
        self._add(json.loads(done.stdout.splitlines()[-1]))
        return (before + self._decoding.microseconds()) / 2

    def _measure_hub(self) -> None:
        plan = self._plan
        self._say("the hub")
        backlog = self._backlog(list(plan.sizes)[-1])
        benchmark = HubBenchmark(
            self._home / "hubs",
            self._rules,
            self._tahrir_url,
            list(self._histories.values())[-1],
            backlog,
        )
        try:
            self._add(benchmark.run(plan.hub_rounds, plan.hub_messages, plan.awards))
        except Late as late:
            print(f"The hub could not be measured: {late}", file=sys.stderr)

    def _measure_broker(self) -> None:
        """Measure daemons on RabbitMQ, over the shortest history, where it is installed."""
        plan = self._plan
        missing = broker.rabbitmq.missing_package()
        if missing is not None:
            print(f"Not measured, as {missing}", file=sys.stderr)
            self._results[report.WITHOUT_BROKER] = 1.0
            return
        self._say("daemons on RabbitMQ")
        benchmark = broker.BrokerBenchmark(
            self._home / "daemons",
            self._rules,
            self._tahrir_url,
            next(iter(self._histories.values())),
            self._backlog(next(iter(plan.sizes))),
        )
        try:
            self._add(benchmark.run(plan.broker_rounds, plan.broker_messages))
        except Late as late:
            print(f"Daemons on RabbitMQ could not be measured: {late}", file=sys.stderr)

    def _backlog(self, history: str) -> Backlog:
        """Return the traffic of a bus: what triggers is asked within some seconds."""
        others = [
            each
            for each in self._traffic.drafts(1000)
            if not self._first.rules.concerned(parsed(send(each, "none")))
        ]
        spent = self._results[f"triggered_ms_{history}"] / 1000
        few = self._drafts[: max(5, int(10 / spent))]
        return Backlog(few, others, self._traffic, self._idle, random.Random(1))

    @property
    def _first(self) -> Deployment:
        return next(iter(self._deployments.values()))

    def _add(self, results: dict[str, float]) -> None:
        self._results |= results

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._begin:5.0f} s  {what} ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
