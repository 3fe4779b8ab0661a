"""The rules in force: loaded from their directory, and kept up to date while the daemon runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from fedbadges.rules.criteria import Backends
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import load_directory
from fedbadges.rules.problems import Problem
from fedbadges.rules.rule import Badge, Rule

log = logging.getLogger(__name__)

#: Seconds without a further change before the rules are read again, so that an editor's several
#: writes, or a checkout of many files, are one change.
_CALM = 0.3

#: Seconds between two looks at a directory that the system cannot watch.
_POLLING = 5.0

#: What the daemon's own reading causes is not among these.
_CHANGES = frozenset(["created", "modified", "moved", "deleted", "closed"])


class RuleBook:
    """Loads rules, makes tahrir show their badges, and says what is wrong with the others.

    ``publish`` makes tahrir show some badges, and gives the ids of those that it cannot award; it
    may raise Unavailable, and then nothing has changed here.
    """

    def __init__(
        self,
        directory: Path,
        backends: Backends,
        publish: Callable[[Iterable[Badge]], frozenset[str]],
    ) -> None:
        self._directory = directory
        self._backends = backends
        self._publish = publish
        self._good: dict[str, Rule] = {}
        self._problems: frozenset[Problem] = frozenset()
        self._loaded = False
        self.rules = RuleSet()

    def load(self) -> RuleSet:
        """Read the directory; the last good version of a file that became bad stays in force."""
        loaded = load_directory(self._directory, self._backends, self._good)
        good = {rule.place.path: rule for rule in loaded.rules}
        legacy = self._publish(rule.badge for rule in loaded.rules)
        for problem in loaded.problems:
            if problem not in self._problems:
                log.error("%s", problem)
        for rule in loaded.rules:
            if rule.badge.id in legacy and rule != self._good.get(rule.place.path):
                log.warning("%s: '%s' is a legacy badge: not awarded", rule.place, rule.badge.id)
        problems = frozenset(loaded.problems)
        self._report(good, problems)
        self._good, self._problems, self._loaded = good, problems, True
        self.rules = RuleSet(rule for rule in loaded.rules if rule.badge.id not in legacy)
        return self.rules

    def _report(self, good: dict[str, Rule], problems: frozenset[Problem]) -> None:
        old = self._good
        new, gone = good.keys() - old.keys(), old.keys() - good.keys()
        changed = [path for path in good.keys() & old.keys() if good[path] != old[path]]
        if self._loaded and not (new or gone or changed or problems != self._problems):
            return
        log.info(
            "%d rules from %s: %d new, %d changed, %d gone; %d mistakes",
            len(good),
            self._directory,
            len(new),
            len(changed),
            len(gone),
            len(problems),
        )


class Watcher(FileSystemEventHandler):
    """Calls ``changed`` in a thread of its own, when files below ``directory`` have changed."""

    def __init__(self, directory: Path, changed: Callable[[], None]) -> None:
        self._directory = directory
        self._changed = changed
        self._noticed = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fedbadges-rules", daemon=True)
        self._observer: BaseObserver | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._observer = self._observe(Observer())
        # What changed between loading and watching would go unnoticed.
        self._noticed.set()
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopping.set()
        self._noticed.set()
        if self._observer is not None:
            self._observer.stop()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take note of a change; called by watchdog."""
        if event.event_type in _CHANGES:
            self._noticed.set()

    def _observe(self, observer: BaseObserver) -> BaseObserver:
        try:
            observer.schedule(self, str(self._directory), recursive=True)
            observer.start()
        except OSError as error:
            log.warning(
                "Cannot watch %s (%s): looking every %g s instead",
                self._directory,
                error.strerror or error,
                _POLLING,
            )
            observer = PollingObserver(timeout=_POLLING)
            observer.schedule(self, str(self._directory), recursive=True)
            observer.start()
        return observer

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._noticed.wait()
            while self._noticed.is_set() and not self._stopping.is_set():
                self._noticed.clear()
                self._stopping.wait(_CALM)
            if self._stopping.is_set():
                return
            try:
                self._changed()
            except Exception:  # the rules in force stay, and the next change is read
                log.exception("Could not read the rules again")
