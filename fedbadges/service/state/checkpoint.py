"""The checkpoint: the moment, and datanommer's row number, up to which every message is done.

The invariant: every message that was sent up to the checkpoint, and that datanommer stored within
``badges.keep_counts_distance`` seconds, is done; and so is every message with a row number up to
the checkpoint's. That is: its awards are committed, it was set aside as a dead letter, it cannot
be read or verified, or a broker still has it and delivers it again.

So the next process reads what was sent since the checkpoint, and as many seconds before as
datanommer may be late; and whatever has a higher row number. The time depends on the clocks of
senders and of this host, and the number does not. But after a backup was restored, numbers come
again, and then only the time says what is new.
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedbadges.service.in_flight import InFlight
from fedbadges.util.files import prepare_directory, write_json
from fedbadges.util.logs import get_logger
from fedbadges.util.text import format_time

log = get_logger(__name__)

#: Seconds between two writes of the file.
_INTERVAL = 1.0

#: Seconds that a clock may have been set back without making the checkpoint a wrong one.
_CLOCK_TOLERANCE = 60.0


class Checkpoint:
    """Tracks up to when every message is done, and writes that to a file in the state directory.

    Without a directory nothing outlives the process. ``margin`` is how many seconds late datanommer
    may store a message, ``limit`` how many seconds catching up goes back at most.
    """

    def __init__(
        self,
        directory: Path | None,
        in_flight: InFlight,
        *,
        margin: float,
        limit: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = None if directory is None else directory / "checkpoint"
        self._in_flight = in_flight
        self._margin = margin
        self._limit = limit
        self._clock = clock
        self._started = False
        # Up to here everything is done or tracked as in flight.
        self._read_until = clock()
        #: The row number up to which everything is done, if it is known.
        self.number: int | None = None
        #: Whether messages beyond the limit are not caught up.
        self.is_limited = False
        self._last_write = 0.0
        self._written: tuple[float, int | None] | None = None

    @property
    def until(self) -> float | None:
        """Return up to when everything is done, or None before catching up has started."""
        return self._done_until() if self._started else None

    def prepare(self) -> None:
        """Create the directory; raise OSError if that or writing there is impossible."""
        if self._path is not None:
            prepare_directory(self._path.parent)

    def create(self) -> None:
        """Write the first checkpoint: from now on no message may be lost."""
        if self._path is not None and not self._path.exists():
            self._write_file(self._read_until)

    def read(self) -> float | None:
        """Return the file's time, in seconds since 1970, or None if none was written.

        It is 0 if the file is damaged: nothing is known to be done then.
        """
        return self._read()[0]

    def _read(self) -> tuple[float | None, int | None]:
        """Return the file's time as ``read`` does, and its number, which old versions lack."""
        if self._path is None:
            return None, None
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            until, number = float(content["until"]), content.get("number")
            if not math.isfinite(until) or until < 0:
                raise ValueError(until)
            if number is not None and (type(number) is not int or number < 0):
                raise ValueError(number)
            return until, number
        except FileNotFoundError:
            return None, None
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            log.error(
                "Cannot read the checkpoint, catching up everything", path=self._path, error=error
            )
            return 0.0, None

    def read_from(self, last_sent: float | None = None) -> float:
        """Return from when on the history must be read; the number is the file's from then on.

        The limit counts back from when the last message was sent, if that is known: this host's
        clock may be fast.
        """
        until, self.number = self._read()
        self.is_limited = False
        if until is None:
            until = self._done_until()
        now = self._clock()
        earliest = (now if last_sent is None else min(now, last_sent)) - self._limit
        if until > now + _CLOCK_TOLERANCE:
            log.warning("The checkpoint is in the future, catching up everything", until=until)
            until = earliest
        elif 0 < until < earliest:
            log.warning(
                "Not catching up messages beyond the limit",
                since=format_time(until),
                until=format_time(earliest),
                catchup_limit=self._limit,
            )
            self.is_limited = True
        self._read_until = min(max(until, earliest), now)
        return self._read_until - self._margin

    def start(self) -> None:
        """Note that the history is being read from there, so that the checkpoint may be written."""
        self._started = True

    def reached(self, sent: float) -> None:
        """Note that everything stored by now that was sent up to a moment is done or in flight."""
        # Some senders' clocks are fast.
        reached = min(sent, self._clock()) - self._margin
        self._read_until = max(self._read_until, reached)
        self.write()

    def passed(self, number: int | None) -> None:
        """Note that every message with a row number up to this one is done."""
        # What is left for the restart has one of these numbers.
        if number is not None and not self._in_flight.leaves_some:
            self.number = number
        self.write()

    def swept(self, began: float, *, in_flight: bool, number: int | None = None) -> None:
        """Note that everything stored before a sweep is done, or some of it still in flight.

        All is done up to a row ``number``, if that is known.
        """
        self._read_until = began
        if not in_flight:
            self._in_flight.expire_requeued(began - self._margin)
        self.passed(number)

    def write(self, *, now: bool = False) -> None:
        """Write the checkpoint if catching up has started; at most once a second unless ``now``."""
        if self._started and (now or time.monotonic() - self._last_write >= _INTERVAL):
            self._write_file(self._done_until())

    def _write_file(self, until: float) -> None:
        content: dict[str, Any] = {"until": until}
        number = self.number
        if number is not None:
            content["number"] = number
        if self._path is None or (until, number) == self._written:
            return
        if write_json(self._path, content):
            self._last_write, self._written = time.monotonic(), (until, number)

    def _done_until(self) -> float:
        # First, as what is read meanwhile moves this on, and may not be done.
        until = self._read_until
        oldest = self._in_flight.oldest_sent()
        if oldest is not None:
            until = min(until, oldest)
        # A sender may say that its message is older than 1970.
        return max(until, 0.0)
