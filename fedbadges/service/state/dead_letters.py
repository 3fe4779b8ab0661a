"""Dead letters: messages that failed for good and were set aside."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from fedbadges.errors import NotStored
from fedbadges.messages import Message, parse_message
from fedbadges.util.files import prepare_directory, write_json
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error, error_kind
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: How many dead letters there are at most, and how large they are together at most, in bytes.
MAX_COUNT = 1_000
MAX_BYTES = 256 * 1024**2


class DeadLetters:
    """The files of dead letters, in the state directory; without one none is kept."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = None if directory is None else directory / "failed"
        self._failures = Throttle()

    @property
    def enabled(self) -> bool:
        """Return True if there is a state directory to keep them in."""
        return self._directory is not None

    def prepare(self) -> None:
        """Create the directory; raise OSError if that or writing there is impossible."""
        if self._directory is not None:
            prepare_directory(self._directory)

    def add(self, message: Message, error: Exception) -> Path | None:
        """Write a message and its error to a file, and log it; return None if it cannot be kept.

        Then the next process has to handle it.
        """
        path = self._write(message, error)
        if path is not None:
            log.error("Message failed", msg_id=message.msg_id, error=error, path=path)
        elif not self._failures.allows(error_kind(error)):
            return None
        else:
            lost = isinstance(error, NotStored)
            log.error("Message failed", msg_id=message.msg_id, error=error, lost=lost)
        if getattr(error, "orig", None) is None:  # a database's error says all there is to say
            log.debug("The error was raised here", exc_info=error)
        return path

    def _write(self, message: Message, error: Exception) -> Path | None:
        if self._directory is None:
            return None
        # Without an id, nobody can know the message again.
        key = uuid.uuid4().hex if message.msg_id is None else repr((message.topic, message.msg_id))
        path = self._directory / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
        if not path.exists() and _is_full(self._directory):
            if self._failures.allows("full"):
                log.error("No room for more dead letters", path=self._directory)
            return None
        content = {
            "error": describe_error(error),
            "failed": time.time(),
            "message": message.body,
            "users": sorted(message.known_users),
        }
        return path if write_json(path, content) else None

    def count(self) -> int | None:
        """Return how many there are, or None if none is kept or the directory is unreadable."""
        if self._directory is None:
            return None
        try:
            return sum(path.suffix == ".json" for path in self._directory.iterdir())
        except OSError:
            return None

    def retry(self, handle: Callable[[Message], object]) -> list[tuple[Path, str]]:
        """Handle all, the oldest first, and delete those that succeed; return the others and why.

        ``handle`` may raise anything.
        """
        failed: list[tuple[Path, str]] = []
        paths = () if self._directory is None else self._directory.glob("*.json")
        for path in sorted(paths, key=os.path.getmtime):
            try:
                message = _read(path)
                if message is None:
                    failed.append((path, "it is no message with a topic"))
                    continue
                handle(message)
            except Exception as error:  # an unreadable file, or whatever it failed with before
                failed.append((path, describe_error(error)))
            else:
                path.unlink(missing_ok=True)
                log.info("Handled a dead letter", msg_id=message.msg_id)
        return failed


def _read(path: Path) -> Message | None:
    content = json.loads(path.read_text(encoding="utf-8"))
    return parse_message(content["message"], frozenset(map(str, content.get("users", ()))))


def _is_full(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            sizes = [entry.stat().st_size for entry in entries]
    except OSError:  # logged when the file is written
        return False
    return len(sizes) >= MAX_COUNT or sum(sizes) >= MAX_BYTES
