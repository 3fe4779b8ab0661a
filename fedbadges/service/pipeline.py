"""The way of a message, from whoever delivers it to its awards, a step a function.

Most messages end in the second step: they trigger no rule. The others are batched, and go through
the rest together. Where a step fails for a batch it is tried for each message alone, so that a
message that fails takes no other with it.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, TypeVar

from fedbadges.engine.engine import BadgeEngine, Triggered
from fedbadges.errors import CannotStart, NotStored, Stopped
from fedbadges.history.history import Recorder
from fedbadges.messages import Message, Position
from fedbadges.retry import OutageRetry, retry_failures
from fedbadges.rules.criteria import only_grows
from fedbadges.service.delay_queue import DelayQueue
from fedbadges.service.deliveries import Delivery
from fedbadges.service.lifecycle import Lifecycle
from fedbadges.util import instruments
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

#: How many messages are in a batch at most.
MAX_BATCH = 50


class Batcher(Generic[T]):
    """Collects messages that come fast in a batch, for fewer questions for each; thread-safe.

    ``backlog`` returns how many messages come right after this one.
    """

    def __init__(self, backlog: Callable[[], int]) -> None:
        self._backlog = backlog
        self._lock = threading.Lock()
        self._batch: list[T] = []

    def add(self, item: T | None) -> list[T]:
        """Add an item, or None for a message without one; return the batch if it is complete."""
        with self._lock:
            if item is not None:
                self._batch.append(item)
        # Only now: the thread that handles the last message of the backlog finds this one here.
        return self.flush(MAX_BATCH if self._backlog() else 1)

    def flush(self, least: int = 1) -> list[T]:
        """Return the batch if it has at least so many items."""
        with self._lock:
            if len(self._batch) < least:
                return []
            batch, self._batch = self._batch, []
            return batch


@dataclass(eq=False)
class Job:
    """A message that triggered rules, on its way."""

    delivery: Delivery
    triggered: Triggered
    #: Where datanommer has the message, if that is known.
    position: Position | None = None
    candidates: Triggered | None = None
    #: Whether datanommer has the message, or its criteria do not ask.
    stored: bool = True

    def as_of_message(self) -> Triggered | None:
        """Return the candidates, to be judged as of the message.

        While it is not stored, only those rules are judged for which no past message can be too
        many; the others are once it is.
        """
        if self.candidates is None or self.position is not None:
            return self.candidates and replace(self.candidates, position=self.position)
        people = tuple(
            (rule, names) for rule, names in self.candidates.people if only_grows(rule.criteria)
        )
        return replace(self.candidates, people=people, position=self.delivery.message.position)


@dataclass(eq=False)
class Pipeline:
    """Handles messages; its methods are called from several threads, and raise nothing.

    ``recorder`` stores messages where nobody else does. ``on_judged`` is called with the candidates
    of each message that was judged.
    """

    engine: BadgeEngine
    recorder: Recorder | None
    batcher: Batcher[Job]
    delay_queue: DelayQueue
    outages: OutageRetry
    lifecycle: Lifecycle
    on_judged: Callable[[Triggered], object] = field(default_factory=lambda: _ignore, init=False)

    def receive(self, delivery: Delivery) -> None:
        """Handle a message as far as possible now; it may wait for its batch or for datanommer."""
        self._handle(self.batcher.add(self._begin(delivery)))

    def receive_all(self, deliveries: Iterable[Delivery]) -> None:
        """Handle messages that come together."""
        jobs = [job for delivery in deliveries if (job := self._begin(delivery)) is not None]
        for start in range(0, len(jobs), MAX_BATCH):
            self._handle(jobs[start : start + MAX_BATCH])

    def flush(self) -> None:
        """Handle the current batch, as no message comes to complete it."""
        self._handle(self.batcher.flush())

    def _begin(self, delivery: Delivery) -> Job | None:
        """Run the steps that each message goes through alone; return None if it ends there."""
        try:
            started = self.lifecycle.wait_until_started()
            position = self._store(delivery)
            if not started or (self.lifecycle.is_draining and delivery.recoverable):
                raise Stopped
            return self._match(delivery, position)
        except Exception as error:  # whatever it is, it must not cost the next message
            _end(delivery, error)
            return None

    def _handle(self, batch: Sequence[Job]) -> None:
        """Run the steps that messages go through in batches."""
        if not batch:
            return
        instruments.BATCH_SIZE.observe(len(batch))
        batch = self._run(self._find_candidates, batch)
        batch = self._run(self._look_up_stored, batch)
        batch = self._delay_unstored(batch)
        self._run(self._decide, batch)

    # The steps, in their order.

    def _store(self, delivery: Delivery) -> Position | None:
        """Store the message in datanommer, where that is the daemon's job; return its position."""
        if self.recorder is None or delivery.position is not None:
            return delivery.position
        try:
            return self.recorder.record(delivery.message)
        except Stopped as stopped:
            if delivery.redelivered or not delivery.recoverable:
                raise
            raise NotStored("it could not be stored before the daemon stopped") from stopped

    def _match(self, delivery: Delivery, position: Position | None) -> Job | None:
        """Evaluate the triggers; most messages are done here."""
        triggered = self.outages.call(lambda: self.engine.match(delivery.message))
        if triggered is None:
            delivery.done()
            return None
        instruments.MATCHED.inc()
        return Job(delivery, triggered, position)

    def _find_candidates(self, batch: Sequence[Job]) -> None:
        """Ask tahrir once who could get a badge; messages without candidates are done."""
        found = self.engine.find_candidates([job.triggered for job in batch])
        for job, candidates in zip(batch, found, strict=True):
            job.candidates = candidates
            if candidates is None:
                job.delivery.done()

    def _look_up_stored(self, batch: Sequence[Job]) -> None:
        """Ask datanommer once where it has the messages, where criteria ask for the history."""
        if self.recorder is not None:
            return
        awaited = [
            job
            for job in batch
            if job.position is None and job.candidates is not None and job.candidates.needs_history
            if job.delivery.message.msg_id is not None
        ]
        found = self.delay_queue.positions(job.delivery.message for job in awaited)
        for job in awaited:
            job.position = found.get(job.delivery.message)
            job.stored = job.position is not None

    def _delay_unstored(self, batch: Sequence[Job]) -> list[Job]:
        """Delay the messages that datanommer does not have yet; return the others."""
        for job in batch:
            if not job.stored:
                self.delay_queue.add(job.delivery.message, partial(self._resume, job))
        return [job for job in batch if job.stored]

    def _resume(self, job: Job, position: Position | None) -> None:
        """Go on with a message that was delayed; called by the delay queue."""
        job.position, job.stored = position, position is not None
        if self.lifecycle.is_draining and job.delivery.recoverable:
            # There may be thousands.
            job.delivery.release()
            return
        if self.lifecycle.is_draining and not job.stored:
            msg_id = job.delivery.message.msg_id
            log.warning("Not waiting for datanommer at the stop", msg_id=msg_id)
        self._run(self._decide, [job])

    def _decide(self, batch: Sequence[Job]) -> None:
        """Judge the criteria, look up accounts, award and announce; then the messages are done."""
        judged = [each for job in batch if (each := job.as_of_message()) is not None]
        refused: dict[Message, Exception] = {}
        for together in _judged_together(judged):
            shared = self.engine.plan(together)
            earned = [each for one in together for each in self.engine.judge(one, shared)]
            refused |= self.engine.award(earned)[1]
        for one in judged:
            self.on_judged(one)
        for job in batch:
            if job.delivery.message not in refused:
                job.delivery.done(stored=job.stored)
        for error in refused.values():
            raise error

    # Retrying and failing, for every step.

    def _run(self, step: Callable[[Sequence[Job]], None], batch: Sequence[Job]) -> Sequence[Job]:
        """Run a step, through outages; return the jobs that go on.

        A batch that fails is split into its jobs. One that fails alone is tried three times.
        """
        if not batch:
            return batch
        attempt = partial(self.outages.call, lambda: step(_unsettled(batch)))
        try:
            if len(batch) == 1:
                retry_failures(attempt)
            else:
                attempt()
        except Exception as error:  # whatever it is, it must not cost other messages
            for job in _unsettled(batch):
                if len(batch) == 1 or isinstance(error, Stopped):
                    _end(job.delivery, error)
                else:
                    self._run(step, [job])
        return _unsettled(batch)


def _ignore(judged: Triggered) -> None:
    """Do nothing with who was judged."""


def _judged_together(judged: Sequence[Triggered]) -> Sequence[Sequence[Triggered]]:
    """Return the parts of a batch that can be judged before the awards of each.

    What asks for the badges that somebody holds must see those of the messages before.
    """
    if any(rule.asks_for_badges for each in judged for rule, _ in each.people):
        in_order = sorted(judged, key=lambda each: each.known_position)
        return [[each] for each in in_order]
    return [judged]


def _unsettled(batch: Sequence[Job]) -> list[Job]:
    return [job for job in batch if not job.delivery.settled]


def _end(delivery: Delivery, error: Exception) -> None:
    """Release a message that the daemon had no chance to handle; any other has failed."""
    if isinstance(error, (Stopped, CannotStart)):
        delivery.release()
    else:
        delivery.failed(error)
