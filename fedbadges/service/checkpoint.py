"""The checkpoint: the moment up to which every message is done.

The invariant: whatever was sent up to the checkpoint, and stored in datanommer in time, is done.
That is: it was handled, it was set aside as a dead letter, or a broker still has it and delivers it
again. So a process that starts has to read no message sent earlier, but for those that datanommer
stored late.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from fedbadges.service.state_directory import prepare_directory, write_json
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds between two writes of the file.
_INTERVAL = 1.0


class Checkpoint:
    """The checkpoint's file in the state directory; without one nothing outlives the process."""

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / "checkpoint"
        self._last_write = 0.0
        self._written: float | None = None

    @property
    def enabled(self) -> bool:
        """Return True if there is a state directory, so that the next process knows it."""
        return self._path is not None

    def prepare(self) -> None:
        """Create the directory; raise OSError if that or writing there is impossible."""
        if self._path is not None:
            prepare_directory(self._path.parent)

    def exists(self) -> bool:
        """Return True if a checkpoint was written, readable or not."""
        return self._path is not None and self._path.exists()

    def read(self) -> float | None:
        """Return the checkpoint in seconds since 1970, or None if none was written.

        It is 0 if the file is damaged: nothing is known to be done then.
        """
        if self._path is None:
            return None
        try:
            until = float(json.loads(self._path.read_text(encoding="utf-8"))["until"])
            if not math.isfinite(until) or until < 0:
                raise ValueError(until)
            return until
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            log.error(
                "Cannot read the checkpoint, catching up everything", path=self._path, error=error
            )
            return 0.0

    def write(self, until: float, *, now: bool = False) -> None:
        """Write the checkpoint, in seconds since 1970; at most once a second unless ``now``."""
        if self._path is None or until == self._written:
            return
        if not now and time.monotonic() - self._last_write < _INTERVAL:
            return
        if write_json(self._path, {"until": until}):
            self._last_write, self._written = time.monotonic(), until
