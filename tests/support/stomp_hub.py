"""``fedmsg-hub`` and ``fedmsg-badges`` on RabbitMQ by STOMP, with databases and rules."""

import contextlib
import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pika

from support.broker import Broker
from support.broker_deployment import BrokerDeployment
from support.bus import PREFIX, fedmsg_body
from support.databases import Databases
from support.hub import LOGGING, Hub
from support.rules import rule

#: moksha takes the name of the broker's host for that of its virtual host.
VIRTUAL_HOST = "127.0.0.1"


class StompBus:
    """A queue of daemons, bound to everything, and one of somebody who hears all notices."""

    def __init__(self, broker: Broker, queue: str = "") -> None:
        self.broker = broker
        #: What only this bus is about, as all share one exchange.
        self.topics = f"t{uuid.uuid4().hex[:8]}"
        self.queue = queue or f"badges-{self.topics}"
        self._listener = f"listener-{self.topics}"
        self._heard: list[dict[str, Any]] = []
        broker.add_virtual_host(VIRTUAL_HOST)
        with self.channel() as channel:
            if not queue:
                channel.queue_declare(self.queue, durable=True)
                channel.queue_bind(self.queue, "amq.topic", f"{PREFIX}.{self.topics}.#")
            channel.queue_declare(self._listener, durable=True)
            channel.queue_bind(self._listener, "amq.topic", f"{PREFIX}.fedbadges.#")

    def settings(self) -> dict[str, object]:
        """Return the keys of the configuration that name the bus."""
        return {
            "environment": "dev",
            "endpoints": {},
            "zmq_enabled": False,
            "stomp_uri": f"127.0.0.1:{self.broker.stomp_port}",
            "stomp_queue": f"/queue/{self.queue}",
            "stomp_ack_mode": "client-individual",
            "moksha.blocking_mode": True,
            "validate_signatures": False,
            "sign_messages": False,
        }

    def channel(self) -> contextlib.AbstractContextManager[Any]:
        """Return a channel to the virtual host."""
        return self.broker.channel(VIRTUAL_HOST)

    def publish(self, *messages: tuple[str, dict[str, Any], str]) -> list[dict[str, Any]]:
        """Send messages, each a topic, a body and who sent it, as fedmsg makes them."""
        bodies = [
            fedmsg_body(f"{self.topics}.{topic}", msg, username)
            for topic, msg, username in messages
        ]
        with self.channel() as channel:
            for body in bodies:
                self.send(channel, body["topic"], json.dumps(body, ensure_ascii=False).encode())
        return bodies

    def send(self, channel: Any, topic: str, body: bytes) -> None:
        """Send anything under a topic."""
        properties = pika.BasicProperties(delivery_mode=2, content_type="application/json")
        channel.basic_publish("amq.topic", topic, body, properties)

    def waiting(self) -> int:
        """Return how many messages wait in the queue that no daemon has been given."""
        return self._declared().message_count

    def consumers(self) -> int:
        """Return how many daemons listen to the queue."""
        return self._declared().consumer_count

    def _declared(self) -> Any:
        with self.channel() as channel:
            return channel.queue_declare(self.queue, passive=True).method

    def heard(
        self, about: Callable[[Mapping[str, Any]], bool] = lambda body: True
    ) -> list[dict[str, Any]]:
        """Return the notices whose ``msg`` satisfies ``about``."""
        with self.channel() as channel:
            while (got := channel.basic_get(self._listener, auto_ack=True))[0] is not None:
                method, _, body = got
                self._heard.append({"routing_key": method.routing_key} | json.loads(body))
        return [each for each in self._heard if about(each["msg"])]

    def awards(self, username: str) -> list[dict[str, Any]]:
        """Return the notices of awards to somebody."""
        topic = f"{PREFIX}.fedbadges.badge.award"
        return [
            each
            for each in self.heard(lambda msg: msg.get("user", {}).get("username") == username)
            if each["routing_key"] == topic
        ]


def rules_of(bus: StompBus) -> dict[str, str]:
    """Return a rule that gives a badge to whom a message names."""
    named = f"""
trigger: {{topic: {bus.topics}.named}}
criteria:
  datanommer:
    filter: {{topics: ["%(topic)s"], msg_id: "%(msg_id)s"}}
    operation: count
    condition: {{equal to: 1}}
recipient: "%(msg.name)s"
"""
    return {"named": rule("Named", named)}


def names(bus: StompBus, *users: str) -> list[tuple[str, dict[str, str], str]]:
    return [("named", {"name": user}, user) for user in users]


class StompDeployment(BrokerDeployment[Hub]):
    """Databases, a bus and rules, and as many hubs as wanted."""

    def __init__(
        self,
        directory: Path,
        databases: Databases,
        bus: StompBus,
        rules: Mapping[str, str],
        settings: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        hub = {"logging": LOGGING, "fedmsg.consumers.badges.enabled": True}
        super().__init__(directory, databases, rules, hub | bus.settings() | dict(settings))
        self.bus = bus

    def start(self, command: str = "fedmsg-hub", **keys: Any) -> Hub:
        """Start a further hub, and return it when it awards badges."""
        made = self.make(**keys)
        made.start(command)
        made.wait_for_log("INFO", "Connected to the broker")
        return made

    def _make(self, directory: Path, settings: Mapping[str, object]) -> Hub:
        return Hub(directory, settings)
