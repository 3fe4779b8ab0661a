"""What systemd is of a service: a socket on which it is notified."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from support.waiting import eventually


class ServiceManager:
    """Keeps what it was told, in its order."""

    def __init__(self, socket_: socket.socket) -> None:
        self._socket = socket_
        self._told: list[str] = []

    def told(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._told += self._socket.recv(10_000).decode().split("\n")
        return self._told

    def wait_for(self, line: str) -> None:
        eventually(lambda: line in self.told(), line)


@contextlib.contextmanager
def service_manager(directory: Path, watchdog: float) -> Iterator[ServiceManager]:
    """Yield one of which all processes know that are started meanwhile."""
    path = directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.setblocking(False)
        environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(int(watchdog * 1e6))}
        with mock.patch.dict(os.environ, environment):
            yield ServiceManager(listening)
