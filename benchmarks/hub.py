"""Measures a real ``fedmsg-hub`` on a real bus, with the daemon and with an empty consumer."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fedmsg.encoding
import psycopg2
import zmq
from backlog import Backlog
from databases import History
from deployment import make_settings
from traffic import Draft

from fedbadges.databases.connections import parse_url

Results = dict[str, float]

#: Below the ports that Linux gives to outgoing connections, of which one could connect to itself.
_PORTS = range(20000, 32000)
_STARTING = 60.0
_ENDING = 15.0
_CATCHING_UP = 300.0

#: The default: messages are sent at the pace of the bus, though they come faster.
_DISTANCE = 600

#: So many times as many for the one that does nothing, to take about as long.
_NOOP_TIMES = 3

_NOTIFY = """
CREATE OR REPLACE FUNCTION benchmark_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_notify('awards', NEW.issued_for); RETURN NULL; END $$;
CREATE TRIGGER benchmark_notify AFTER INSERT ON assertions
    FOR EACH ROW EXECUTE FUNCTION benchmark_notify();
LISTEN awards;
"""


Frames = tuple[bytes, bytes]


class Late(Exception):
    """Something expected did not happen in time."""


class Bus:
    """Publishes to one hub, and knows whether it has subscribed."""

    def __init__(self, context: zmq.Context[Any]) -> None:
        self._socket = context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        port = self._socket.bind_to_random_port(
            "tcp://127.0.0.1", min_port=_PORTS.start, max_port=_PORTS.stop
        )
        self.endpoint = f"tcp://127.0.0.1:{port}"

    def wait_for_hub(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + _STARTING
        while not self._socket.poll(100):
            if process.poll() is not None or time.monotonic() > end:
                raise Late("the hub did not start")

    def publish(self, frames: Sequence[Frames]) -> None:
        for each in frames:
            self._socket.send_multipart(each)


class Recorder:
    """Stores what the daemon publishes, as datanommer does; the daemon receives it as well."""

    def __init__(
        self, context: zmq.Context[Any], addresses: Sequence[str], history: History
    ) -> None:
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self._socket.subscribe("")
        for address in addresses:
            self._socket.connect(address)
        self._history = history
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        with self._history.storing() as store:
            while not self._stopping.is_set():
                if not self._socket.poll(100):
                    continue
                body = json.loads(self._socket.recv_multipart()[1])
                msg = body["msg"]
                users = [msg["user"]["username"]] if "user" in msg else [msg["person"]["nickname"]]
                store([(Draft(body["topic"], msg, users), body)])


class Awards:
    """Receives every award as soon as it is committed, by PostgreSQL's NOTIFY."""

    def __init__(self, url: str) -> None:
        made = parse_url(url).set(drivername="postgresql").render_as_string(False)
        self._connection = psycopg2.connect(made)
        self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(_NOTIFY)

    def wait_for(self, msg_id: str, seconds: float) -> float:
        """Wait for the award that a message earned; return its time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([self._connection], [], [], 0.1)[0]:
                continue
            self._connection.poll()
            now = time.perf_counter()
            heard, self._connection.notifies[:] = list(self._connection.notifies), []
            if any(msg_id in unquote(each.payload) for each in heard):
                return now
        raise Late(f"no award for {msg_id} within {seconds:g} s")

    def close(self) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER benchmark_notify ON assertions")
        self._connection.close()


class Hub:
    """A ``fedmsg-hub`` with one consumer, in a directory of its own."""

    def __init__(self, directory: Path, bus: Bus, config: Mapping[str, Any], *options: str) -> None:
        self._bus = bus
        self._directory = directory
        self._options = options
        folder = directory / "fedmsg.d"
        folder.mkdir(parents=True)
        # fedmsg merges dictionaries: what the machine's own files say of the bus is forgotten.
        (folder / "1.py").write_text('config = {"endpoints": None}\n', encoding="utf-8")
        (folder / "2.py").write_text(f"config = {dict(config)!r}\n", encoding="utf-8")

    @contextmanager
    def running(self) -> Iterator[None]:
        environment = {
            **os.environ,
            "HOME": str(self._directory),
            "VIRTUAL_ENV": str(self._directory),
            "PYTHONPATH": str(Path(__file__).parent),
        }
        with (self._directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("fedmsg-hub")), *self._options],
                cwd=self._directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._bus.wait_for_hub(process)
            yield
        except Late:
            print(self._log())
            raise
        finally:
            stop(process)

    def wait_until_caught_up(self) -> None:
        """Wait until the daemon has read what was sent before it started."""
        end = time.monotonic() + _CATCHING_UP
        while "Caught up" not in (self._directory / "log").read_text(errors="replace"):
            if time.monotonic() > end:
                print(self._log())
                raise Late("the hub did not catch up")
            time.sleep(0.1)

    def _log(self) -> str:
        text = (self._directory / "log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-20:])


def stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a process, and kill it if it takes too long."""
    for number, seconds in ((signal.SIGTERM, _ENDING), (signal.SIGKILL, 5.0)):
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue


class DaemonBenchmark:
    """What daemons on a bus are measured with."""

    def __init__(
        self,
        directory: Path,
        rules: Path,
        tahrir_url: str,
        history: History,
        backlog: Backlog,
    ) -> None:
        self._directory = directory
        self._rules = rules
        self._tahrir_url = tahrir_url
        self._history = history
        self._backlog = backlog


class HubBenchmark(DaemonBenchmark):
    """Times a hub that awards badges and one with an empty consumer, in turn."""

    def run(self, rounds: int, count: int, awards: int) -> Results:
        """Measure a number of rounds, each with a number of messages and awards."""
        self._chance = random.Random(1)
        with ExitStack() as stack:
            context = zmq.Context()
            stack.callback(context.destroy, linger=0)
            self._awards = Awards(self._tahrir_url)
            stack.callback(self._awards.close)
            self._bus, self._noop_bus = Bus(context), Bus(context)
            self._addresses = [f"tcp://127.0.0.1:{port}" for port in free_ports(6)]
            stack.callback(Recorder(context, self._addresses, self._history).stop)
            self._store = stack.enter_context(self._history.storing())
            hub = self._badges_hub()
            stack.enter_context(hub.running())
            stack.enter_context(self._noop_hub().running())
            # Or it would catch up what is stored here before it is published.
            hub.wait_until_caught_up()
            return {**self._latency(awards), **self._throughput(rounds, count)}

    def _latency(self, count: int) -> Results:
        times = []
        for number in range(-5, count):  # the first are not counted: connections are made
            draft = self._backlog.ending()
            (body,) = self._backlog.sent_now([], draft)
            frames = _frames([body])
            begin = time.perf_counter()
            self._bus.publish(frames)
            self._store([(draft, body)])
            spent = self._awards.wait_for(body["msg_id"], 60) - begin
            if number >= 0:
                times.append(spent)
            # Not in step with anything that happens regularly.
            time.sleep(self._chance.uniform(0.02, 0.1))
        times.sort()
        return {
            "award_latency_p50_ms": statistics.median(times) * 1e3,
            "award_latency_p99_ms": times[min(len(times) - 1, int(len(times) * 0.99))] * 1e3,
            "award_latency_mean_ms": statistics.mean(times) * 1e3,
        }

    def _throughput(self, rounds: int, count: int) -> Results:
        noop_drafts = self._backlog.mix(_NOOP_TIMES * count)
        mixes = [self._backlog.mix(count) for _ in range(rounds)]
        backlog = self._backlog.stored(mixes, self._store)
        # What these people have earned they have by then, and their counts have been asked.
        self._badges_round(*self._backlog.stored([self._backlog.triggering], self._store))
        badges, noop = [], []
        for bodies in backlog:
            badges.append(len(bodies) / self._badges_round(bodies))
            bodies = self._backlog.sent_now(noop_drafts, self._backlog.ending())
            noop.append(len(bodies) / self._noop_round(bodies))
        return {
            "hub_messages_per_s": statistics.median(badges),
            "hub_noop_messages_per_s": statistics.median(noop),
            "hub_over_noop": statistics.median(a / b for a, b in zip(badges, noop, strict=True)),
        }

    def _badges_round(self, bodies: Sequence[dict[str, Any]]) -> float:
        """Publish messages of which the last one earns a badge, and wait for the award."""
        frames = _frames(bodies)
        begin = time.perf_counter()
        self._bus.publish(frames)
        return self._awards.wait_for(bodies[-1]["msg_id"], 120) - begin

    def _noop_round(self, bodies: Sequence[dict[str, Any]]) -> float:
        mark = self._directory / bodies[-1]["msg_id"]
        frames = _frames(bodies)
        begin = time.perf_counter()
        self._noop_bus.publish(frames)
        while not mark.exists():
            time.sleep(0.002)
            if time.perf_counter() > begin + 120:
                raise Late("the hub that does nothing did not get all messages")
        return time.perf_counter() - begin

    def _badges_hub(self) -> Hub:
        config = self._config(self._bus, "badges")
        return Hub(self._directory / "badges", self._bus, config)

    def _noop_hub(self) -> Hub:
        config = self._config(self._noop_bus, "noop")
        return Hub(
            self._directory / "noop", self._noop_bus, config, "--with-consumers", "noop:Noop"
        )

    def _config(self, bus: Bus, which: str) -> dict[str, Any]:
        host = socket.gethostname().split(".", 1)[0]
        _, config = make_settings(
            self._rules,
            self._tahrir_url,
            self._history.url,
            endpoints={
                f"benchmark.{host}": [bus.endpoint],
                f"fedbadges.{host}": self._addresses,
            },
            zmq_enabled=True,
            validate_signatures=False,
            sign_messages=False,
            logging=_LOGGING,
            **{
                "badges.keep_counts_distance": _DISTANCE,
                # The backlog is stored before it is sent, so that much of it would be caught up.
                "badges.sweep_interval": 3600,
            },
        )
        enabled = "fedmsg.consumers.badges.enabled" if which == "badges" else "benchmark.noop"
        return {**config, enabled: True, "benchmark.directory": str(self._directory)}


_LOGGING = json.loads("""{
    "version": 1,
    "disable_existing_loggers": false,
    "formatters": {"line": {"format": "%(levelname)s %(asctime)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "INFO", "handlers": ["stderr"]}
}""")


def _frames(bodies: Sequence[Mapping[str, Any]]) -> list[Frames]:
    return [(body["topic"].encode(), fedmsg.encoding.dumps(body).encode()) for body in bodies]


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on."""
    found: list[int] = []
    with ExitStack() as held:
        for port in random.sample(_PORTS, len(_PORTS)):
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                break
    return found
