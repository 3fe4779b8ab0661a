"""Counts in memory, and behind them a file, from which they are read when they are first asked for.

Writing waits for nobody: what has changed is noted, and written by somebody else. So a crash loses
the last progress of counts. What is left is true, since the rows that a base has do not change.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar

from fedbadges.history.kept.file import CountFile, Entry, is_damage
from fedbadges.util.caching import BoundedDict

#: How many counts are in memory at most, and how many may wait to be written.
_MOST = 200_000
_MOST_CHANGED = 100_000


class Keepable(Protocol):
    """What can be written to the file."""

    def entry(self) -> Entry:
        """Return what the file keeps of it; raise NotPlain if it cannot be kept there."""


T = TypeVar("T", bound=Keepable)
U = TypeVar("U")


class Kept:
    """What is read from a file, and what must be written there; safe to use from several threads.

    Without a file nothing is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed: BoundedDict[str, Keepable] = BoundedDict(_MOST_CHANGED)
        self._file: CountFile | None = None
        #: What distinguishes the keys from those of a history that was replaced.
        self.epoch = ""
        #: What was found to be wrong with the file, which is not used any more then.
        self.failure: Exception | None = None

    @property
    def has_file(self) -> bool:
        """Return True if there is a file."""
        return self._file is not None

    @property
    def file(self) -> CountFile | None:
        """Return the file, if there is one."""
        return self._file

    @property
    def waiting(self) -> int:
        """Return how much must be written."""
        return len(self._changed)

    def read(self, key: str, parse: Callable[[Entry], U]) -> U | None:
        """Return what the file has, which ``parse`` understands; None if it has nothing."""
        file = self._file
        try:
            entry = None if file is None else file.read(self.epoch + key)
            return None if entry is None else parse(entry)
        except Exception as error:  # a count is not worth failing for, whatever it is
            if is_damage(error):
                with self._lock:
                    if self._file is file:
                        self._file, self.failure = None, error
            return None

    def note(self, key: str, value: Keepable, epoch: str | None = None) -> None:
        """Note that something must be written, unless it is of an epoch that has ended."""
        if self._file is not None:
            with self._lock:
                if epoch is None or epoch == self.epoch:
                    self._changed[self.epoch + key] = value

    def attach(self, file: CountFile, epoch: str) -> None:
        """Read and write a file from now on, with keys of this epoch."""
        with self._lock:
            self._changed = BoundedDict(_MOST_CHANGED)
            self._file, self.failure, self.epoch = file, None, epoch

    def detach(self) -> None:
        """Go on in memory alone."""
        with self._lock:
            self._file = self.failure = None

    def forget(self, epoch: str) -> None:
        """Drop what must be written, and know nothing of what was."""
        with self._lock:
            self._changed = BoundedDict(_MOST_CHANGED)
            self.epoch = epoch

    def take(self) -> Mapping[str, Keepable]:
        """Return what must be written, and regard it as written."""
        with self._lock:
            changed, self._changed = self._changed, BoundedDict(_MOST_CHANGED)
        return changed

    def put_back(self, changed: Mapping[str, Keepable]) -> None:
        """Note again what was not written."""
        with self._lock:
            for key, value in changed.items():
                if key not in self._changed:
                    self._changed[key] = value


class KeptCounts(Generic[T]):
    """A region of counts in memory, with what is kept behind it."""

    def __init__(self, kept: Kept, parse: Callable[[Entry], T]) -> None:
        self._kept = kept
        self._parse = parse
        # None for what the file does not have.
        self._memory: BoundedDict[str, T | None] = BoundedDict(_MOST)

    def __len__(self) -> int:
        return len(self._memory)

    def get(self, key: str) -> T | None:
        """Return a count; None if there is none."""
        memory = self._memory
        if key in memory or not self._kept.has_file:
            return memory.get(key)
        found = self._kept.read(key, self._parse)
        if key not in memory:
            memory[key] = found
        return found

    def set(self, key: str, value: T) -> None:
        """Cache a count, and note that it must be written."""
        self._memory[key] = value
        self._kept.note(key, value)

    def note_all(self) -> None:
        """Note everything that is in memory, as there is a new file."""
        memory, self._memory = self._memory, BoundedDict(_MOST)
        for key, value in memory.copy().items():
            if value is not None:
                self.set(key, value)
