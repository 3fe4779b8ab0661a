"""Garbage collection, where much is made and dropped beside all that a process has loaded."""

import functools
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only_new_garbage() -> Iterator[None]:
    """Let the garbage collector look at new objects only.

    Otherwise it looks again and again at the modules and classes of all libraries, which takes a
    third of the time where a whole history is read. What becomes garbage of the older objects is
    collected afterwards.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@functools.cache
def spare_what_is_loaded() -> None:
    """Let the garbage collector look at new objects only, once and for the rest of the process.

    What is loaded by now is used to the end; waiting messages make the collector look often.
    """
    gc.collect()
    gc.freeze()
