"""Ctrl-C, held back while something must not be left half done."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deferring_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt for a Ctrl-C only after the block; only in the main thread."""
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
