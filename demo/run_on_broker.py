"""Shows two consumers on a real RabbitMQ that award badges, and checks that these are right.

    make demo-broker

It does what run.py does with a fedmsg-hub, and exits with 1 where there is no RabbitMQ, too.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import deployment
import processes
import rabbitmq
import report
import show
from scenario import OPTED_OUT, STORY


class Listener:
    """Hears what the consumers publish."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def receive(self, timeout: float) -> Iterator[dict[str, Any]]:
        consume = self._channel.consume(
            deployment.LISTENER, auto_ack=True, inactivity_timeout=timeout
        )
        method, properties, body = next(consume)
        if method is not None:
            topic, msg_id = method.routing_key, properties.message_id
            yield {"topic": topic, "msg": json.loads(body), "msg_id": msg_id}


def demo(home: Path) -> int:
    missing = rabbitmq.missing_package()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    # Slow to load, and Ctrl-C must work from the beginning.
    import badges

    tahrir, datanommer = f"sqlite:///{home}/tahrir.db", f"sqlite:///{home}/datanommer.db"
    badges.add_opted_out(tahrir, OPTED_OUT, show.EMAIL_DOMAIN)
    server = rabbitmq.RabbitMQ(processes.free_ports(4), show.STARTING)
    with contextlib.closing(server):
        report.say("RabbitMQ starts ...")
        try:
            server.start(lambda seconds: show.check_interrupted())
        except rabbitmq.BrokerFailed as error:
            report.say(f"RabbitMQ did not start:\n{error}")
            return 1
        deployment.declare_queues(server.url)
        rules = deployment.copy_rules(home)
        metrics = processes.free_http_addresses(deployment.CONSUMERS)
        files = deployment.write_settings(
            home, server.url, rules, metrics, tahrir=tahrir, datanommer=datanommer
        )
        logs = [path.with_suffix(".log") for path in files]
        try:
            sent = run(server, files, logs, metrics)
        except show.Failed as error:
            report.failure(str(error), logs)
            return 1
    report.shares({path.stem: path.read_text(encoding="utf-8", errors="replace") for path in logs})
    return show.conclude(tahrir, sent, logs)


def run(
    server: rabbitmq.RabbitMQ,
    files: Sequence[Path],
    logs: Sequence[Path],
    metrics: Sequence[str],
) -> show.Sent:
    """Run the consumers on the whole scenario; return all messages that were sent."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(path.open("wb")) for path in logs]
        daemons = {}
        for path, log in zip(files, opened, strict=True):
            daemons[path.stem] = processes.start_consumer(path, log)
            stack.callback(processes.stop, daemons[path.stem], processes.STOPPING_CONSUMER)
        publisher = processes.start_publisher(
            server.url, show.PAUSE, opened[0], "publish_to_broker.py"
        )
        stack.callback(processes.stop, publisher)
        numbers = " and ".join(str(daemon.pid) for daemon in daemons.values())
        report.metrics(metrics)
        report.begun(
            f"fedora-messaging runs as processes {numbers}, on fresh SQLite databases.",
            f"Process {publisher.pid} publishes {len(STORY)} messages to RabbitMQ on port "
            f"{server.port}",
            "as soon as both listen to one queue.",
        )
        channel = stack.enter_context(server.channel())
        shown = show.Show(daemons, publisher, Listener(channel))
        show.follow(shown)
        return shown.sent


if __name__ == "__main__":
    sys.exit(show.run(demo))
