"""Reading files of any kind and size, and writing them as a whole or not at all."""

import contextlib
import io
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

_failures = Throttle()


def read_limited(path: Path, limit: int) -> bytes:
    """Read a file, up to one byte more than ``limit``; raise OSError if it cannot be read."""
    # Opening a pipe would wait for a writer, and reading a terminal might never end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("not a regular file")
    with path.open("rb") as file:
        return file.read(limit + 1)


def file_identity(path: Path | str) -> tuple[int, ...] | None:
    """Return what changes with a file: its place, size or times; None if it cannot be found."""
    try:
        status = os.stat(path)  # noqa: PTH116 - paths are slow, for thousands of rules
    except OSError:  # gone meanwhile, or a link that leads nowhere
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def prepare_directory(directory: Path) -> None:
    """Create a directory for its owner only; raise OSError if files cannot be written there."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass


def write_json(path: Path, content: Any) -> bool:
    """Write a file atomically; log the error and return False if that is impossible.

    A crash leaves the file that was there before.
    """
    try:
        with _replacing(path) as file:
            text = io.TextIOWrapper(file, encoding="utf-8")
            json.dump(content, text, default=repr)
            text.detach()
    except (OSError, ValueError, RecursionError) as error:
        if _failures.allows((path.parent, type(error))):
            log.error("Cannot write a file", path=path, error=error)
        return False
    return True


def replace_file(path: Path, data: bytes) -> None:
    """Write a file anew, atomically and with its permissions; raise OSError.

    If it is a symbolic link, what that leads to is written.
    """
    target = path.resolve(strict=True)
    before = target.stat()
    with _replacing(target) as file:
        file.write(data)
        os.fchmod(file.fileno(), before.st_mode & 0o7777)
        with contextlib.suppress(PermissionError):  # who may not give files away keeps them
            os.fchown(file.fileno(), before.st_uid, before.st_gid)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of another one at the end."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
