"""Reports for ``fedbadges status``, in the way in which the monitoring of fedmsg's hub has them."""

import json
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq

from fedbadges.config.settings import MONITORING_MODE, MONITORING_SOCKET
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds between two reports.
_PERIOD = 5.0

#: Seconds to wait for the end of the thread at a stop: a report takes up to a second.
_STOP_TIMEOUT = 1.0

_CONSUMER = {"module": "fedbadges.fedora_messaging", "name": "BadgesConsumer"}


class Monitor:
    """Publishes what ``report`` returns in a thread of its own, if a socket is configured."""

    def __init__(self, config: Mapping[str, Any], report: Callable[[], Mapping[str, Any]]) -> None:
        self._address = str(config.get(MONITORING_SOCKET) or "")
        self._mode = config.get(MONITORING_MODE)
        self._report = report
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._publish, name="fedbadges-monitoring", daemon=True
        )

    def start(self) -> None:
        """Start the thread."""
        if self._address:
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT)

    def _publish(self) -> None:
        with zmq.Context() as context, context.socket(zmq.PUB) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            try:
                socket.bind(self._address)
                if self._mode and self._address.startswith("ipc://"):
                    Path(self._address.removeprefix("ipc://")).chmod(int(str(self._mode), 8))
            except (zmq.ZMQError, OSError, ValueError) as error:
                log.error("Cannot open the monitoring socket", address=self._address, error=error)
                return
            while not self._stopping.wait(_PERIOD):
                consumer = {**_CONSUMER, "fedbadges": self._report()}
                socket.send_string(json.dumps({"consumers": [consumer], "producers": []}))
