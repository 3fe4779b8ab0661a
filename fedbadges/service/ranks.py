"""Ranks: computed anew after awards, for many awards at once."""

import threading
from collections.abc import Callable, Iterable

from fedbadges.errors import Unavailable
from fedbadges.messages import Notice
from fedbadges.tahrir.awarding import AwardResult
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds at least until ranks that could not be adjusted are tried again.
_RETRY = 1.0


class Ranks:
    """Adjusts ranks in a thread of its own, at most once in ``interval`` seconds.

    ``adjust`` takes tahrir's numbers of those who got badges; what it returns is published.
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
        """Start the thread."""
        self._thread.start()

    def announce(self, award: AwardResult) -> None:
        """Publish an award, and adjust the person's rank later; returns at once."""
        self._publish(award.notice)
        self.add(award.person_id)

    def add(self, person_id: int) -> None:
        """Adjust the rank of somebody who got a badge, later; returns at once."""
        with self._changed:
            self._people.add(person_id)
            self._changed.notify()

    def stop(self, timeout: float = 5.0) -> None:
        """Adjust the ranks that are due, for so many seconds at most, and end the thread."""
        self._stopping.set()
        with self._changed:
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _work(self) -> None:
        while not self._stopping.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._people or self._stopping.is_set())
            self._adjust_due()
            self._stopping.wait(max(self._interval, _RETRY) if self._failing else self._interval)
        self._adjust_due()

    def _adjust_due(self) -> None:
        with self._changed:
            people, self._people = self._people, set()
        if not people:
            return
        try:
            notices = self._adjust(people)
        except Exception as error:  # ranks can wait, but nobody's is forgotten
            with self._changed:
                self._people |= people
            if not self._failing:
                reason = str(error) if isinstance(error, Unavailable) else error
                log.warning("Cannot adjust ranks, trying again later", error=reason)
            self._failing = True
            return
        if self._failing:
            log.info("Ranks are adjusted again")
        self._failing = False
        for notice in notices:
            self._publish(notice)
