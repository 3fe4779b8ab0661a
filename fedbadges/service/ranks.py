"""Ranks: computed afresh after awards, for many awards at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable

from fedbadges.errors import Unavailable
from fedbadges.tahrir.notices import Notice

log = logging.getLogger(__name__)

#: Seconds at least until ranks that could not be adjusted are tried again.
_RETRY = 1.0


class Ranks:
    """Adjusts the ranks in a thread of its own, at most once in ``interval`` seconds.

    ``adjust`` takes the numbers of those who got badges; what it gives goes to ``publish``.
    """

    def __init__(
        self,
        adjust: Callable[[Iterable[int]], Iterable[Notice]],
        publish: Callable[[Notice], None],
        interval: float,
    ) -> None:
        self._adjust = adjust
        self._publish = publish
        self._interval = interval
        self._people: set[int] = set()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._work, name="fedbadges-ranks", daemon=True)

    def start(self) -> None:
        """Begin to wait for awards."""
        self._thread.start()

    def note(self, person_id: int) -> None:
        """Take note that somebody got a badge; returns at once."""
        with self._changed:
            self._people.add(person_id)
            self._changed.notify()

    def stop(self, timeout: float = 5.0) -> None:
        """Adjust for those who are noted, and end."""
        self._stopping.set()
        with self._changed:
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _work(self) -> None:
        while not self._stopping.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._people or self._stopping.is_set())
            self._adjust_for(self._take())
            self._stopping.wait(max(self._interval, _RETRY) if self._failing else self._interval)
        self._adjust_for(self._take())

    def _take(self) -> set[int]:
        with self._changed:
            people, self._people = self._people, set()
        return people

    def _adjust_for(self, people: set[int]) -> None:
        if not people:
            return
        try:
            notices = self._adjust(people)
        except Exception as error:  # ranks can wait; those who are noted are not forgotten
            with self._changed:
                self._people |= people
            if not self._failing:
                log.warning("Ranks are not adjusted for now: %s", _words(error))
            self._failing = True
            return
        if self._failing:
            log.info("Ranks are adjusted again")
        self._failing = False
        for notice in notices:
            self._publish(notice)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, Unavailable) else repr(error)
