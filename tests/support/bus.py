"""A ZeroMQ bus on loopback: somebody who publishes, and somebody who listens."""

import json
import random
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable

import fedmsg.encoding
import zmq

from support.waiting import eventually

HOST = socket.gethostname().split(".", 1)[0]
PREFIX = "org.fedoraproject.dev"

# Below the ports that the system gives to outgoing connections: a subscriber that
# keeps trying a port of those ends up connected to itself, and the port is taken.
PORTS = range(15000, 32000)


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on, on any address."""
    ports: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            return ports
    raise RuntimeError(f"fewer than {count} free ports in {PORTS}")


def fedmsg_body(topic: str, msg: dict, username: str = "root") -> dict:
    """Return a message as fedmsg makes it.

    :param topic: what follows ``org.fedoraproject.dev.``.
    :param username: who sent it, which ``logger`` messages are about.
    """
    return {
        "topic": f"{PREFIX}.{topic}",
        "msg": msg,
        "msg_id": f"{time.gmtime().tm_year}-{uuid.uuid4()}",
        "timestamp": int(time.time()),
        "i": 1,
        "username": username,
    }


class Publisher:
    """Send messages, knowing how many hubs listen: none is lost."""

    def __init__(self, context: zmq.Context) -> None:
        self._socket = context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.LINGER, 0)
        # Otherwise the second hub to subscribe to the same topic goes unnoticed,
        # and so does the first one to leave.
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        port = self._socket.bind_to_random_port(
            "tcp://127.0.0.1", min_port=PORTS.start, max_port=PORTS.stop
        )
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self._subscriptions: Counter[bytes] = Counter()

    def hubs(self) -> int:
        """Return how many hubs listen now."""
        while self._socket.poll(0):
            frame = self._socket.recv()
            self._subscriptions[frame[1:]] += 1 if frame[0] else -1
        return max(self._subscriptions.values(), default=0)

    def send(self, message: dict, topic: str | None = None) -> dict:
        """Send a message, under its own topic if no other is given, and returns it."""
        self.send_text(fedmsg.encoding.dumps(message), topic or message["topic"])
        return message

    def send_text(self, text: str, topic: str) -> None:
        """Send what need not be a message."""
        self.send_parts(topic.encode(), text.encode())

    def send_parts(self, *parts: bytes) -> None:
        """Send what need not be a topic and a text."""
        self._socket.send_multipart(parts)


class Subscriber:
    """Listen to what the daemon publishes, independently of any hub.

    It listens in a thread all the time, as a hub does: ZeroMQ subscribes again to a publisher that
    comes back only where somebody reads.
    """

    def __init__(self, context: zmq.Context, endpoints: list[str], reconnect: int = 100) -> None:
        self._socket = context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.LINGER, 0)
        # As fedmsg's own listeners try: after a while once a second, so that the daemon's
        # first words are easily missed.
        self._socket.setsockopt(zmq.RECONNECT_IVL, reconnect)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        for endpoint in endpoints:
            self._socket.connect(endpoint)
        self._messages: list[dict] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="subscriber", daemon=True)
        self._thread.start()

    def messages(self) -> list[dict]:
        """Return all that was heard until now, in order."""
        return list(self._messages)

    def close(self) -> None:
        """Stop listening."""
        self._stopping.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            if self._socket.poll(50):
                _topic, body = self._socket.recv_multipart()
                self._messages.append(json.loads(body))


class Bus:
    """The endpoints of a bus, with a publisher and a subscriber on it."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._publisher = Publisher(self._context)
        own = [f"tcp://127.0.0.1:{port}" for port in free_ports(6)]
        self.endpoints = {f"fedbadges.{HOST}": own, f"test.{HOST}": [self._publisher.endpoint]}
        self._subscriber = Subscriber(self._context, own)

    def publish(self, topic: str, msg: dict | None = None, username: str = "root") -> dict:
        """Send a message and returns it as it went over the bus."""
        return self.send(fedmsg_body(topic, msg or {}, username))

    def send(self, message: dict, topic: str | None = None) -> dict:
        return self._publisher.send(message, topic)

    def send_text(self, text: str, topic: str) -> None:
        self._publisher.send_text(text, topic)

    def send_parts(self, *parts: bytes) -> None:
        self._publisher.send_parts(*parts)

    def hubs(self) -> int:
        """Return how many hubs hear what is published here."""
        return self._publisher.hubs()

    def messages(self) -> list[dict]:
        """Return all messages of the daemon that were heard until now, in order."""
        return self._subscriber.messages()

    def heard(self, topic: str, about: Callable[[dict], bool] = lambda msg: True) -> list[dict]:
        """Return the messages of the daemon with this topic, whose ``msg`` satisfies ``about``."""
        full = f"{PREFIX}.{topic}"
        return [m for m in self.messages() if m["topic"] == full and about(m["msg"])]

    def awards(self, username: str) -> list[dict]:
        """Return the awards to this person that were announced on the bus."""
        return self.heard("fedbadges.badge.award", lambda m: m["user"]["username"] == username)

    def wait_for_award(self, username: str, badge: str) -> dict:
        """Wait until the award is announced, and return its message."""
        return eventually(
            lambda: [m for m in self.awards(username) if m["msg"]["badge"]["badge_id"] == badge],
            f"{badge} for {username} announced on the bus",
        )[0]

    def close(self) -> None:
        self._subscriber.close()
        self._context.destroy(linger=0)
