"""The lock of the state directory: no two daemons may share a checkpoint."""

import contextlib
import fcntl
import os
from pathlib import Path

from fedbadges.errors import CannotStart
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: How much is read of what is in the file.
_MAX_BYTES = 20


class StateLock:
    """Locks a state directory for one daemon; without a directory it does nothing.

    The lock is the kernel's, on a file with the daemon's process id: it ends with the process.
    """

    def __init__(self, directory: Path | None) -> None:
        self._path = None if directory is None else directory / "lock"
        self._file: int | None = None

    def acquire(self) -> None:
        """Lock the directory unless this daemon has done so.

        Raises CannotStart if another daemon uses it, and OSError if the file cannot be opened.
        """
        if self._path is None or self._file is not None:
            return
        file = _open(self._path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(file, _MAX_BYTES).decode("ascii", "replace").strip()
            os.close(file)
            raise CannotStart(
                f"another daemon (pid {pid or 'unknown'}) uses {self._path.parent}; "
                "each needs a 'badges.state_directory' of its own"
            ) from None
        except OSError as error:
            # Some file systems know no locks.
            os.close(file)
            log.warning("Cannot lock the state directory", path=self._path, error=error)
            return
        self._file = file
        with contextlib.suppress(OSError):  # no room, or another user's file
            os.truncate(file, os.pwrite(file, f"{os.getpid()}\n".encode(), 0))

    def release(self) -> None:
        """Let another daemon use the directory."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except PermissionError:
        # Somebody else has started a daemon here; locking takes no right to write.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
