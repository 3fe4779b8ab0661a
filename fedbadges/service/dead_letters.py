"""Dead letters: messages that failed for good and were set aside."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from fedbadges.messages import Message, parse_message
from fedbadges.util.files import prepare_directory, write_json
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error
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
        """Write a message and its error to a file; return None if it could not be kept."""
        if self._directory is None:
            return None
        path = self._directory / f"{_file_stem(message)}.json"
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
            message, problem = _read(path)
            if message is None:
                failed.append((path, problem))
                continue
            try:
                handle(message)
            except Exception as error:  # whatever it failed with before
                failed.append((path, describe_error(error)))
            else:
                path.unlink(missing_ok=True)
                log.info("Handled a dead letter", msg_id=message.body.get("msg_id"))
        return failed


def _read(path: Path) -> tuple[Message | None, str]:
    """Return the message in a file, or None and why there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        body = dict(content["message"])
        users = frozenset(map(str, content.get("users", ())))
    except (OSError, ValueError, TypeError, KeyError) as error:
        log.error("Cannot read a dead letter", path=path, error=error)
        return None, describe_error(error)
    return parse_message(body, users), "it is no message with a topic"


def _file_stem(message: Message) -> str:
    """Return the same name each time for the same message, if it has an id."""
    if message.msg_id is None:
        return uuid.uuid4().hex
    return hashlib.sha256(repr((message.topic, message.msg_id)).encode()).hexdigest()[:32]


def _is_full(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            sizes = [entry.stat().st_size for entry in entries]
    except OSError:  # logged when the file is written
        return False
    return len(sizes) >= MAX_COUNT or sum(sizes) >= MAX_BYTES
