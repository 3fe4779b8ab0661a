"""A RabbitMQ of the tests' own, and what others send and hear there by fedora-messaging."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
import pytest
from fedora_messaging.message import Message, get_message

from support.bus import PREFIX, free_ports
from support.waiting import TIMEOUT, eventually

#: Debian's script, without the wrapper that becomes another user and knows other directories.
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")

needs_broker = pytest.mark.skipif(
    not _SERVER.exists() or shutil.which("epmd") is None,
    reason="no RabbitMQ: apt-get install --no-install-recommends rabbitmq-server",
)

_CONFIG = """\
disk_free_limit.absolute = 1MB
stomp.listeners.tcp.1 = 127.0.0.1:{stomp}
log.console = true
log.file = false
"""


class Broker:
    """A server on ports of the loopback, in a directory of its own; it starts when it is made."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="fedbadges-rabbitmq-"))
        self.port, self.stomp_port, distribution, epmd = free_ports(4)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        config = self._directory / "rabbitmq.conf"
        config.write_text(_CONFIG.format(stomp=self.stomp_port))
        (self._directory / "enabled_plugins").write_text("[rabbitmq_stomp].")
        self._environment = {
            "PATH": os.environ["PATH"],
            # Its cookie is there.
            "HOME": str(self._directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(self._directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(self._directory / "mnesia"),
            "RABBITMQ_NODENAME": f"fedbadges{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2 +sbwt none +sbwtdcpu none"
            ),
        }
        # Or else the server starts one in the background, which would outlive it.
        self._epmd = subprocess.Popen(["epmd", "-port", str(epmd)], env=self._environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._virtual_hosts = {"/"}
        self._connections: dict[str, pika.BlockingConnection] = {}
        self.start()

    def start(self) -> None:
        """Start, and return when it answers."""
        with (self._directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [_SERVER],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        eventually(self._answers, "RabbitMQ answers")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, and whatever it has started; SIGKILL is as if it crashed."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait(TIMEOUT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def control(self, *arguments: str) -> None:
        """Run ``rabbitmqctl``, which must succeed."""
        command = [_SERVER.with_name("rabbitmqctl"), "-n", self._environment["RABBITMQ_NODENAME"]]
        done = subprocess.run(
            [*command, *arguments], env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def add_virtual_host(self, name: str) -> None:
        """Make a virtual host, if it is missing."""
        if name not in self._virtual_hosts:
            self.control("add_vhost", name)
            self.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
            self._virtual_hosts.add(name)

    def close(self) -> None:
        """End everything, and delete the directory."""
        self.stop(signal.SIGKILL)
        self._epmd.kill()
        self._epmd.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    @contextlib.contextmanager
    def channel(self, virtual_host: str = "/") -> Iterator[Any]:
        """Yield a channel that waits for confirmations."""
        channel = self._open_channel(virtual_host)
        channel.confirm_delivery()
        yield channel
        channel.close()

    def _open_channel(self, virtual_host: str) -> Any:
        """Open a channel on the connection that there is, if it has not ended meanwhile."""
        known = self._connections.pop(virtual_host, None)
        if known is not None:
            with contextlib.suppress(pika.exceptions.AMQPError, OSError):
                channel = known.channel()
                self._connections[virtual_host] = known
                return channel
        parameters = pika.URLParameters(self.url)
        parameters.virtual_host = virtual_host
        parameters.heartbeat = 0
        made = self._connections[virtual_host] = pika.BlockingConnection(parameters)
        return made.channel()

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._directory / "output").read_text()
        try:
            # pika logs a dozen lines for each failure.
            socket.create_connection(("127.0.0.1", self.port)).close()
            with self.channel():
                return True
        except (pika.exceptions.AMQPError, OSError):
            return False


class BrokerBus:
    """An exchange of its own, a durable queue of daemons, and one of somebody who hears all."""

    def __init__(
        self, broker: Broker, exchange: str = "", queue: str = "", prefix: str = PREFIX
    ) -> None:
        self.broker = broker
        self.exchange = exchange or f"test-{uuid.uuid4().hex[:8]}"
        self.queue = queue or f"{self.exchange}-badges"
        self._prefix = prefix
        self._listener = f"listener-{self.exchange}"
        self._heard: list[Message] = []
        with broker.channel() as channel:
            channel.exchange_declare(self.exchange, "topic", durable=True)
            channel.queue_declare(self._listener, durable=True)
            channel.queue_bind(self._listener, self.exchange, f"{prefix}.badges.#")
            if not queue:
                # As the daemon's own configuration has it; what comes before it starts is kept.
                channel.queue_declare(self.queue, durable=True)
                channel.queue_bind(self.queue, self.exchange, "#")

    def configuration(self) -> dict[str, Any]:
        """Return the keys of fedora-messaging's configuration."""
        queue = {"durable": True, "auto_delete": False, "exclusive": False, "arguments": {}}
        binding = {"queue": self.queue, "exchange": self.exchange, "routing_keys": ["#"]}
        return {
            "amqp_url": self.broker.url,
            "callback": "fedbadges.fedora_messaging:BadgesConsumer",
            "publish_exchange": self.exchange,
            "topic_prefix": PREFIX,
            "queues": {self.queue: queue},
            "bindings": [binding],
        }

    def publish(self, *messages: Message) -> None:
        """Send messages, which the broker has when this returns."""
        with self.broker.channel() as channel:
            for message in messages:
                full = message.topic.startswith("org.")
                channel.basic_publish(
                    self.exchange,
                    message.topic if full else f"{self._prefix}.{message.topic}",
                    json.dumps(message.body).encode(),
                    message._properties,
                )

    def waiting(self) -> int:
        """Return how many messages wait in the daemons' queue that none has been given."""
        with self.broker.channel() as channel:
            return int(channel.queue_declare(self.queue, passive=True).method.message_count)

    def consumers(self) -> int:
        """Return how many daemons listen to the queue."""
        with self.broker.channel() as channel:
            return int(channel.queue_declare(self.queue, passive=True).method.consumer_count)

    def heard(
        self, topic: str, about: Callable[[Mapping[str, Any]], bool] = lambda body: True
    ) -> list[Message]:
        """Return the notices with this topic, in order, whose body satisfies ``about``."""
        with self.broker.channel() as channel:
            while (got := channel.basic_get(self._listener, auto_ack=True))[0] is not None:
                method, properties, body = got
                self._heard.append(get_message(method.routing_key, properties, body))
        full = f"{self._prefix}.{topic}"
        return [each for each in self._heard if each.topic == full and about(each.body)]

    def awards(self, username: str) -> list[Message]:
        """Return the notices of awards to somebody."""
        return self.heard("badges.badge.award", lambda body: body["user"]["username"] == username)
