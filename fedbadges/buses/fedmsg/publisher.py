"""Publishing on fedmsg: from one thread, with one endpoint."""

import copy
import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from typing import Any

import fedmsg.core
import zmq

from fedbadges.messages import Notice
from fedbadges.signatures.signing import MODNAME, sender_of, signer_of
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds that ZeroMQ has to send what is left when the daemon stops.
_LINGER = 1.0


class _Context(fedmsg.core.FedMsgContext):
    """fedmsg's sockets, which are closed if it cannot use them."""

    def __init__(self, **config: Any) -> None:
        try:
            super().__init__(**config)
        except Exception:
            # Whatever thread collected them would hang.
            self.destroy()
            raise


class Publisher:
    """Publishes notices in their order.

    ZeroMQ drops what is sent while nobody listens. So the endpoint is bound at the start, and
    nothing is sent before those who were trying to connect have had the time to.

    ``run`` calls a function in the thread that may publish: on a bus other than ZeroMQ, fedmsg
    sends through the hub, in the reactor's thread.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        run: Callable[[Callable[[], None]], object] = lambda function: function(),
    ) -> None:
        self._config = copy.deepcopy(dict(config))
        self._config["name"] = sender_of(self._config)
        self._sign = signer_of(self._config)
        if self._sign is not None:
            # fedmsg's own signing fails, and then it sends nothing.
            self._config["sign_messages"] = False
        self._run = run
        self._queue: queue.SimpleQueue[Notice | None] = queue.SimpleQueue()
        # Handed to another thread, which may end before it sends them.
        self._handed: list[Notice] = []
        #: How many notices could not be sent so far.
        self.unsent = 0
        self._settled: Future[str | None] = Future()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fedbadges-publisher", daemon=True)

    def start(self) -> None:
        """Start the thread, which binds the endpoint."""
        self._thread.start()

    def trouble(self, timeout: float = 0.0) -> str | None:
        """Return why nothing can be sent; None if it can, or is not known within ``timeout`` s."""
        wait([self._settled], timeout)
        return self._settled.result() if self._settled.done() else None

    def publish(self, notice: Notice) -> None:
        """Queue a notice; returns at once."""
        self._queue.put(notice)

    def stop(self, timeout: float = 5.0) -> None:
        """Send what is queued, for ``timeout`` seconds at most, and release the endpoint."""
        self._stopping.set()
        self.finish(timeout)
        for notice in list(self._handed):
            log.warning("Stopping before a notice was sent", topic=notice.topic, body=notice.body)

    def finish(self, timeout: float = 15.0) -> bool:
        """Send what is queued once listeners have had time to connect; release the endpoint.

        Returns True if all of it was sent. Nothing can be published afterwards.
        """
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not (self.unsent or self._handed or self._thread.is_alive())

    def _work(self) -> None:
        context = self._connect()
        self._stopping.wait(self._grace())
        while (notice := self._queue.get()) is not None:
            self._send(context, notice)
        if context is None:
            return
        if getattr(context, "publisher", None):
            context.publisher.setsockopt(zmq.LINGER, int(_LINGER * 1000))
        context.destroy()

    def _connect(self) -> _Context | None:
        context = trouble = None
        try:
            context = _Context(**self._config)
        except Exception as error:  # whatever fedmsg makes of its configuration
            log.error("Cannot publish awards", error=error)
            trouble = str(error)
        else:
            if self._config.get("zmq_enabled", True) and not getattr(context, "publisher", None):
                trouble = f"'endpoints' has no '{self._config['name']}'"
                log.warning("Not publishing awards", reason=trouble)
                context.destroy()
                context = None
        self._settled.set_result(trouble)
        return context

    def _grace(self) -> float:
        """Return the seconds in which a listener that keeps trying will have connected."""
        if not self._config.get("zmq_enabled", True):
            return 0.0
        longest = self._config.get("zmq_reconnect_ivl_max")
        # fedmsg takes anything for it.
        return 0.2 + (longest if isinstance(longest, (int, float)) and longest else 1000) / 1000

    def _send(self, context: _Context | None, notice: Notice) -> None:
        if context is None:
            self.unsent += 1
            log.info("Notice not published", topic=notice.topic, body=notice.body)
            return

        def send() -> None:
            self._handed.remove(notice)
            try:
                context.publish(
                    topic=notice.topic, msg=notice.body, modname=MODNAME, pre_fire_hook=self._sign
                )
            except Exception as error:  # the award is committed; it stays, published or not
                self.unsent += 1
                log.error(
                    "Could not publish a notice", topic=notice.topic, body=notice.body, error=error
                )

        self._handed.append(notice)
        self._run(send)
