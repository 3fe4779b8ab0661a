"""SIGTERM while the daemon is loaded: nothing is in flight, so the process ends at once, with 0.

Imports nothing that takes time, as Python's own handling of the signal ends the process with an
error until then.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

#: Seconds between two signs of life of a bus's main loop.
BEAT = 5.0


def exit_on_sigterm() -> None:
    """Exit with 0 on SIGTERM from now on, unless somebody handles the signal already."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def do_not_exit_on_sigterm() -> None:
    """Leave the signal to others again, as the daemon does not run in this process."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGTERM) is _exit:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def exit_at_once(code: int = os.EX_OK) -> NoReturn:
    """Exit, whatever other threads do."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # closed, or interrupted while it writes
            stream.flush()
    os._exit(code)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    exit_at_once()
