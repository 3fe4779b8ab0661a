"""Ranks: computed anew after awards, for many awards at once, and by one daemon at a time."""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.databases.advisory_lock import advisory_lock
from fedbadges.errors import Unavailable
from fedbadges.messages import Notice
from fedbadges.tahrir.awarding import NAME, AwardResult
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error

log = get_logger(__name__)

#: Seconds at least until ranks that could not be adjusted are tried again.
_RETRY = 1.0

#: How many seconds after its turn a daemon leaves to others to take theirs, and how many are
#: between two tries to take it.
_GAP = 1.0
_POLL = 0.5

#: The advisory lock of the daemon whose turn it is, on tahrir's database; a random number. A daemon
#: that hangs loses it so many seconds after the interval.
_LOCK = 0x2B8F_60D3_9A41_E57C
_HANGING = 60.0


def ranks_turn(settings: Settings) -> AbstractContextManager[bool]:
    """Try to keep all other daemons from adjusting ranks within the block; yield False if one does.

    Raises Unavailable.
    """
    return advisory_lock(settings.tahrir_url, NAME, _LOCK, settings.rank_interval + _HANGING)


class Ranks:
    """Adjusts ranks in a thread of its own, at most once in ``interval`` seconds.

    ``adjust`` takes tahrir's numbers of those who got badges, with their ranks before; what it
    returns is published. Several daemons take ``turn``, which yields if it is this one's: whoever
    has adjusted ranks keeps the others from it until the interval is over.
    """

    def __init__(
        self,
        adjust: Callable[[Mapping[int, int | None]], Iterable[Notice]],
        publish: Callable[[Notice], None],
        interval: float,
        turn: Callable[[], AbstractContextManager[bool]] = lambda: nullcontext(True),
    ) -> None:
        self._adjust = adjust
        self._publish = publish
        self._interval = interval
        self._turn = turn
        self._people: dict[int, int | None] = {}
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._waiting = False
        self._trouble: str | None = None
        self._thread = threading.Thread(target=self._work, name="fedbadges-ranks", daemon=True)

    def report(self) -> dict[str, Any]:
        """Return for how many ``people`` ranks are to be adjusted, as plain values.

        While it is ``waiting``, it is another daemon's turn. ``trouble`` is why the last try
        failed, if it did.
        """
        return {"people": len(self._people), "waiting": self._waiting, "trouble": self._trouble}

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def announce(self, award: AwardResult) -> None:
        """Publish an award, and adjust the person's rank later; returns at once."""
        self._publish(award.notice)
        self.add(award.person_id, award.rank)

    def add(self, person_id: int, rank: int | None = None) -> None:
        """Adjust the rank of somebody who got a badge, later; returns at once.

        ``rank`` is the one before that.
        """
        with self._changed:
            self._people.setdefault(person_id, rank)
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
            if not self._stopping.is_set():
                self._stopping.wait(self._take_turn())
        self._adjust_due()  # whoever's turn it is, as nobody else is going to announce them

    def _take_turn(self) -> float:
        """Adjust ranks if it is this daemon's turn; return for how many seconds to pause."""
        try:
            with self._turn() as is_ours:
                self._waiting = not is_ours
                if not is_ours:
                    return _POLL
                if self._adjust_due():
                    self._stopping.wait(self._interval)
                    return min(self._interval, _GAP)
        except Exception as error:  # of the database
            self._waiting = False
            self._note_failure(error)
        return max(self._interval, _RETRY)

    def _adjust_due(self) -> bool:
        """Adjust the ranks that are due; return False if that failed."""
        with self._changed:
            people, self._people = self._people, {}
        if not people:
            return True
        try:
            notices = self._adjust(people)
        except Exception as error:  # ranks can wait, but nobody's is forgotten
            with self._changed:
                self._people |= people
            self._note_failure(error)
            return False
        if self._trouble is not None:
            log.info("Ranks are adjusted again")
        self._trouble = None
        for notice in notices:
            self._publish(notice)
        return True

    def _note_failure(self, error: Exception) -> None:
        if self._trouble is None:
            reason = str(error) if isinstance(error, Unavailable) else error
            log.warning("Cannot adjust ranks, trying again later", error=reason)
        self._trouble = str(error) if isinstance(error, Unavailable) else describe_error(error)
