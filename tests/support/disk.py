"""A small file system of its own, which can be filled."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class Disk:
    """A file system that is full from time to time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    def fill(self) -> None:
        """Leave no room for anything."""
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def make_room(self) -> None:
        self._filler.unlink()


@contextlib.contextmanager
def small_disk(path: Path, kilobytes: int = 4096) -> Iterator[Disk]:
    """Mount a file system at a path that need not exist; skip the test where that is forbidden."""
    path.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "fedbadges-test", str(path)]
    try:
        mounted = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no file system can be mounted here")
    try:
        yield Disk(path)
    finally:
        # Somebody may still have a file open.
        subprocess.run(["umount", "--lazy", str(path)], check=True)
