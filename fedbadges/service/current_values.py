"""Progress for tahrir's pages: written behind the awards, for many people at once."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import past_messages
from fedbadges.databases.advisory_lock import advisory_lock
from fedbadges.engine.current_values import Judged, current_values
from fedbadges.engine.engine import Triggered
from fedbadges.errors import Unavailable
from fedbadges.tahrir.awarding import NAME
from fedbadges.tahrir.current_values import CurrentValue, find_outdated, write_values
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error

log = get_logger(__name__)

#: How many candidates are remembered at most, and how much JSON their messages are, in characters.
_MOST = 10_000
_MOST_CHARACTERS = 32_000_000

#: How many values are counted and written at once.
_BATCH = 100

#: Seconds between two times that values are written, and between two tries to take the turn.
_INTERVAL = 60.0
_POLL = 1.0

#: The advisory lock of the daemon that writes, on tahrir's database; a random number. A daemon that
#: hangs loses it after so many seconds.
_LOCK = 0x41C7_0E9B_52D8_63AF
_HANGING = 600.0


def values_turn(settings: Settings) -> AbstractContextManager[bool]:
    """Try to keep all other daemons from writing values within the block; yield False if one does.

    Raises Unavailable.
    """
    return advisory_lock(settings.tahrir_url, NAME, _LOCK, _HANGING)


class CurrentValues:
    """Counts, in a thread of its own, how far people are who were judged, and tells tahrir.

    Each pair of a person and a badge is counted at most once in ``interval`` seconds, as of the
    latest message that they were a candidate by. Several daemons take ``turn``, which yields if it
    is this one's: then what another has written needs no more counting.
    """

    def __init__(
        self,
        settings: Settings,
        interval: float = _INTERVAL,
        turn: Callable[[], AbstractContextManager[bool]] = lambda: nullcontext(True),
    ) -> None:
        self._settings = settings
        self._interval = interval
        self._turn = turn
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], Judged] = {}
        self._characters = 0
        self._dropped = 0
        self._written = 0
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fedbadges-values", daemon=True)

    def report(self) -> dict[str, Any]:
        """Return how many values are ``pending`` and were ``written``, as plain values.

        Those that were ``dropped`` were too many to remember, or failed; the next message about the
        person makes up for each. ``trouble`` is why the last try failed, if it did.
        """
        return {
            "pending": len(self._pending),
            "written": self._written,
            "dropped": self._dropped,
            "trouble": self._trouble,
        }

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def note(self, judged: Triggered) -> None:
        """Remember the candidates of a message that was judged; asks nothing of a database."""
        for rule, names in judged.people:
            criterion = past_messages(rule.criteria)
            if criterion is None or criterion.condition.needed is None:
                continue
            for name in names:
                self._add(Judged(rule, name, judged.message, judged.known_position))

    def stop(self, timeout: float = 5.0) -> None:
        """Write what is pending, for so many seconds at most, and end the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _add(self, judged: Judged) -> None:
        """Remember a candidate, unless a later message is pending."""
        with self._lock:
            known = self._pending.get(judged.pair)
            if known is not None and known.as_of > judged.as_of:
                return
            if known is not None:
                self._remove(judged.pair)
            self._pending[judged.pair] = judged
            self._characters += judged.message.size
            while len(self._pending) > _MOST or self._characters > _MOST_CHARACTERS:
                self._remove(next(iter(self._pending)))
                self._dropped += 1

    def _remove(self, pair: tuple[str, str]) -> None:
        self._characters -= self._pending.pop(pair).message.size

    def _work(self) -> None:
        pause = self._interval
        while not self._stopping.wait(pause):
            pause = self._take_turn()
        self._take_turn()

    def _take_turn(self) -> float:
        """Write what is pending if it is this daemon's turn; return how many seconds to pause."""
        if not self._pending:
            return self._interval
        try:
            with self._turn() as is_ours:
                if not is_ours:
                    return _POLL
                self._write_pending()
        except Exception as error:  # of a database; progress can wait
            if self._trouble is None:
                reason = str(error) if isinstance(error, Unavailable) else error
                log.warning("Cannot write progress, trying again later", error=reason)
            self._trouble = str(error) if isinstance(error, Unavailable) else describe_error(error)
            return self._interval
        if self._trouble is not None:
            log.info("Progress is written again")
        self._trouble = None
        return self._interval

    def _write_pending(self) -> None:
        with self._lock:
            taken = list(self._pending.values())
            self._pending, self._characters = {}, 0
        while taken:
            began = time.monotonic()
            try:
                self._written += self._write_possible(taken[:_BATCH])
            except Exception:
                for each in taken:
                    self._add(each)
                raise
            del taken[:_BATCH]
            # Messages are more urgent.
            self._stopping.wait(time.monotonic() - began if taken else 0)

    def _write_possible(self, judged: Sequence[Judged]) -> int:
        """Count and write what can be; one that cannot must not keep the others back for ever."""
        try:
            return self._write(judged)
        except Unavailable:
            raise
        except Exception as error:  # such as a value that tahrir's column cannot hold
            if len(judged) > 1:
                return sum(self._write_possible([each]) for each in judged)
            log.error("Cannot write a value", badge=judged[0].rule.badge.id, error=error)
            self._dropped += 1
            return 0

    def _write(self, judged: Sequence[Judged]) -> int:
        """Count and write, as far as tahrir has nothing later; return how many rows changed."""
        wanted = {each.pair: each.as_of for each in judged}
        numbers = find_outdated(self._settings, wanted)
        values = current_values([each for each in judged if each.pair in numbers])
        return write_values(
            self._settings,
            [
                CurrentValue(each.rule.badge.id, numbers[each.pair], value, wanted[each.pair])
                for each, value in values.items()
            ],
        )
