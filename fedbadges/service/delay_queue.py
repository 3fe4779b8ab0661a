"""The delay queue: messages wait here until datanommer has stored them.

Another process stores the messages, and may be a little later than the bus.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from fedbadges.errors import Unavailable
from fedbadges.messages import Message, Position
from fedbadges.util.logs import get_logger
from fedbadges.util.text import error_kind
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: Seconds between two looks into datanommer, the shortest and the longest.
_MIN_PAUSE = 0.02
_MAX_PAUSE = 0.25


@dataclass(eq=False)
class _Waiting:
    message: Message
    resume: Callable[[Position | None], object]
    since: float = field(default_factory=time.monotonic)


class DelayQueue:
    """Delays messages until they are stored; none waits for another.

    ``positions`` returns the positions of those messages that datanommer has. A message waits
    ``delay`` seconds at most, and not at all while more than ``limit`` messages wait here and in
    the ``backlog``. ``workers`` threads go on with those whose wait is over.
    """

    def __init__(
        self,
        positions: Callable[[Iterable[Message]], Mapping[Message, Position]],
        *,
        delay: float,
        limit: int,
        backlog: Callable[[], int] = lambda: 0,
        workers: int = 1,
    ) -> None:
        self.positions = positions
        self._delay = delay
        self._limit = limit
        self._backlog = backlog
        self._waiting: list[_Waiting] = []
        #: How many messages wait here, or have waited and are not finished yet.
        self.unfinished = 0
        self._changed = threading.Condition()
        self._draining = False
        self._late = False
        self._failures = Throttle()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="fedbadges-decide")
        self._thread = threading.Thread(target=self._watch, name="fedbadges-delay", daemon=True)

    def start(self) -> None:
        """Start to look for stored messages."""
        self._thread.start()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, message: Message, resume: Callable[[Position | None], object]) -> None:
        """Delay a message, then call ``resume`` with its position if it is stored, or None.

        That raises nothing.
        """
        waiting = _Waiting(message, resume)
        with self._changed:
            self.unfinished += 1
            draining = self._draining
            if not draining:
                self._waiting.append(waiting)
                self._changed.notify()
        if draining:
            self._resume(waiting, None)

    def drain(self) -> None:
        """Delay nothing any more, neither what is here nor what still comes."""
        with self._changed:
            self._draining = True
            self._changed.notify()

    def stop(self) -> None:
        """Drain, and return when every message is finished."""
        self.drain()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(wait=True)

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._draining or self._waiting)
                if not self._waiting:
                    return
                waiting = list(self._waiting)
            left = self._submit_due(waiting)
            if not left:
                continue
            with self._changed:
                if not self._draining and len(self._waiting) <= len(left):
                    # It grows with the time since the last came: most are stored soon.
                    waited = time.monotonic() - max(each.since for each in left)
                    self._changed.wait(min(max(waited / 2, _MIN_PAUSE), _MAX_PAUSE))

    def _submit_due(self, waiting: list[_Waiting]) -> list[_Waiting]:
        """Go on with the messages whose wait is over; return the others."""
        crowded = self._draining or len(waiting) + self._backlog() > self._limit
        stored = self._look_up(waiting)
        latest = time.monotonic() - self._delay
        overdue = {
            each
            for each in waiting
            if each.message not in stored and (crowded or each.since <= latest)
        }
        if not crowded:
            self._report(bool(stored), overdue)
        due = overdue.union(each for each in waiting if each.message in stored)
        with self._changed:
            self._waiting = [each for each in self._waiting if each not in due]
        for each in waiting:
            if each in due:
                self._pool.submit(self._resume, each, stored.get(each.message))
        return [each for each in waiting if each not in due]

    def _look_up(self, waiting: list[_Waiting]) -> Mapping[Message, Position]:
        try:
            return self.positions([each.message for each in waiting])
        except Exception as error:  # nothing may wait for ever
            # Judging the criteria asks the same database, and logs the outage.
            if not isinstance(error, Unavailable) and self._failures.allows(error_kind(error)):
                log.error("Cannot look up what datanommer has stored", error=error)
            return {}

    def _report(self, found: bool, overdue: set[_Waiting]) -> None:
        # With a delay of 0, messages are expected to be late.
        if overdue and not self._late and self._delay:
            self._late = True
            first = min(overdue, key=lambda each: each.since)
            log.warning(
                "Datanommer is late, continuing without the message",
                msg_id=first.message.msg_id,
                seconds=self._delay,
            )
        if found and not overdue and self._late:
            self._late = False
            log.info("Datanommer is in time again")

    def _resume(self, waiting: _Waiting, position: Position | None) -> None:
        try:
            waiting.resume(position)
        finally:
            with self._changed:
                self.unfinished -= 1
