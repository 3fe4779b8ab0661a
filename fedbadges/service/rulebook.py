"""The rules in force: loaded from their directory, and reloaded while the daemon runs."""

import contextlib
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserverVFS

from fedbadges.errors import Problem
from fedbadges.rules.criteria import Backends
from fedbadges.rules.file_permissions import PermissionChecker
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import linked_folders, load_directory
from fedbadges.rules.rule import Badge, Rule
from fedbadges.tahrir.badges import Unawardable
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: What watchdog logs as an error if it is stopped while it looks; nothing is wrong.
_STOPPED = "called when the thread is inactive"
logging.getLogger("watchdog.observers.inotify").addFilter(
    lambda record: _STOPPED not in record.getMessage()
)

#: Seconds without a further change before the rules are read again, so that an editor's several
#: writes, or a checkout of many files, are one change.
_CALM = 0.3

#: Seconds between two looks at a directory that the system cannot watch.
_POLLING = 5.0

#: Seconds between two checks whether the directory is still the one that is watched.
_CHECKING = 2.0

#: What the daemon's own reading causes is not among these. With new permissions, others may no
#: longer be able to write a file, or now be.
_CHANGES = frozenset(["created", "modified", "attrib", "moved", "deleted", "closed"])


class RuleBook:
    """Loads rules, shows their badges in tahrir, and logs what is wrong with the others.

    ``publish`` shows badges in tahrir, and returns those that cannot be awarded; it may raise
    Unavailable, and then nothing has changed here. Rules that others can write are refused, or with
    ``insecure`` logged.
    """

    def __init__(
        self,
        directory: Path,
        backends: Backends,
        publish: Callable[[Iterable[Badge]], Unawardable],
        *,
        insecure: bool = False,
    ) -> None:
        self._directory = directory
        self._backends = backends
        self._publish = publish
        self._insecure = insecure
        self._noted: frozenset[Problem] = frozenset()
        self._good: dict[str, Rule] = {}
        self._problems: frozenset[Problem] = frozenset()
        self._loaded = False
        self.rules = RuleSet()

    @property
    def problems(self) -> frozenset[Problem]:
        """Return what was wrong with rules when they were loaded last."""
        return self._problems

    def load(self) -> RuleSet:
        """Load the directory; the last good version of a file that became bad stays in force."""
        permissions = PermissionChecker(self._directory)
        vet = permissions.record if self._insecure else permissions.check
        loaded = load_directory(self._directory, self._backends, self._good, vet)
        published = self._publish(rule.badge for rule in loaded.rules)
        refused = [
            Problem(rule.place, published.refused[rule.badge.id])
            for rule in loaded.rules
            if rule.badge.id in published.refused
        ]
        rules = [rule for rule in loaded.rules if rule.badge.id not in published.refused]
        problems = (*loaded.problems, *refused)
        for problem in problems:
            if problem not in self._problems:
                log.error("Mistake in a rule", mistake=str(problem))
        for rule in rules:
            if rule.badge.id in published.legacy and rule != self._good.get(rule.place.path):
                log.warning(
                    "Legacy badge is not awarded", badge=rule.badge.id, rule=str(rule.place)
                )
        good = {rule.place.path: rule for rule in rules}
        self._warn(frozenset(permissions.recorded))
        self._report(good, frozenset(problems))
        self._good, self._problems, self._loaded = good, frozenset(problems), True
        self.rules = RuleSet(rule for rule in rules if rule.badge.id not in published.legacy)
        return self.rules

    def _warn(self, noted: frozenset[Problem]) -> None:
        """Log once that the daemon runs what others can write."""
        if noted and noted != self._noted:
            paths = [problem.place.path for problem in sorted(noted)]
            log.warning("Insecure rules are loaded", count=len(paths), paths=paths)
        self._noted = noted

    def _report(self, good: dict[str, Rule], problems: frozenset[Problem]) -> None:
        old = self._good
        new, gone = good.keys() - old.keys(), old.keys() - good.keys()
        changed = [path for path in good.keys() & old.keys() if good[path] != old[path]]
        if self._loaded and not (new or gone or changed or problems != self._problems):
            return
        log.info(
            "Loaded rules",
            path=str(self._directory),
            count=len(good),
            new=len(new),
            changed=len(changed),
            removed=len(gone),
            mistakes=len(problems),
        )


class Watcher(FileSystemEventHandler):
    """Calls ``changed`` in a thread of its own when files below ``directory`` have changed.

    Directories that links lead to are watched as well. Every ``looking`` seconds it checks whether
    another directory has taken the place of one that is watched.
    """

    def __init__(
        self, directory: Path, changed: Callable[[], None], looking: float = _CHECKING
    ) -> None:
        self._directory = directory
        self._changed = changed
        self._looking = looking
        self._noticed = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fedbadges-rules", daemon=True)
        self._observer: BaseObserver | None = None
        self._watched: _Roots | None = None
        self._warnings = Throttle()

    def start(self) -> None:
        """Start to watch."""
        self._observe()
        # What changed between loading and watching would go unnoticed.
        self._noticed.set()
        self._thread.start()

    def stop(self) -> None:
        """Stop watching."""
        self._stopping.set()
        self._noticed.set()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note a change; called by watchdog."""
        if event.event_type in _CHANGES:
            self._noticed.set()

    def _observe(self) -> None:
        """Watch the directories that are there now; the next check may find others."""
        if self._observer is not None:
            self._observer.stop()
        self._watched = _roots(self._directory)
        try:
            self._observer = self._make_observer(_outermost(self._watched))
        except OSError:
            self._observer = self._watched = None

    def _make_observer(self, paths: list[Path]) -> BaseObserver | None:
        if not paths:
            return None
        observer: BaseObserver = Observer()
        try:
            self._begin(observer, paths)
        except OSError as error:
            reason = error.strerror or str(error)
            if self._warnings.allows(reason):
                log.warning(
                    "Cannot watch the rule directory, polling it instead",
                    path=str(self._directory),
                    error=reason,
                    seconds=_POLLING,
                )
            observer = PollingObserverVFS(_stat, os.scandir, polling_interval=_POLLING)
            self._begin(observer, paths)
        return observer

    def _begin(self, observer: BaseObserver, paths: list[Path]) -> None:
        for path in paths:
            observer.schedule(self, str(path), recursive=True)
        observer.start()

    def _is_replaced(self) -> bool:
        """Return True if another directory has the place of one that is watched."""
        if _roots(self._directory) != self._watched:
            return True
        # A new directory may get the number of the removed one, but with that its emitter ended.
        observer = self._observer
        return observer is not None and not all(each.is_alive() for each in observer.emitters)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._noticed.wait(self._looking)
            self._keep_up()
            if self._noticed.is_set():
                self._read()
        if self._observer is not None:
            self._observer.stop()

    def _keep_up(self) -> None:
        if self._is_replaced():
            self._observe()
            self._noticed.set()

    def _read(self) -> None:
        while self._noticed.is_set() and not self._stopping.is_set():
            self._noticed.clear()
            self._stopping.wait(_CALM)
            # What is read must be watched before, or nobody would notice when it goes.
            self._keep_up()
        if self._stopping.is_set():
            return
        try:
            self._changed()
        except Exception:  # the rules in force stay, and the next change is read
            log.exception("Could not read the rules again")


#: Directories by their paths without links, each with what tells it from its successor.
_Roots = dict[Path, tuple[int, int]]


def _roots(directory: Path) -> _Roots:
    """Return the directories that must be watched; watchdog does not follow links."""
    found: _Roots = {}
    for folder in (directory, *linked_folders(directory)):
        with contextlib.suppress(OSError):  # gone meanwhile
            actual = Path(os.path.realpath(folder))
            identity = actual.stat()
            found[actual] = (identity.st_dev, identity.st_ino)
    return found


def _outermost(roots: Iterable[Path]) -> list[Path]:
    """Return the directories that are not below another of them."""
    roots = set(roots)
    return [root for root in roots if roots.isdisjoint(root.parents)]


def _stat(path: str) -> os.stat_result:
    """Return the status of what a link leads to, unless that is a directory and may be a loop."""
    found = Path(path).stat()
    return Path(path).lstat() if stat.S_ISDIR(found.st_mode) else found
