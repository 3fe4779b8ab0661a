"""Going on through an outage: what cannot be answered now is asked again, until it can."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import TypeVar

from fedbadges.rules.criteria import Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two tries, the first and the longest; each is varied by up to a half.
_SHORTEST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Stopped(Exception):
    """The daemon stops, and what was asked was not answered before."""


class Patience:
    """Tries again what is Unavailable, with growing pauses; says so once, and when it is over."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._away = False

    def stop(self) -> None:
        """Give up what is being tried, and from now on what fails once."""
        self._stopping.set()

    def insist(self, ask: Callable[[], T]) -> T:
        """Call ``ask`` until it answers; raises Stopped where the daemon stops before it does."""
        pause = _SHORTEST_PAUSE
        while True:
            try:
                answer = ask()
            except Unavailable as unavailable:
                self._note(unavailable)
            else:
                self._note(None)
                return answer
            if self._stopping.wait(pause * random.uniform(0.5, 1.5)):
                raise Stopped
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _note(self, unavailable: Unavailable | None) -> None:
        with self._lock:
            changed = self._away is not (unavailable is not None)
            self._away = unavailable is not None
        if not changed:
            return
        if unavailable is None:
            log.info("Everything answers again; going on")
        else:
            log.warning("Waiting, and trying again: %s. This is said once.", unavailable)
