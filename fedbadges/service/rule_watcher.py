"""Notices that rule files changed while the daemon runs."""

import threading
from collections.abc import Callable
from pathlib import Path

from fedbadges.rules.loader import rule_paths
from fedbadges.util.files import file_identity
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds between two looks at the directory.
_INTERVAL = 2.0

#: Seconds without a further change before the rules are read again, so that an editor's several
#: writes, or a checkout of many files, are one change.
_CALM = 0.3


class RuleWatcher:
    """Calls ``changed`` in a thread of its own: at the start, and when a rule file changes.

    It polls ``directory``: the system's notifications do not follow links, do not come from other
    machines, and may run out.
    """

    def __init__(
        self, directory: Path, changed: Callable[[], None], interval: float = _INTERVAL
    ) -> None:
        self._directory = directory
        self._changed = changed
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fedbadges-rules", daemon=True)

    def start(self) -> None:
        """Start to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()

    def _work(self) -> None:
        # What changed between the first loading and the first look would go unnoticed.
        read, found = None, None
        while not self._stopping.is_set():
            before, found = found, _snapshot(self._directory)
            if found == read:
                self._stopping.wait(self._interval)
            elif found != before:
                self._stopping.wait(_CALM)
            else:
                read = found
                try:
                    self._changed()
                except Exception:  # the rules in force stay, and the next change is read
                    log.exception("Could not read the rules again")


def _snapshot(directory: Path) -> dict[str, tuple[int, ...] | None]:
    """Return what changes with each rule file and directory: its content, permissions or place."""
    return {path: file_identity(path) for path in rule_paths(directory)}
