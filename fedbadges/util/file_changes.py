"""Waiting until files change."""

import threading
from collections.abc import Callable, Iterable, Mapping

from fedbadges.util.files import file_identity

#: Seconds without a further change before files count as changed, so that an editor's several
#: writes, or a checkout of many files, are one change.
CALM = 0.3


class FileChanges:
    """Finds changes of the files and directories that ``list_paths`` names.

    It polls, every ``interval`` seconds: the system's notifications do not follow links, do not
    come from other machines, and may run out.
    """

    def __init__(self, list_paths: Callable[[], Iterable[str]], interval: float) -> None:
        self._list_paths = list_paths
        self._interval = interval
        self._seen: Mapping[str, object] | None = None

    def wait(self, stopping: threading.Event) -> bool:
        """Wait until the files are not as they were at the last return; at first, do not wait.

        Returns False if ``stopping`` is set before.
        """
        found = None
        while not stopping.is_set():
            before, found = found, {path: file_identity(path) for path in self._list_paths()}
            if found == self._seen:
                stopping.wait(self._interval)
            elif found != before:
                stopping.wait(CALM)
            else:
                self._seen = found
                return True
        return False
