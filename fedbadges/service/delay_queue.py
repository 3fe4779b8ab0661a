"""The waiting room: cases whose message datanommer has not stored yet.

Another process stores the messages, and may be a little later than the bus.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from fedbadges.engine.engine import Candidates
from fedbadges.errors import Unavailable
from fedbadges.util.text import describe_error
from fedbadges.util.throttle import Throttle

log = logging.getLogger(__name__)

#: Seconds between two looks, the first and the longest.
_SHORTEST_PAUSE = 0.02
_LONGEST_PAUSE = 0.25

#: How many messages are named in one line.
_SHOWN = 10


@dataclass(eq=False)
class _Guest:
    case: Candidates
    since: float = field(default_factory=time.monotonic)
    decided: Future[object] = field(default_factory=Future)


class DelayQueue:
    """Holds cases until their message is stored, then has them decided; nobody waits for others.

    ``stored`` tells which of some message ids datanommer has; ``decide`` is called with each case,
    in one of ``workers`` threads, and says itself what goes wrong. ``delay`` is how many seconds a
    case waits at most, and above ``limit`` messages of ``backlog`` (those that wait here are added)
    none waits at all. ``unstored`` is told of each case that was decided without its message.
    """

    def __init__(
        self,
        stored: Callable[[Iterable[str]], set[str]],
        decide: Callable[[Candidates], object],
        *,
        delay: float,
        limit: int,
        backlog: Callable[[], int] = lambda: 0,
        workers: int = 1,
        unstored: Callable[[Candidates], object] = lambda case: None,
    ) -> None:
        self._unstored = unstored
        self._stored = stored
        self._decide = decide
        self._delay = delay
        self._limit = limit
        self._backlog = backlog
        self._guests: list[_Guest] = []
        self._undecided = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._late = False
        self._hasty: list[str | None] = []
        self._failures = Throttle()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="fedbadges-decide")
        self._thread = threading.Thread(target=self._watch, name="fedbadges-waiting", daemon=True)

    def start(self) -> None:
        """Begin to watch for stored messages."""
        self._thread.start()

    def __len__(self) -> int:
        with self._changed:
            return len(self._guests)

    def undecided(self) -> int:
        """Tell how many are here, or have waited and are yet to be decided."""
        with self._changed:
            return self._undecided

    def admit(self, case: Candidates) -> Future[object]:
        """Take a case, and give what becomes done when it is decided."""
        guest = _Guest(case)
        with self._changed:
            self._undecided += 1
            late = self._stopping
            if not late:
                self._guests.append(guest)
                self._changed.notify()
        if late:
            self._finish(guest, stored=False)
        return guest.decided

    def hurry(self) -> None:
        """Have everybody decided without further waiting, who is here and who still comes."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def stop(self) -> None:
        """Hurry, and return when everybody is decided."""
        self.hurry()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(wait=True)
        hasty, self._hasty = self._hasty, []
        if hasty:
            log.warning(
                "Stopping: did not wait for datanommer to store %d messages, so counts may have "
                "been short of them: %s",
                len(hasty),
                _some(hasty),
            )

    def _watch(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._guests)
                if not self._guests:
                    return
                guests = list(self._guests)
            left = self._release(guests)
            if not left:
                continue
            with self._changed:
                if not self._stopping and len(self._guests) <= len(left):
                    self._changed.wait(_pause(left))

    def _release(self, guests: list[_Guest]) -> list[_Guest]:
        """Have those decided whose time has come; gives the others."""
        crowded = self._stopping or len(guests) + self._backlog() > self._limit
        stored = self._ask(guests)
        now = time.monotonic()
        found = {guest for guest in guests if guest.case.message.msg_id in stored}
        overdue = [
            guest
            for guest in guests
            if guest not in found and (crowded or now - guest.since >= self._delay)
        ]
        if not crowded:
            self._report(bool(found), overdue)
        released = found.union(overdue)
        with self._changed:
            self._guests = [guest for guest in self._guests if guest not in released]
        for guest in guests:
            if guest in released:
                self._pool.submit(self._finish, guest, guest in found)
        return [guest for guest in guests if guest not in released]

    def _ask(self, guests: list[_Guest]) -> set[str]:
        ids = {guest.case.message.msg_id for guest in guests}
        try:
            return self._stored(msg_id for msg_id in ids if msg_id is not None)
        except Unavailable:
            # Deciding asks the same database, and says what is the matter.
            return set()
        except Exception as error:  # nobody is to wait for ever
            if self._failures.allows(type(error).__name__):
                log.error("Cannot see what datanommer has stored: %s", describe_error(error))
            return set()

    def _report(self, found: bool, overdue: list[_Guest]) -> None:
        # Whoever wants no waiting expects it.
        if overdue and not self._late and self._delay:
            self._late = True
            log.warning(
                "datanommer had not stored %r within %g s; going on without, so counts may be "
                "short of the latest messages. Is its consumer running? This is said once.",
                overdue[0].case.message.msg_id,
                self._delay,
            )
        if found and not overdue and self._late:
            self._late = False
            log.info("datanommer stores messages in time again")

    def _finish(self, guest: _Guest, stored: bool) -> None:
        try:
            result = self._decide(guest.case)
            if not stored:
                self._unstored(guest.case)
                if self._stopping:
                    self._hasty.append(guest.case.message.msg_id)
            guest.decided.set_result(result)
        except Exception as error:  # for who waits for it
            guest.decided.set_exception(error)
        finally:
            with self._changed:
                self._undecided -= 1


def _some(msg_ids: list[str | None]) -> str:
    shown = ", ".join(map(repr, msg_ids[:_SHOWN]))
    return shown if len(msg_ids) <= _SHOWN else f"{shown} …"


def _pause(guests: list[_Guest]) -> float:
    """Look again the sooner the shorter ago the last one came: most are stored within moments."""
    waited = time.monotonic() - max(guest.since for guest in guests)
    return min(max(waited / 2, _SHORTEST_PAUSE), _LONGEST_PAUSE)
