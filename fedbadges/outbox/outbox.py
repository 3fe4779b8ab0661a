"""Publishing notices at least once: each stays in the outbox until it has left this process."""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from fedbadges.errors import Unavailable
from fedbadges.messages import Notice
from fedbadges.outbox.publisher import Publisher
from fedbadges.tahrir.outbox_table import OutboxTable, Waiting
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error

log = get_logger(__name__)

#: Seconds between two looks at the outbox.
_INTERVAL = 3.0

#: Seconds after which what was sent has left the process: sending only hands it to another thread.
_FLUSHED = 2.0

#: Seconds between two renewals of the leases on notices that are still queued.
_RENEW = 5.0

#: Seconds after which what could not be sent is tried again.
_RETRY = 30.0

#: How many notices wait in this process before more are leased, and how many of others it publishes
#: at a look.
_MOST_QUEUED = 1000

#: Seconds that notices are kept which nobody can publish, and between two looks for those.
_KEPT = 7 * 86_400
_EXPIRE = 3600.0

#: Seconds to wait at most until the publisher knows whether it can publish.
_READY_TIMEOUT = 30.0


class Outbox:
    """Publishes notices, deletes those that were sent, and takes over what others left.

    Without the table this only publishes. ``publish`` may be called from any thread.
    """

    def __init__(self, publisher: Publisher, table: OutboxTable) -> None:
        self._publisher = publisher
        self._table = table
        self._lock = threading.Lock()
        # By their ids: those that wait to be sent, those that could not be, and since when others
        # are.
        self._queued: set[str] = set()
        self._failed: set[str] = set()
        self._sent: dict[str, float] = {}
        self._usable: bool | None = None
        self._waiting = Waiting()
        self._failure: str | None = None
        self._outage: str | None = None
        self._renewed = self._taken_over = self._expired = float("-inf")
        self._ready: Future[None] = Future()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fedbadges-outbox", daemon=True)

    @property
    def left(self) -> int:
        """Return how many notices of this process are left to others, as it could not send them."""
        return len(self._queued | self._failed)

    @property
    def lost(self) -> int:
        """Return how many notices were lost, as they could not be sent and nothing keeps them."""
        return self._publisher.unsent

    def start(self) -> None:
        """Start to publish."""
        self._publisher.start()
        self._thread.start()

    def when_ready(self, action: Callable[[], object]) -> None:
        """Call ``action`` in another thread as soon as notices are heard, or cannot be sent."""
        self._ready.add_done_callback(lambda done: action())

    def publish(self, notice: Notice) -> None:
        """Publish a notice, which has been committed to the outbox; returns at once."""
        if notice.msg_id is not None:
            with self._lock:
                self._queued.add(notice.msg_id)
        self._publisher.publish(notice, self._settle)

    def report(self) -> dict[str, Any]:
        """Return how many notices wait, since when, in seconds since 1970, and what is wrong.

        Notices are ``kept`` if there is a table; None until that is known.
        """
        return {
            "kept": self._usable,
            "waiting": self._waiting.count,
            "since": self._waiting.since,
            "trouble": self._outage or self._failure,
        }

    def stop(self, timeout: float = 5.0) -> None:
        """Publish what is queued, for ``timeout`` seconds at most, and leave the rest to others."""
        self._stopping.set()
        flushed = self._publisher.stop(timeout)
        self._join(timeout)
        self._leave(flushed)

    def finish(self, timeout: float) -> bool:
        """Publish what is queued and some of what others left, once it is heard, and stop.

        Return True if nothing was left or lost.
        """
        end = time.monotonic() + timeout
        self._stopping.set()
        self._join(timeout)
        with contextlib.suppress(Unavailable):
            if self._table.is_usable and self._publisher.trouble() is None:
                self._take_over()
        while not (flushed := self._publisher.finish(_INTERVAL)) and time.monotonic() < end:
            with contextlib.suppress(Unavailable):
                self._delete(time.monotonic() - _FLUSHED)
                self._renew()
        self._leave(flushed)
        return flushed and not self.left and not self.lost

    def _join(self, timeout: float) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _work(self) -> None:
        self._publisher.wait_until_ready(_READY_TIMEOUT)
        if self._stopping.is_set():
            return
        self._ready.set_result(None)
        while not self._stopping.is_set() and self._usable is not False:
            self._look()
            self._stopping.wait(_INTERVAL)

    def _look(self) -> None:
        """Do everything that is due; the next look does what could not be done."""
        try:
            self._usable = self._table.is_usable
            if self._usable:
                self._maintain()
        except Exception as error:  # whatever it is, nothing is lost by it
            reason = str(error) if isinstance(error, Unavailable) else describe_error(error)
            if self._outage is None:
                log.warning("Cannot use the outbox, trying again later", error=reason)
            self._outage = reason
            return
        if self._outage is not None:
            log.info("The outbox is used again")
        self._outage = None

    def _maintain(self) -> None:
        self._delete(time.monotonic() - _FLUSHED)
        self._release_failed()
        self._renew()
        self._waiting = self._table.waiting()
        if self._waiting.free and self._may_take_over():
            self._take_over()
        if self._cannot_publish() and time.monotonic() - self._expired > _EXPIRE:
            self._expired = time.monotonic()
            expired = self._table.expire(_KEPT)
            if expired:
                log.warning("Notices could not be published for days, giving up", count=expired)

    def _cannot_publish(self) -> bool:
        return self._publisher.trouble() is not None or self._failure is not None

    def _may_take_over(self) -> bool:
        if self._publisher.trouble() is not None:
            return False
        return self._failure is None or time.monotonic() - self._taken_over > _RETRY

    def _take_over(self) -> None:
        """Publish the oldest notices on which nobody has a lease, in their order."""
        self._taken_over = time.monotonic()
        taken = 0
        while max(taken, len(self._queued)) < _MOST_QUEUED:
            leased = self._table.lease()
            with self._lock:
                # Of one that is here, the lease expired during an outage.
                known = self._queued | self._sent.keys()
            left = [notice for notice in leased if notice.msg_id not in known]
            if left:
                log.info("Publishing notices that were left in the outbox", count=len(left))
            for notice in left:
                self.publish(notice)
            taken += len(left)
            if not left or self._failure is not None:
                return

    def _renew(self) -> None:
        if time.monotonic() - self._renewed < _RENEW:
            return
        self._renewed = time.monotonic()
        with self._lock:
            queued = list(self._queued)
        self._table.renew(queued)

    def _release_failed(self) -> None:
        """End the leases on what this process could not send; others may have no trouble."""
        with self._lock:
            failed = list(self._failed)
        self._table.release(failed)
        with self._lock:
            self._failed.difference_update(failed)

    def _delete(self, until: float) -> None:
        """Delete the notices that were sent until then, in seconds of ``time.monotonic``."""
        with self._lock:
            sent = [msg_id for msg_id, moment in self._sent.items() if moment <= until]
        self._table.delete(sent)
        with self._lock:
            for msg_id in sent:
                self._sent.pop(msg_id, None)

    def _leave(self, flushed: bool) -> None:
        """Delete what was sent, and end the leases on all else; others publish it."""
        try:
            self._delete(time.monotonic() - (0.0 if flushed else _FLUSHED))
            self._table.release(self._queued | self._failed)
        except Exception as error:  # the leases end by themselves
            log.debug("Leaving notices in the outbox", error=error)

    def _settle(self, notice: Notice, error: str | None) -> None:
        """Note what became of a notice; called in the publisher's thread, or the reactor's."""
        if notice.msg_id is None:
            return
        with self._lock:
            self._queued.discard(notice.msg_id)
            if error is None:
                self._failed.discard(notice.msg_id)
                self._sent[notice.msg_id] = time.monotonic()
            else:
                self._failed.add(notice.msg_id)
        if self._stopping.is_set() or self._publisher.trouble() is not None:
            return  # nothing new to say
        before, self._failure = self._failure, error
        if error is not None and before is None:
            log.error("Cannot publish notices, keeping them in the outbox", error=error)
        elif error is None and before is not None:
            log.info("Notices are published again")
