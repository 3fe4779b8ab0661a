"""Daemons that are forked rather than started, which saves most of what a start costs."""

import contextlib
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from support.waiting import TIMEOUT

#: A test may say for itself that it runs in another one.
_PYTHON = sys.executable


class Zygote:
    """Forks daemons of one program."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [_PYTHON, "-W", "ignore", "-m", "support.zygote", program],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            # Python would look for fedbadges here first.
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._program = program
        self._pids: queue.Queue[int] = queue.Queue()
        self._codes: dict[int, int] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def fork(
        self,
        arguments: tuple[str, ...],
        directory: Path,
        log: Path,
        environment: Mapping[str, str],
        point: str | None = None,
    ) -> "Forked":
        """Fork a daemon; ``point`` is the failure point at which it dies, if any."""
        assert self._process.stdin is not None
        wanted = {
            "command": [self._program, *arguments],
            "directory": str(directory),
            "log": str(log),
            "environment": dict(environment),
            "point": point,
        }
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return Forked(self._pids.get(timeout=TIMEOUT), self)

    def code(self, pid: int, timeout: float) -> int | None:
        """Return the exit code of a daemon; None if it does not end within so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: pid in self._codes, timeout)
            return self._codes.get(pid)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            pid, _, code = line.partition(" ")
            if not code:
                # The number may have been another's before.
                self._codes.pop(int(pid), None)
                self._pids.put(int(pid))
                continue
            with self._changed:
                self._codes[int(pid)] = int(code)
                self._changed.notify_all()


@functools.cache
def zygote(program: str) -> Zygote:
    """Return the zygote of a program, which all tests of this process share."""
    return Zygote(program)


class Forked:
    """What a hub asks of its process, as ``subprocess.Popen`` answers."""

    def __init__(self, pid: int, parent: Zygote) -> None:
        self.pid = pid
        self._parent = parent
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            self._code = self._parent.code(self.pid, 0.0)
        return self._code

    def wait(self, timeout: float = TIMEOUT) -> int:
        if self._code is None:
            self._code = self._parent.code(self.pid, timeout)
        if self._code is None:
            raise subprocess.TimeoutExpired("hub", timeout)
        return self._code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
