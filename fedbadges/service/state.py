"""What outlives the process: up to where everything is done, and the messages that failed."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedbadges.messages import Message
from fedbadges.util.text import describe_error
from fedbadges.util.throttle import Throttle

log = logging.getLogger(__name__)

#: Seconds between two writings of the checkpoint.
_INTERVAL = 1.0

#: How many messages are set aside at most, and how large they are together at most.
MOST_FAILED = 1_000
MOST_BYTES = 256 * 1024**2

_CHECKPOINT = "checkpoint"
_FAILED = "failed"


@dataclass(frozen=True)
class Failed:
    """A message that was set aside: the file that has it, its body, and whom datanommer had for it.

    Where it cannot be read there is no body, but why.
    """

    path: Path
    body: Mapping[str, Any] | None
    users: frozenset[str] = frozenset()
    why: str = ""


class StateDirectory:
    """The state directory; with ``directory`` None nothing outlives the process.

    Its files are for their owner only. What cannot be written is logged and raises nothing: the
    daemon goes on, and after a restart reads more of the history than it would have had to.
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._written = 0.0
        self._until: float | None = None
        self._failures = Throttle()

    @property
    def kept(self) -> bool:
        """Whether anything outlives the process."""
        return self._directory is not None

    def prepare(self) -> None:
        """Make the directory; raises OSError where that, or writing there, cannot be done."""
        if self._directory is None:
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._directory / _FAILED).mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._directory):
            pass

    def has_checkpoint(self) -> bool:
        """Tell whether a checkpoint was written, readable or not."""
        return self._directory is not None and (self._directory / _CHECKPOINT).exists()

    def checkpoint(self) -> float | None:
        """Tell up to when everything is done, in seconds since 1970; None where none was written.

        Where it cannot be read, that is 0: so nothing is known to be done.
        """
        if self._directory is None:
            return None
        path = self._directory / _CHECKPOINT
        try:
            until = float(json.loads(path.read_text(encoding="utf-8"))["until"])
            if not math.isfinite(until) or until < 0:
                raise ValueError(until)
            return until
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            log.error("%s cannot be read, so all is caught up: %s", path, describe_error(error))
            return 0.0

    def note(self, until: float, *, now: bool = False) -> None:
        """Write that everything up to ``until`` is done; at most once a second, unless ``now``."""
        if self._directory is None or until == self._until:
            return
        if not now and time.monotonic() - self._written < _INTERVAL:
            return
        if self._write(self._directory / _CHECKPOINT, {"until": until}):
            self._written, self._until = time.monotonic(), until

    def set_aside(self, message: Message, error: Exception) -> Path | None:
        """Keep a message that fails, with what it fails with; gives the file, if there is one.

        There is none where too many have failed before.
        """
        if self._directory is None:
            return None
        path = self._directory / _FAILED / f"{_name_of(message)}.json"
        if not path.exists() and _is_full(path.parent):
            if self._failures.allows(path.parent):
                log.error(
                    "%s is full: what fails from now on is left to the next start. It is no use to "
                    "go on like this",
                    path.parent,
                )
            return None
        content = {
            "error": describe_error(error),
            "failed": time.time(),
            "message": message.body,
            "users": sorted(message.known_users),
        }
        return path if self._write(path, content) else None

    def count_failed(self) -> int | None:
        """Count the messages that were set aside; None where none is kept, or nobody can look."""
        if self._directory is None:
            return None
        try:
            return sum(path.suffix == ".json" for path in (self._directory / _FAILED).iterdir())
        except OSError:
            return None

    def failed(self) -> Iterator[Failed]:
        """Give the messages that were set aside, the oldest first."""
        if self._directory is None:
            return
        paths = sorted((self._directory / _FAILED).glob("*.json"), key=lambda path: path.name)
        for path in sorted(paths, key=_age):
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                body = dict(content["message"])
                users = frozenset(map(str, content.get("users", ())))
            except (OSError, ValueError, TypeError, KeyError) as error:
                log.error("%s cannot be read: %s", path, describe_error(error))
                yield Failed(path, None, why=describe_error(error))
            else:
                yield Failed(path, body, users)

    def _write(self, path: Path, content: Any) -> bool:
        """Write as a whole or not at all: a crash leaves the file that was there before."""
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(content, file, default=repr)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except (OSError, ValueError, RecursionError) as error:
            if self._failures.allows((path.parent, type(error))):
                log.error("%s cannot be written: %s", path, describe_error(error))
            return False
        return True


def _name_of(message: Message) -> str:
    """Name a file after a message, the same each time, if it can be known again."""
    if message.msg_id is None:
        return uuid.uuid4().hex
    return hashlib.sha256(repr((message.topic, message.msg_id)).encode()).hexdigest()[:32]


def _is_full(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            sizes = [entry.stat().st_size for entry in entries]
    except OSError:  # said by whoever writes there
        return False
    return len(sizes) >= MOST_FAILED or sum(sizes) >= MOST_BYTES


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
