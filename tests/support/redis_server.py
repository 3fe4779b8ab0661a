"""A Redis of the tests' own, on a socket in a directory of its own."""

import importlib.util
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from support.waiting import TIMEOUT, eventually

needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None or importlib.util.find_spec("redis") is None,
    reason="redis-server or the Python package redis is not installed",
)


class RedisServer:
    """A server; it starts when it is made, and keeps nothing on disk."""

    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="redis-")
        self._socket = Path(self._directory) / "socket"
        self.start()

    @property
    def cache(self) -> dict[str, Any]:
        """Return ``badges.cache`` for this server."""
        return {
            "backend": "dogpile.cache.redis",
            "arguments": {"url": f"unix://{self._socket}"},
        }

    def start(self) -> None:
        """Start it, empty."""
        options = {"port": "0", "unixsocket": str(self._socket), "save": "", "appendonly": "no"}
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        self._process = subprocess.Popen(
            ["redis-server", "--dir", self._directory, *arguments], stdout=subprocess.DEVNULL
        )
        eventually(self._answers, "Redis")

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._process.wait(TIMEOUT)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._directory)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self._socket))
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
            except OSError:
                return False
