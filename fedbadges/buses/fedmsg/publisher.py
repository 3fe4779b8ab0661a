"""Publishing on fedmsg: from one thread, with one endpoint."""

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import fedmsg.core
import zmq

from fedbadges.buses.queued_publisher import QueuedPublisher
from fedbadges.messages import Notice
from fedbadges.outbox.publisher import Result
from fedbadges.signatures.signing import MODNAME, sender_of, signer_of
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error

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


class Publisher(QueuedPublisher):
    """Publishes notices on fedmsg.

    ZeroMQ drops what is sent while nobody listens. So the endpoint is bound at the start, and
    nothing is sent before those who were trying to connect have had the time to. If no endpoint is
    free, this is tried again and again.

    ``run`` calls a function in the thread that may publish: on a bus other than ZeroMQ, fedmsg
    sends through the hub, in the reactor's thread.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        run: Callable[[Callable[[], None]], object] = lambda function: function(),
    ) -> None:
        super().__init__()
        self._config = copy.deepcopy(dict(config))
        self._config["name"] = sender_of(self._config)
        self._sign = signer_of(self._config)
        if self._sign is not None:
            # fedmsg's own signing fails, and then it sends nothing.
            self._config["sign_messages"] = False
        self._run = run
        # Handed to another thread, which may end before it sends them.
        self._handed: list[Notice] = []
        self._context: _Context | None = None
        #: Whether those who try to connect have had the time to.
        self._heard = False

    def stop(self, timeout: float = 5.0) -> bool:
        """Send what is queued, for ``timeout`` seconds at most, and release the endpoint.

        Returns True if what was sent has left the process. What is kept in the outbox is not sent
        to those who have had no time to connect.
        """
        super().stop(timeout)
        for notice in list(self._handed):
            if notice.msg_id is None:
                log.warning(
                    "Stopping before a notice was sent", topic=notice.topic, body=notice.body
                )
        return not self._thread.is_alive()

    def _disconnect(self) -> None:
        if self._context is None:
            return
        if getattr(self._context, "publisher", None):
            self._context.publisher.setsockopt(zmq.LINGER, int(_LINGER * 1000))
        self._context.destroy()

    def _connect(self) -> None:
        """Bind an endpoint, and give those who keep trying the time to connect to it."""
        try:
            context = _Context(**copy.deepcopy(self._config))
        except Exception as error:  # whatever fedmsg makes of its configuration
            self._cannot_connect(error)
            return
        if self._config.get("zmq_enabled", True) and not getattr(context, "publisher", None):
            self._retry_at = None
            self._trouble = f"'endpoints' has no '{self._config['name']}'"
            log.warning("Not publishing awards", reason=self._trouble)
            context.destroy()
            self._settled.set()
            return
        self._context = context
        self._connected()
        grace = self._grace()
        self._heard = not self._stopping.wait(grace) or not grace

    def _grace(self) -> float:
        """Return the seconds in which a listener that keeps trying will have connected."""
        if not self._config.get("zmq_enabled", True):
            return 0.0
        longest = self._config.get("zmq_reconnect_ivl_max")
        # fedmsg takes anything for it.
        return 0.2 + (longest if isinstance(longest, (int, float)) and longest else 1000) / 1000

    def _send(self, notice: Notice, result: Result) -> None:
        if self._context is None:
            self._drop(notice, result)
        elif notice.msg_id is not None and not self._heard:
            result(notice, "stopping before listeners had time to connect")
        else:
            self._handed.append(notice)
            self._run(partial(self._send_now, self._context, notice, result))

    def _send_now(self, context: _Context, notice: Notice, result: Result) -> None:
        def complete(message: dict[str, Any]) -> None:
            if notice.msg_id is not None:
                message |= {"msg_id": notice.msg_id, "timestamp": notice.timestamp}
            if self._sign is not None:
                self._sign(message)

        self._handed.remove(notice)
        try:
            context.publish(
                topic=notice.topic, msg=notice.body, modname=MODNAME, pre_fire_hook=complete
            )
        except Exception as error:  # whatever fedmsg makes of it
            self._fail(notice, result, error, describe_error(error))
        else:
            result(notice, None)
