"""A RabbitMQ of the tests' own, and what others send and hear there by fedora-messaging."""

import contextlib
import ipaddress
import json
import runpy
import textwrap
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pika
import pika.exceptions
import pytest
from cryptography import x509
from fedora_messaging.message import Message, get_message

from support.bus import PREFIX, free_ports
from support.certificates import authority
from support.waiting import TIMEOUT

# The module of the demo that starts a server.
_rabbitmq = SimpleNamespace(
    **runpy.run_path(str(Path(__file__).parents[2] / "demo" / "rabbitmq.py"))
)

needs_broker = pytest.mark.skipif(
    _rabbitmq.missing_package() is not None, reason=f"{_rabbitmq.missing_package()}"
)


def _documented_tls() -> str:
    """Return the lines of the broker's configuration that the documentation shows."""
    page = (Path(__file__).parents[2] / "docs/brokers.rst").read_text()
    (_, block) = page.split(".. code-block:: ini\n\n")
    return textwrap.dedent(block[: block.index("\n\n")]) + "\n"


_TLS = _documented_tls()


class Broker(_rabbitmq.RabbitMQ):
    """A server of the tests' own; it starts when it is made."""

    def __init__(self) -> None:
        super().__init__(free_ports(4), TIMEOUT)
        self.authority = authority()
        (self.tls_port,) = free_ports(1)
        self._configure_tls()
        self._virtual_hosts = {"/"}
        self._connections: dict[str, pika.BlockingConnection] = {}
        try:
            self.start()
        except _rabbitmq.BrokerFailed:
            self.close()
            raise

    def add_virtual_host(self, name: str) -> None:
        """Make a virtual host, if it is missing."""
        if name not in self._virtual_hosts:
            self.control("add_vhost", name)
            self.control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
            self._virtual_hosts.add(name)

    def _configure_tls(self) -> None:
        """Listen with TLS, too, as the documentation shows it."""
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        own = self.authority.issue("broker", extensions=[(address, False)])
        own.stored(self._directory, "broker")
        (self._directory / "ca.crt").write_bytes(self.authority.pem)
        lines = _TLS.replace("ssl.default = 5671", f"ssl.1 = 127.0.0.1:{self.tls_port}")
        for old, new in (
            ("cacert.pem", "ca.crt"),
            ("cert.pem", "broker.crt"),
            ("key.pem", "broker.key"),
        ):
            lines = lines.replace(f"/etc/rabbitmq/{old}", f"{self._directory / new}")
        with (self._directory / "rabbitmq.conf").open("a") as config:
            config.write(lines)
        plugins = "[rabbitmq_stomp,rabbitmq_auth_mechanism_ssl]."
        (self._directory / "enabled_plugins").write_text(plugins)

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
        #: What differs from the usual configuration.
        self.changes: dict[str, Any] = {}
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
            # A machine that stands still for a minute loses no connection.
            "amqp_url": f"{self.broker.url}?heartbeat=0",
            "callback": "fedbadges.fedora_messaging:BadgesConsumer",
            "publish_exchange": self.exchange,
            "topic_prefix": PREFIX,
            "queues": {self.queue: queue},
            "bindings": [binding],
        } | self.changes

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
