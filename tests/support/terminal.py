"""Commands that run in a terminal."""

import os
import pty
import signal
import subprocess
from pathlib import Path


def on_terminal(*command: str | Path, until: str | None = None, **environment: str) -> str:
    """Return what a command shows to somebody who sits before a terminal.

    As soon as it has shown the text ``until``, it is interrupted.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "60"} | environment,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            some = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        shown += some
        if until is not None and until.encode() in shown:
            process.send_signal(signal.SIGINT)
            until = None
    os.close(ours)
    process.wait()
    return shown.decode()
