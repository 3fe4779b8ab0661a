"""A hub that is forked rather than started, and dies at a failure point."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.hub import Hub
from support.waiting import TIMEOUT


class Zygote:
    """Forks hubs, one after the other."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        tests = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "support.failure_points.zygote"],
            env={**environment, "PYTHONPATH": str(tests)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def fork(self, directory: Path, log: Path, point: str | None) -> "Forked":
        """Fork a hub; the one before has ended."""
        assert self._process.stdin is not None
        wanted = {"directory": str(directory), "log": str(log), "point": point}
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return Forked(int(self.line(TIMEOUT)), self)

    def line(self, timeout: float | None = None) -> str:
        """Return what it says next; raise queue.Empty if that is nothing."""
        return self._lines.get(timeout=timeout) if timeout else self._lines.get_nowait()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)


class Forked:
    """What a hub asks of its process, as ``subprocess.Popen`` answers."""

    def __init__(self, pid: int, zygote: Zygote) -> None:
        self.pid = pid
        self._zygote = zygote
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            try:
                self._code = int(self._zygote.line())
            except queue.Empty:
                return None
        return self._code

    def wait(self, timeout: float = TIMEOUT) -> int:
        if self._code is None:
            try:
                self._code = int(self._zygote.line(timeout))
            except queue.Empty:
                raise subprocess.TimeoutExpired("hub", timeout) from None
        return self._code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkedHub(Hub):
    """A hub of a zygote of its own; ``point`` is where the next one dies, if anywhere."""

    point: str | None = None

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._zygote = Zygote(self._environment())

    def start(self, command: str = "fedmsg-hub") -> None:
        assert command == "fedmsg-hub"
        self._process = self._zygote.fork(self._directory, self.log_file, self.point)  # type: ignore[assignment]

    def close(self) -> None:
        super().close()
        self._zygote.close()
