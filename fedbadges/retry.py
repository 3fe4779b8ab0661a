"""Going on through an outage: what cannot be answered now is asked again, until it can."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fedbadges.errors import Stopped, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two tries, the first and the longest; each is varied by up to a half.
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


#: How often, and with which pause in seconds, what fails for other reasons is tried.
_TRIES = 3
_PAUSE = 0.2


@dataclass(frozen=True)
class Outage:
    """What does not answer, and since when, in seconds since 1970."""

    reason: str
    since: float


class OutageRetry:
    """Tries again what is Unavailable, with growing pauses; says so once, and when it is over."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._waiting = 0
        self._outage: Outage | None = None

    @property
    def outage(self) -> Outage | None:
        """What is waited for now, if anything is."""
        return self._outage

    def stop(self) -> None:
        """Give up what is being tried, and from now on what fails once."""
        self._stopping.set()

    def call(self, ask: Callable[[], T]) -> T:
        """Call ``ask`` until it answers; raises Stopped where the daemon stops before it does."""
        try:
            return self._ask_twice(ask)
        except Unavailable as unavailable:
            if self._stopping.is_set():
                raise Stopped from unavailable
            self._begin_to_wait(unavailable)
        answered = False
        try:
            answer = self._ask_again(ask)
            answered = True
            return answer
        finally:
            self._end_to_wait(answered)

    def _ask_twice(self, ask: Callable[[], T]) -> T:
        """Ask again if the connection was cut: the engine replaces it, and that is no outage."""
        try:
            return ask()
        except Unavailable:
            if self._stopping.is_set():
                raise
        return ask()

    def _ask_again(self, ask: Callable[[], T]) -> T:
        pause = _SHORTEST_PAUSE
        while not self._stopping.wait(pause * random.uniform(0.5, 1.5)):
            try:
                return ask()
            except Unavailable:
                pause = min(2 * pause, _LONGEST_PAUSE)
        raise Stopped

    def _begin_to_wait(self, unavailable: Unavailable) -> None:
        with self._lock:
            self._waiting += 1
            first = self._waiting == 1
            if first:
                self._outage = Outage(str(unavailable), time.time())
        if first:
            log.warning("Waiting, and trying again: %s. This is said once.", unavailable)

    def _end_to_wait(self, answered: bool) -> None:
        # Others may still wait: what answers one question need not be what they ask.
        with self._lock:
            self._waiting -= 1
            last = self._waiting == 0
            if last:
                self._outage = None
        if last and answered:
            log.info("Everything answers again; going on")


def retry_failures(do: Callable[[], T]) -> T:
    """Do, again where it fails: what is wrong may have been wrong at that moment only.

    Raises what it raised at last; Unavailable and Stopped at once.
    """
    for _ in range(_TRIES - 1):
        try:
            return do()
        except (Unavailable, Stopped):
            raise
        except Exception as error:  # whatever it is
            log.debug("Once more: %r", error)
            time.sleep(_PAUSE)
    return do()
