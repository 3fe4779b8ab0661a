"""Catch-up: handling what datanommer has stored and the bus did not deliver.

A bus without acknowledgement loses what is sent while nobody listens, and more. datanommer does
not. So at the start, and then every few seconds, what it has stored is compared with what was
delivered: no message is lost that datanommer has.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from fedbadges.errors import Stopped
from fedbadges.history.message_reader import StoredMessage
from fedbadges.retry import OutageRetry
from fedbadges.service.catch_up_reader import Batch, CatchUpReader
from fedbadges.service.progress import Progress
from fedbadges.service.state.checkpoint import Checkpoint
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error, error_kind, format_time
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: Seconds for which a sweep waits at most while messages wait in memory.
_MAX_BACKLOG_WAIT = 600.0


class CatchUp:
    """Passes on what was not delivered, in a thread of its own, and moves the checkpoint on.

    ``handle`` is given the messages, and returns when they are done or in flight. ``interval`` is
    the time between two sweeps in seconds. ``backlog`` returns how many delivered messages wait in
    memory: a sweep waits for these, as it would handle them a second time.
    """

    def __init__(
        self,
        reader: CatchUpReader,
        checkpoint: Checkpoint,
        handle: Callable[[Sequence[StoredMessage]], None],
        retry: OutageRetry,
        *,
        interval: float,
        backlog: Callable[[], int],
    ) -> None:
        self._reader = reader
        #: Whether everything is handled that was not delivered.
        self.is_whole = reader.is_whole
        self._checkpoint = checkpoint
        self._handle = handle
        self._retry = retry
        self._interval = interval
        self._backlog = backlog
        self._wake = threading.Event()
        self._stopping = False
        self._failures = Throttle()
        self._progress: _Progress | None = None
        #: Whether the pass from the checkpoint has come to its end.
        self.is_done = False
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._run, name="fedbadges-catchup", daemon=True)

    def report(self) -> dict[str, Any]:
        """Return how far it has got, as plain values.

        Everything sent up to ``until``, in seconds since 1970, is done; None before that is known.
        While the pass from the checkpoint is ``running``, ``done`` messages of ``count`` are read.
        ``trouble`` is why the last try failed, if it did. Where a broker delivers what was not
        handled, it is not ``whole`` and has no ``until``.
        """
        progress = self._progress
        none = {"done": 0, "count": 0, "seconds_left": None}
        return {
            "whole": self.is_whole,
            "until": self._checkpoint.until,
            "running": progress is not None,
            **(none if progress is None else progress.report()),
            "trouble": self._trouble,
        }

    def start(self) -> None:
        """Start the thread; the databases must have answered before."""
        self._thread.start()

    def wake(self) -> None:
        """Sweep as soon as possible, as a message was shed."""
        self._wake.set()

    def request_stop(self) -> None:
        """End the thread as soon as the current batch is handled, without waiting for that."""
        self._stopping = True
        self._wake.set()

    def stop(self) -> None:
        """Wait until the thread has ended, and write the checkpoint."""
        self.request_stop()
        if self._thread.is_alive():
            self._thread.join()
        self._checkpoint.write(now=True)

    def catch_up(self) -> None:
        """Handle what was sent since the checkpoint, the oldest first, while new messages come.

        Where a broker delivers what was sent meanwhile, there is no checkpoint.
        """
        if not self.is_whole:
            self._reader.begin(time.time())
            return
        start = self._checkpoint.read_from(self._reader.last_sent())
        if self._reader.has_gone_back(self._checkpoint.number):
            log.warning("The history has gone back in time, reading it again from the checkpoint")
            self._checkpoint.number = None
            self._reader.forget()
        oldest = start if self._checkpoint.is_limited else -math.inf
        count = self._reader.begin(start, self._checkpoint.number, oldest)
        log.info("Catching up", since=format_time(start), count=count)
        progress = self._progress = _Progress(count)
        self._checkpoint.start()
        if self._checkpoint.number is None:
            # Of what is stored by now, nobody is to handle what was sent before the start, and by
            # the checkpoint's time the next process finds the rest.
            self._checkpoint.passed(self._reader.last_old_row)
            self._checkpoint.write(now=True)
        try:
            for batch in self._reader.sent_since_start():
                if self._stopping:
                    return
                self._handle(batch.missing)
                progress.add(batch)
                self._checkpoint.reached(max(row.sent for row in batch.rows))
            for batch in self._reader.stored_since_last_sweep():
                if self._stopping:
                    return
                self._handle(batch.missing)
                progress.add_late(batch)
                self._checkpoint.passed(self._reader.number)
        finally:
            self._progress = None
        self._checkpoint.passed(self._reader.number)
        self._checkpoint.write(now=True)
        log.info("Caught up", count=progress.done, new=progress.new)

    def sweep(self) -> None:
        """Handle what was stored since the last sweeps and not delivered."""
        if self._reader.has_gone_back():
            self.catch_up()
            return
        began = time.time()
        new, unfinished = 0, False
        for batch in self._reader.stored_since_last_sweep():
            if self._stopping:
                return
            self._handle(batch.missing)
            new += batch.new
            # What was handled just now may be released, as the daemon stops.
            unfinished = unfinished or bool(batch.in_flight or batch.missing)
        self._checkpoint.swept(began, in_flight=unfinished, number=self._reader.number)
        if new:
            log.info("Handled messages that the bus did not deliver", count=new)

    def _run(self) -> None:
        step = self.catch_up
        while not self._stopping:
            try:
                self._retry.call(step)
                step = self.sweep
                self.is_done = True
                self._trouble = None
            except Stopped:
                return
            except Exception as error:  # whatever it is, it may be over the next time
                self._trouble = describe_error(error)
                if self._failures.allows(error_kind(error)):
                    log.error("Cannot catch up, trying again later", error=error)
            self._wait()

    def _wait(self) -> None:
        self._wake.wait(self._interval)
        self._wake.clear()
        end = time.monotonic() + _MAX_BACKLOG_WAIT
        while self._backlog() and time.monotonic() < end and not self._stopping:
            time.sleep(min(0.2, self._interval))


class _Progress(Progress):
    """The progress of the pass from the checkpoint."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.new = 0

    def add(self, batch: Batch) -> None:
        self.done += len(batch.rows)
        self.new += batch.new
        self._log()

    def add_late(self, batch: Batch) -> None:
        """Add what was sent before the checkpoint, and stored after it was written."""
        self.count += batch.new
        self.done += batch.new
        self.new += batch.new
        self._log()

    def _log(self) -> None:
        fields = self.to_log()
        if fields is not None:
            log.info("Still catching up", **fields)
