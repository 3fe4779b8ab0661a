"""Notices that rule files changed while the daemon runs."""

import threading
from collections.abc import Callable
from pathlib import Path

from fedbadges.rules.loader import rule_paths
from fedbadges.util.file_changes import FileChanges
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: Seconds between two looks at the directory.
_INTERVAL = 2.0


class RuleWatcher:
    """Calls ``changed`` in a thread of its own: at the start, and when a rule file changes."""

    def __init__(
        self, directory: Path, changed: Callable[[], None], interval: float = _INTERVAL
    ) -> None:
        self._changed = changed
        self._changes = FileChanges(lambda: rule_paths(directory), interval)
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
        while self._changes.wait(self._stopping):
            try:
                self._changed()
            except Exception:  # the rules in force stay, and the next change is read
                log.exception("Could not read the rules again")
