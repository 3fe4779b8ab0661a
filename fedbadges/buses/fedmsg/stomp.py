"""The hub's connection to a broker by STOMP, which keeps a message until it is handled.

moksha's own takes whatever the queue has, handles it in the reactor's thread, counts characters
where the broker counts bytes, ends with 0 on an error, and does not know what has been sent.
"""

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fedmsg.core import FedMsgContext
from moksha.common.lib.converters import asbool
from moksha.hub.reactor import reactor
from moksha.hub.stomp import StompHubExtension
from moksha.hub.stomp.protocol import StompProtocol
from twisted.python.threadpool import ThreadPool

from fedbadges.buses.fedmsg.frames import has_too_many_values
from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.errors import Unavailable
from fedbadges.messages import Notice
from fedbadges.outbox.publisher import Result
from fedbadges.util.logs import get_logger
from fedbadges.util.text import printable

log = get_logger(__name__)

_SUBSCRIBED = "subscribed"

#: Seconds until a broker gets back what could not be handled: it delivers it again at once.
_RETRY = 30.0

#: How many characters of the broker's own words are kept.
_MAX_REASON = 300


class Broker:
    """The broker of a hub; all but ``trouble`` is called in the reactor's thread.

    ``prefetch`` is how many messages it may deliver before the first is acknowledged; None leaves
    that to the broker. Messages are handled in threads then. With ``requeue`` it delivers once more
    what could not be handled. ``fail`` is called with why it refuses this hub for good.
    """

    def __init__(
        self,
        extension: StompHubExtension,
        destination: str,
        *,
        prefetch: int | None,
        requeue: bool,
        fail: Callable[[str], object],
    ) -> None:
        self.prefetch = prefetch
        self.requeue = requeue
        self.fail = fail
        #: Set once nothing is to be refused any more: what is left is delivered to others.
        self.stopping = threading.Event()
        #: Why there is no connection; None if there is one.
        self.trouble: str | None = "not connected to the broker yet"
        self._destination = destination
        self._protocol: _Protocol | None = None
        self._known = False
        self._receipts = itertools.count()
        #: Those who wait until the broker has confirmed what was sent, by its receipt.
        self._unconfirmed: dict[str, Callable[[str | None], object]] = {}
        self._publishing: Callable[[str | None], object] | None = None
        self._replace(extension)
        if prefetch is not None:
            self._threads = ThreadPool(0, prefetch, "fedbadges-stomp")
            reactor.callWhenRunning(self._threads.start)
            reactor.addSystemEventTrigger("during", "shutdown", self._threads.stop)

    def call_in_thread(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call a function in one of the threads that handle messages."""
        self._threads.callInThread(function, *arguments)

    @contextlib.contextmanager
    def publishing(self, done: Callable[[str | None], object]) -> Iterator[None]:
        """Send what the hub sends meanwhile to the destination of notices.

        ``done`` is called with None once the broker has it, or with why it may not have it.
        """
        self._publishing = done
        try:
            yield
        finally:
            self._publishing = None

    def connected(self, protocol: "_Protocol") -> None:
        """Note that messages come from now on."""
        if self._protocol is not protocol:
            self._protocol, self.trouble, self._known = protocol, None, False
            log.info("Connected to the broker")

    def lost(self, reason: str) -> None:
        """Note that there is no connection; moksha tries to connect again."""
        self._protocol, self.trouble = None, f"no connection to the broker: {reason}"
        if not self._known and not self.stopping.is_set():
            log.warning("No connection to the broker, trying again", reason=reason)
        self._known = True
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for done in unconfirmed.values():
            done(self.trouble)

    def confirm(self, receipt: str) -> None:
        """Note that the broker has what was sent with this receipt."""
        if (done := self._unconfirmed.pop(receipt, None)) is not None:
            done(None)

    def _replace(self, extension: Any) -> None:
        """Take the place of what moksha does."""
        build, send = extension.buildProtocol, extension.send_message

        def build_protocol(address: Any) -> _Protocol:
            build(address)  # it resets the delay until the next try
            extension.proto = protocol = _Protocol(extension, self)
            return protocol

        def connect_again(connector: Any, reason: Any) -> None:
            extension.stop_heartbeat()
            if not self.stopping.is_set():
                extension.failover()

        def connection_failed(connector: Any, reason: Any) -> None:
            self.lost(reason.getErrorMessage())
            connect_again(connector, reason)

        def send_message(topic: Any, message: Any, **headers: Any) -> None:
            if self._publishing is None:
                send(topic, message, **headers)
            else:
                self._send(topic.decode(), message.decode(), self._publishing)

        extension.buildProtocol = build_protocol
        extension.clientConnectionLost = connect_again
        extension.clientConnectionFailed = connection_failed
        extension.send_message = send_message

    def _send(self, topic: str, text: str, done: Callable[[str | None], object]) -> None:
        if self._protocol is None:
            raise Unavailable(str(self.trouble))
        receipt = f"notice-{next(self._receipts)}"
        self._unconfirmed[receipt] = done
        self._protocol.send(self._destination.replace("{topic}", topic), text, receipt)


class _Protocol(StompProtocol):
    """Speaks STOMP for a hub on one connection."""

    def __init__(self, client: Any, broker: Broker) -> None:
        super().__init__(client, client.username, client.password)
        self._broker = broker
        self._subscribed = False
        self._lost = False
        self._error: str | None = None

    def subscribe(self, dest: str, **headers: Any) -> None:
        """Subscribe to a queue, and have that confirmed."""
        if self._broker.prefetch is not None:
            # Of RabbitMQ; others ignore it.
            headers["prefetch-count"] = self._broker.prefetch
        super().subscribe(dest, receipt=_SUBSCRIBED, **headers)

    def send(self, destination: str, text: str, receipt: str) -> None:
        """Send a message, which the broker keeps on its disk where its queue does."""
        headers = {
            "destination": destination,
            "content-type": "application/json",
            "persistent": "true",
            "receipt": receipt,
        }
        self._write("SEND", headers, text)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802  Twisted's name
        """Receive a part of the frames."""
        # A character for each byte, as the length of a frame is in bytes.
        self.buffer.appendData(data.decode("latin-1"))
        while (frame := self.buffer.getOneMessage()) is not None:
            decoded = {key: _decode(value) for key, value in frame["headers"].items()}
            self._receive({"cmd": frame["cmd"], "headers": decoded, "body": _decode(frame["body"])})

    def receipt(self, msg: Mapping[str, Any]) -> str:
        """Learn that the broker has done what it was asked for."""
        receipt = msg["headers"].get("receipt-id", "")
        if receipt == _SUBSCRIBED:
            self._subscribed = True
            self._broker.connected(self)
        else:
            self._broker.confirm(receipt)
        return ""

    def error(self, msg: Mapping[str, Any]) -> None:
        """Learn why the broker ends the connection.

        An error before the subscription is a mistake in the configuration, or in the broker's; one
        that comes later, such as the end of the broker, is over with the next connection.
        """
        words = f"{msg['headers'].get('message', '')}: {msg['body']}"
        self._error = " ".join(printable(words).split())[:_MAX_REASON]
        if not self._subscribed:
            self._broker.fail(self._error)
        self.transport.loseConnection()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802  Twisted's name
        """Forget what was not acknowledged: the broker delivers it again."""
        self._lost = True
        self._broker.lost(self._error or reason.getErrorMessage())

    def _receive(self, frame: dict[str, Any]) -> None:
        if frame["cmd"] != "MESSAGE":
            self.react(frame)
        elif has_too_many_values(frame["body"], frame["headers"].get("destination", "")):
            self._answer(frame, True)
        elif self._broker.prefetch is None:
            self._answer(frame, self.client.hub.consume_stomp_message(frame))
        else:
            self._broker.call_in_thread(self._handle, frame)

    def _handle(self, frame: dict[str, Any]) -> None:
        """Handle a message; called in a thread of its own."""
        try:
            handled = self.client.hub.consume_stomp_message(frame)
        except Exception as error:  # whatever the consumers of others raise
            log.error("A consumer failed", error=error)
            handled = False
        if handled is False and self._broker.requeue:
            self._broker.stopping.wait(_RETRY)
        reactor.callFromThread(self._answer, frame, handled)

    def _answer(self, frame: dict[str, Any], handled: object) -> None:
        """Acknowledge a message, or refuse it, unless it is delivered again anyway."""
        acknowledgement = self.ack(frame)
        if self._lost or not acknowledgement:
            return
        if handled is not False:
            self.transport.write(acknowledgement.encode())
            return
        if self._broker.stopping.is_set():
            return
        if asbool(self.client.hub.config.get("stomp_send_explicit_nacks", True)):
            headers = {name: frame["headers"][name] for name in ("message-id", "subscription")}
            # Of RabbitMQ; others do what their configuration says.
            self._write("NACK", headers | {"requeue": str(self._broker.requeue).lower()})

    def _write(self, command: str, headers: Mapping[str, str], body: str = "") -> None:
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        self.transport.write(f"{command}\n{lines}\n{body}\0\n".encode())


class StompPublisher(Publisher):
    """Publishes notices through the hub's broker, each until that has confirmed it."""

    def __init__(self, config: Mapping[str, Any], broker: Broker) -> None:
        # The hub sends in the reactor's thread.
        super().__init__(config, reactor.callFromThread)
        self._broker = broker

    def trouble(self, timeout: float = 0.0) -> str | None:
        """Return why nothing can be sent; None if it can, or is not known within ``timeout`` s."""
        return super().trouble(timeout) or self._broker.trouble

    def _send_now(self, context: FedMsgContext, notice: Notice, result: Result) -> None:
        def settle(error: str | None) -> None:
            if error is None:
                result(notice, None)
            else:
                self._fail(notice, result, error, error)

        def handed_over(notice: Notice, error: str | None) -> None:
            if error is not None:
                result(notice, error)

        with self._broker.publishing(settle):
            super()._send_now(context, notice, handed_over)


def find_extension(hub: Any) -> StompHubExtension | None:
    """Return the part of a hub that speaks STOMP, if there is one."""
    extensions = getattr(hub, "extensions", ())
    return next((each for each in extensions if isinstance(each, StompHubExtension)), None)


def _decode(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")
