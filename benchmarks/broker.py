"""Measures ``fedora-messaging consume`` on a real RabbitMQ, with the daemon and without it."""

from __future__ import annotations

import json
import os
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from backlog import Bodies
from deployment import ROOT, make_settings
from fedora_messaging.message import Message
from hub import Awards, DaemonBenchmark, Late, Results, free_ports, stop

_STARTING = 60.0
_ROUND = 120.0

#: As config/fedbadges.toml.example has it.
_PREFETCH = 10

_TICKS = os.sysconf("SC_CLK_TCK")

#: How often each message that triggers is sent before anything is measured: nearly all that can be
#: earned by more of them is earned by then.
_AGAIN = 4

#: How many daemons share a queue.
SHARING = (1, 2, 4)


#: The module of the demo that starts a server.
rabbitmq = SimpleNamespace(**runpy.run_path(str(ROOT / "demo" / "rabbitmq.py")))


class Consumer:
    """One ``fedora-messaging consume``, in a directory of its own."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self._log = directory / "log"
        self._settings = directory / "config.toml"
        self._settings.write_text(_toml(settings), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self, begun: str) -> Iterator[None]:
        """Run it; go on when its log says this."""
        environment = {
            "PYTHONPATH": str(Path(__file__).parent),
            "BENCHMARK_DIRECTORY": str(self._directory),
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("fedora-messaging")),
                    *("--conf", str(self._settings), "consume"),
                ],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_for(begun)
            yield
        finally:
            stop(self._process)

    def cpu(self) -> float:
        """Return the seconds of CPU that it has taken."""
        assert self._process is not None
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS

    def has_seen(self, msg_id: str) -> bool:
        """Return True if the empty callback has seen the last message of a round."""
        return (self._directory / msg_id).exists()

    def _wait_for(self, begun: str) -> None:
        assert self._process is not None
        end = time.monotonic() + _STARTING
        while begun not in self._log.read_text(encoding="utf-8", errors="replace"):
            if self._process.poll() is not None or time.monotonic() > end:
                text = self._log.read_text(encoding="utf-8", errors="replace")
                print("\n".join(text.splitlines()[-20:]))
                raise Late("fedora-messaging did not start")
            time.sleep(0.05)


class BrokerBenchmark(DaemonBenchmark):
    """Measures the CPU for a message, and how several daemons share a queue."""

    def run(self, rounds: int, count: int) -> Results:
        """Measure rounds of so many messages, for the CPU and for each number of daemons."""
        with ExitStack() as stack:
            self._server = stack.enter_context(closing(rabbitmq.RabbitMQ(free_ports(4))))
            self._server.start()
            self._channel = stack.enter_context(self._server.channel())
            self._awards = stack.enter_context(closing(Awards(self._tahrir_url)))
            # Of the CPU and of each number of daemons, the first round is not counted.
            mixes = (rounds + 1) * (1 + len(SHARING))
            drafts = [
                # What these people have earned they have by then, and their counts were asked.
                _AGAIN * list(self._backlog.triggering),
                *(self._backlog.mix(count) for _ in range(mixes)),
            ]
            with self._history.storing() as store:
                first, *backlog = self._backlog.stored(drafts, store)
            state = {"badges.state_directory": str(self._directory / "state")}
            daemon = self._daemon(0, **state)
            stack.enter_context(daemon.running("Counted the past of all rules"))
            self._daemon_round(daemon, first)
            begun = backlog[: rounds + 1]
            return {**self._cpu(daemon, begun), **self._sharing(backlog[rounds + 1 :])}

    def _cpu(self, daemon: Consumer, backlog: Sequence[Bodies]) -> Results:
        empty = Consumer(self._directory / "empty", self._settings("empty"))
        ours, theirs = [], []
        with empty.running("Successfully registered"):
            for bodies in backlog:
                ours.append(self._daemon_round(daemon, bodies) / len(bodies))
                theirs.append(self._empty_round(empty, bodies) / len(bodies))
        del ours[0], theirs[0]
        return {
            "fm_cpu_ms": statistics.median(ours) * 1e3,
            "fm_noop_cpu_ms": statistics.median(theirs) * 1e3,
            "fm_cpu_over_noop": statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
        }

    def _sharing(self, backlog: Sequence[Bodies]) -> Results:
        """Measure one daemon, which runs, and then start more.

        These have no state directory, or each would first count the past.
        """
        rounds, speeds = len(backlog) // len(SHARING), {}
        with ExitStack() as stack:
            for number, wanted in enumerate(SHARING):
                for each in range(max(1, wanted // 2), wanted):
                    stack.enter_context(self._daemon(each).running("to=running"))
                _, *found = map(self._speed, backlog[number * rounds : (number + 1) * rounds])
                speeds[wanted] = statistics.median(found)
        return {
            **{f"fm_messages_per_s_{number}": speed for number, speed in speeds.items()},
            "fm_2_over_1": speeds[2] / speeds[1],
            "fm_4_over_2": speeds[4] / speeds[2],
        }

    def _daemon_round(self, daemon: Consumer, bodies: Bodies) -> float:
        """Publish messages of which the last one earns a badge; return the CPU they took."""
        begin = daemon.cpu()
        self._publish("badges", bodies)
        self._awards.wait_for(bodies[-1]["msg_id"], _ROUND)
        return daemon.cpu() - begin

    def _empty_round(self, empty: Consumer, bodies: Bodies) -> float:
        begin = empty.cpu()
        self._publish("empty", bodies)
        end = time.monotonic() + _ROUND
        while not empty.has_seen(bodies[-1]["msg_id"]):
            if time.monotonic() > end:
                raise Late("the empty callback did not get all messages")
            time.sleep(0.01)
        return empty.cpu() - begin

    def _speed(self, bodies: Bodies) -> float:
        """Publish messages; return how many a second are taken out of the queue."""
        self._publish("badges", bodies)
        # Not the end of the queue, where some have nothing to do any more.
        least = len(bodies) // 20
        begin, first = time.monotonic(), self._waiting()
        while (last := self._waiting()) > least:
            if time.monotonic() > begin + _ROUND:
                raise Late("the daemons did not take all messages")
            # Asking takes CPU that the daemons need.
            time.sleep(0.05)
        spent = time.monotonic() - begin
        while self._waiting():
            time.sleep(0.01)
        # Those that were taken are handled.
        time.sleep(0.5)
        return (first - last) / spent

    def _waiting(self) -> int:
        return int(self._channel.queue_declare("badges", passive=True).method.message_count)

    def _publish(self, queue: str, bodies: Bodies) -> None:
        made = []
        for body in bodies:
            sent = datetime.fromtimestamp(body["timestamp"], timezone.utc)
            message = Message(topic=body["topic"], body=body["msg"])
            message.id = body["msg_id"]
            message._headers["sent-at"] = sent.isoformat()
            made.append((message._encoded_body, message._properties, body["topic"]))
        with self._server.channel() as channel:
            # Confirming each would make the publisher the slowest.
            channel = channel.connection.channel()
            for content, properties, topic in made:
                channel.basic_publish(f"benchmark-{queue}", topic, content, properties)

    def _daemon(self, number: int, **keys: Any) -> Consumer:
        return Consumer(self._directory / f"daemon{number}", self._settings("badges", **keys))

    def _settings(self, queue: str, **keys: Any) -> dict[str, Any]:
        exchange = f"benchmark-{queue}"
        self._channel.exchange_declare(exchange, "topic", durable=True)
        _, config = make_settings(
            self._rules,
            self._tahrir_url,
            self._history.url,
            **{
                "badges.keep_counts_distance": 600,
                # What is sent was stored before, so that much of it would be caught up.
                "badges.sweep_interval": 3600,
                **keys,
            },
        )
        callbacks = {
            "badges": "fedbadges.fedora_messaging:BadgesConsumer",
            "empty": "empty_callback:callback",
        }
        kept = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
        return {
            "amqp_url": self._server.url,
            "callback": callbacks[queue],
            "publish_exchange": exchange,
            "topic_prefix": "org.fedoraproject.prod",
            "queues": {queue: kept},
            "bindings": [{"queue": queue, "exchange": exchange, "routing_keys": ["#"]}],
            "qos": {"prefetch_size": 0, "prefetch_count": _PREFETCH},
            "log_config": _LOGGING,
            "consumer_config": config,
        }


def _toml(config: Mapping[str, Any]) -> str:
    return "".join(f"{json.dumps(key)} = {_value(value)}\n" for key, value in config.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    # A string of JSON is one of TOML.
    return json.dumps(value)


_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(asctime)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    # As in the example: fedora-messaging has two lines at INFO for each message.
    "loggers": {
        "fedbadges": {"level": "INFO"},
        "fedora_messaging.twisted.protocol": {"level": "INFO"},
    },
    "root": {"level": "WARNING", "handlers": ["stderr"]},
}
