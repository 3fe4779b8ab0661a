"""What the publishers of all buses have in common: one thread, and a queue of notices."""

import queue
import threading
import time
from abc import ABC, abstractmethod

from fedbadges.messages import Notice
from fedbadges.outbox.publisher import Result
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds between two tries to connect.
_RETRY = 10.0


class QueuedPublisher(ABC):
    """Publishes notices in their order, in a thread of its own.

    While nothing can be published, it tries again and again to connect.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Notice, Result] | None] = queue.SimpleQueue()
        #: How many notices were lost so far, as they could not be sent.
        self.unsent = 0
        self._trouble: str | None = None
        #: When to connect again, if that failed.
        self._retry_at: float | None = None
        self._settled = threading.Event()
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fedbadges-publisher", daemon=True)

    def start(self) -> None:
        """Start the thread, which connects."""
        self._thread.start()

    def trouble(self, timeout: float = 0.0) -> str | None:
        """Return why nothing can be sent; None if it can, or is not known within ``timeout`` s."""
        self._settled.wait(timeout)
        return self._trouble

    def wait_until_ready(self, timeout: float) -> bool:
        """Return True when what is sent is heard, or cannot be sent; False after so many s."""
        return self._ready.wait(timeout)

    def publish(self, notice: Notice, result: Result = lambda notice, error: None) -> None:
        """Queue a notice; returns at once. ``result`` is called in any thread."""
        self._queue.put((notice, result))

    def stop(self, timeout: float = 5.0) -> bool:
        """Send what is queued, for ``timeout`` seconds at most, and disconnect.

        Returns True if what was sent has left the process. What is kept in the outbox is not sent
        to those who have had no time to connect.
        """
        self._stopping.set()
        return self.finish(timeout)

    def finish(self, timeout: float = 15.0) -> bool:
        """Send what is queued once listeners have had time to connect; disconnect.

        Returns True if what was sent has left the process. Nothing can be published afterwards.
        """
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @abstractmethod
    def _connect(self) -> None:
        """Connect, and call ``_connected`` or ``_cannot_connect``."""

    @abstractmethod
    def _send(self, notice: Notice, result: Result) -> None:
        """Send a notice, and call ``result`` as soon as it is known what became of it."""

    @abstractmethod
    def _disconnect(self) -> None:
        """End the connection, if there is one."""

    def _connected(self) -> None:
        self._trouble = self._retry_at = None
        self._settled.set()

    def _cannot_connect(self, error: str | Exception) -> None:
        """Note why nothing can be sent for a while, and log that once."""
        if self._trouble is None:
            log.error("Cannot publish awards", error=error)
        self._trouble, self._retry_at = str(error), time.monotonic() + _RETRY
        self._settled.set()

    def _drop(self, notice: Notice, result: Result) -> None:
        """Give up a notice, as nothing can be sent; it is lost if nothing keeps it."""
        if notice.msg_id is None:
            self.unsent += 1
            log.info("Notice not published", topic=notice.topic, body=notice.body)
        result(notice, self._trouble)

    def _fail(self, notice: Notice, result: Result, error: str | Exception, reason: str) -> None:
        """Give up a notice that could not be sent; the award is committed nevertheless."""
        if notice.msg_id is None:
            self.unsent += 1
            log.error(
                "Could not publish a notice", topic=notice.topic, body=notice.body, error=error
            )
        result(notice, reason)

    def _work(self) -> None:
        self._connect_again()
        self._ready.set()
        while (queued := self._next()) is not None:
            self._send(*queued)
        self._disconnect()

    def _next(self) -> tuple[Notice, Result] | None:
        """Return what is queued next; connect again meanwhile, if that failed."""
        while self._retry_at is not None:
            try:
                return self._queue.get(timeout=max(0.0, self._retry_at - time.monotonic()))
            except queue.Empty:
                self._connect_again()
        return self._queue.get()

    def _connect_again(self) -> None:
        failed_before = self._trouble is not None
        self._connect()
        if failed_before and self._trouble is None:
            log.info("Publishing awards again")
