"""Catching up: handling what datanommer has stored and the bus did not bring.

The bus forgets what is sent while nobody listens, and more. datanommer does not; so every now and
then, and at the start from where the last process got to, what it has stored is compared with what
came. Nothing is lost as long as datanommer has it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from fedbadges.errors import Stopped
from fedbadges.history.message_reader import MessageHeader, MessageReader, StoredMessage
from fedbadges.retry import OutageRetry
from fedbadges.service.checkpoint import Checkpoint
from fedbadges.service.in_flight import InFlight, Seen
from fedbadges.signatures.retrying_verifier import RetryingVerifier
from fedbadges.util.caching import BoundedDict
from fedbadges.util.text import describe_error, error_kind, format_time
from fedbadges.util.throttle import Throttle

log = logging.getLogger(__name__)

#: How many messages are looked at at once; how many are read at once, and how large these are
#: together at most, in bytes of JSON, where it is more than one.
_PORTION = 500
_BODIES = 100
_MOST_BYTES = 8_000_000

#: How many messages are remembered that were passed over; looking at one again changes nothing.
_MOST_PASSED_OVER = 100_000

#: Seconds within which whoever stores a message commits it. Messages are numbered before they are
#: committed, so what has a lower number than another may still come later.
_IN_FLIGHT = 60.0
_NUMBERS_IN_FLIGHT = 1000

#: Seconds that a clock may be set back without making the checkpoint a wrong one.
_FAST = 60.0

#: Seconds between two lines on how far it got.
_REPORT = 10.0

#: Seconds after which it is not put off any more for the messages that wait in memory.
_LONGEST = 600.0


@dataclass(frozen=True)
class CatchUpStatus:
    """How far catching up has got.

    Everything sent up to ``until``, in seconds since 1970, is done; None before that is known.
    While it is ``running``, ``done`` messages of ``count`` are looked at. ``trouble`` is why the
    last look failed, if so.
    """

    until: float | None
    running: bool
    done: int
    count: int
    seconds_left: float | None
    trouble: str | None


class CatchUp:
    """Reads what datanommer has stored since the checkpoint, in a thread of its own.

    ``handle`` is given messages that did not come, and returns when they are done; ``gate`` finds
    out who signed them, unless that does not matter. ``interval`` is the time between two looks,
    ``distance`` how late datanommer may store a message, ``limit`` how far back to go at most, all
    in seconds. ``backlog`` tells how many messages wait in memory: what is there is not missing.
    """

    def __init__(
        self,
        archive: MessageReader,
        handle: Callable[[Sequence[StoredMessage]], None],
        gate: RetryingVerifier | None,
        ledger: InFlight,
        checkpoint: Checkpoint,
        patience: OutageRetry,
        *,
        interval: float,
        distance: float,
        limit: float,
        backlog: Callable[[], int],
    ) -> None:
        self._archive = archive
        self._handle = handle
        self._gate = gate
        # By their numbers: anybody can give a message the id of another.
        self._passed_over: BoundedDict[int, None] = BoundedDict(_MOST_PASSED_OVER)
        self._ledger = ledger
        self._checkpoint = checkpoint
        self._patience = patience
        self._interval = interval
        self._distance = distance
        self._limit = limit
        self._backlog = backlog
        self._wake = threading.Event()
        self._stopping = False
        self._failures = Throttle()
        self._thread = threading.Thread(target=self._work, name="fedbadges-catchup", daemon=True)
        self._marks = _Marks()
        self._progress: _Progress | None = None
        self._trouble: str | None = None
        self._begun = False
        # Up to when everything is done, or in hand.
        self._until = time.time()
        # What had no higher number at the start, and was sent earlier, is no business of ours.
        self._earliest, self._before = self._until, 0

    @property
    def position(self) -> CatchUpStatus:
        """How far it got."""
        progress = self._progress
        return CatchUpStatus(
            until=self._done_until() if self._begun else None,
            running=progress is not None,
            done=progress.done if progress else 0,
            count=progress.count if progress else 0,
            seconds_left=progress.left(time.monotonic()) if progress and progress.done else None,
            trouble=self._trouble,
        )

    def prepare(self) -> None:
        """Note from when on messages are owed, where nothing is known of that yet."""
        if not self._checkpoint.exists():
            self._checkpoint.write(self._until, now=True)

    def start(self) -> None:
        """Begin, once the databases have answered."""
        self._thread.start()

    def hurry(self) -> None:
        """Have it end as soon as what it has in hand is done."""
        self._stopping = True
        self._wake.set()

    def stop(self) -> None:
        """Return when it has ended, and the checkpoint is written."""
        self.hurry()
        if self._thread.is_alive():
            self._thread.join()
        self.leave()

    def leave(self) -> None:
        """Write the checkpoint, where it has begun, without waiting for anything."""
        if self._begun:
            self._note(now=True)

    def soon(self) -> None:
        """Look as soon as possible: something is known to be missing."""
        self._wake.set()

    def _work(self) -> None:
        step = self._begin
        while not self._stopping:
            try:
                self._patience.call(step)
                step = self._sweep
                self._trouble = None
            except Stopped:
                return
            except Exception as error:  # whatever it is, next time it may be over
                self._trouble = describe_error(error)
                if self._failures.allows(error_kind(error)):
                    log.error("Cannot catch up, and will try again: %s", describe_error(error))
            self._wait()

    def _wait(self) -> None:
        self._wake.wait(self._interval)
        self._wake.clear()
        # What waits in memory is not missing, and to handle it twice would take time from it.
        end = time.monotonic() + _LONGEST
        while self._backlog() and time.monotonic() < end and not self._stopping:
            time.sleep(min(0.2, self._interval))

    def _begin(self) -> None:
        """Handle what came since the checkpoint, the oldest first, while new messages come."""
        start = self._start()
        self._earliest = start
        self._before = self._archive.last_number()
        self._marks = _Marks()
        self._marks.add(self._before - _NUMBERS_IN_FLIGHT)
        count = self._archive.count_since(start)
        log.info("Catching up: datanommer has %d messages since %s", count, format_time(start))
        progress = self._progress = _Progress(count)
        self._begun = True
        try:
            self._go_through(start, progress)
        finally:
            self._progress = None

    def _go_through(self, start: float, progress: _Progress) -> None:
        for rows in self._since(start):
            if self._stopping:
                return
            new, _ = self._take(rows)
            progress.add(len(rows), new)
            # Some senders' clocks are fast.
            until = min(rows[-1].sent, time.time()) - self._distance
            self._until = max(until, start + self._distance)
            self._note()
        # No further: what was stored meanwhile and sent before is found by the next look.
        self._note(now=True)
        log.info("Caught up: %d messages were new of %d", progress.new, progress.done)

    def _start(self) -> float:
        """Tell from when on to read."""
        until = self._checkpoint.read()
        if until is None:
            until = self._until
        now = time.time()
        earliest = now - self._limit
        if until > now + _FAST:
            log.warning("The checkpoint is in the future, catching up everything")
            until = earliest
        elif 0 < until < earliest:
            log.warning(
                "Messages from %s to %s are not caught up: 'badges.catchup_limit' is %g seconds",
                format_time(until),
                format_time(earliest),
                self._limit,
            )
        self._until = min(max(until, earliest), now)
        return self._until - self._distance

    def _since(self, start: float) -> Iterator[list[MessageHeader]]:
        sent, number = start, 0
        while rows := self._patience.call(partial(self._archive.since, sent, number, _PORTION)):
            yield rows
            sent, number = rows[-1].sent, rows[-1].number

    def _sweep(self) -> None:
        """Handle what was stored since the last times and did not come."""
        begun = time.time()
        new, mark = 0, self._marks.safe()
        last = mark
        held: list[int] = []
        while not self._stopping:
            rows = self._archive.after(last, _PORTION)
            if not rows:
                break
            taken, in_hand = self._take(rows)
            new, held, last = new + taken, held or in_hand, rows[-1].number
        if self._stopping:
            return
        if last == mark and self._archive.last_number() < mark:
            log.warning("datanommer has gone back in time: looking again from the checkpoint on")
            self._begin()
            return
        # What is in hand may be given up yet, and is then to be found here.
        self._marks.add(held[0] - 1 if held else last)
        self._until = begun
        if not held:
            self._ledger.expire_requeued(begun - self._distance)
        self._note()
        if new:
            log.info("Handled %d messages that the bus did not bring, or that were put off", new)

    def _take(self, rows: Iterable[MessageHeader]) -> tuple[int, list[int]]:
        """Handle those that did not come; tells how many, and the numbers of those in hand."""
        missing: list[MessageHeader] = []
        in_hand: list[int] = []
        taken = 0
        for row in rows:
            if row.number <= self._before and row.sent < self._earliest:
                continue
            if row.number in self._passed_over:
                continue
            seen = self._ledger.lookup(row.msg_id, row.topic)
            if seen is Seen.IN_FLIGHT:
                in_hand.append(row.number)
            elif seen is Seen.NEVER:
                missing.append(row)
        for numbers in _portions(missing):
            found = self._patience.call(partial(self._archive.messages, numbers))
            taken += self._hand_in(found)
        return taken, in_hand

    def _hand_in(self, found: Sequence[StoredMessage]) -> int:
        """Handle those of them that are to be heeded; tells how many."""
        heeded = []
        for each in found:
            message = self._as_signed(each)
            if message is None:
                self._passed_over[each.number] = None
            else:
                heeded.append(message)
        self._handle(heeded)
        return len(heeded)

    def _as_signed(self, archived: StoredMessage) -> StoredMessage | None:
        """Give what datanommer has as it was signed; None where nobody signed it who may."""
        if self._gate is None or archived.checked:
            return archived
        body = self._gate.verify_stored(archived.body, archived.proof)
        return None if body is None else archived._replace(body=dict(body))

    def _note(self, now: bool = False) -> None:
        self._checkpoint.write(self._done_until(), now=now)

    def _done_until(self) -> float:
        oldest = self._ledger.oldest_sent()
        until = self._until if oldest is None else min(self._until, oldest)
        # Senders may say anything.
        return max(until, 0.0)


def _portions(rows: Iterable[MessageHeader]) -> Iterator[list[int]]:
    """Give the numbers of messages, so many at once as may be read at once."""
    portion: list[int] = []
    size = 0
    for row in rows:
        size += row.size
        if portion and (len(portion) == _BODIES or size > _MOST_BYTES):
            yield portion
            portion, size = [], row.size
        portion.append(row.number)
    if portion:
        yield portion


class _Marks:
    """The highest numbers seen, and when: those seen long enough ago have none in flight below."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def add(self, number: int) -> None:
        self._seen.append((time.monotonic(), max(number, 0)))

    def safe(self) -> int:
        """Give the number after which everything is to be looked at again."""
        old = time.monotonic() - _IN_FLIGHT
        while len(self._seen) > 1 and self._seen[1][0] <= old:
            del self._seen[0]
        return self._seen[0][1]


@dataclass
class _Progress:
    """Says every now and then how far it got, and how long it will still take."""

    count: int
    done: int = 0
    new: int = 0

    def __post_init__(self) -> None:
        self._begun = self._said = time.monotonic()

    def add(self, done: int, new: int) -> None:
        self.done += done
        self.new += new
        now = time.monotonic()
        if now - self._said < _REPORT:
            return
        self._said = now
        log.info(
            "Catching up: %d of %d messages, about %d s left",
            self.done,
            self.count,
            self.left(now),
        )

    def left(self, now: float) -> float:
        """Guess the seconds that are left, by those that it took so far."""
        return max(self.count - self.done, 0) * (now - self._begun) / self.done
