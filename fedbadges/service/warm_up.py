"""Warming up: counting the past for everybody, before anybody asks.

After an installation, for a new rule or without the counts of the last start, the first question
about somebody counts all that they ever did. So one pass over the history counts it for everybody,
in the background. Until then, and for whatever it cannot count, questions are answered as before.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.errors import Stopped
from fedbadges.history.history import History
from fedbadges.history.kept.region import Kept
from fedbadges.history.offering import Marks
from fedbadges.replay.past_counts import CountedQuestion, PastCounts, counted_questions
from fedbadges.retry import OutageRetry
from fedbadges.rules.index import RuleSet
from fedbadges.service.progress import Progress
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error, error_kind
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: Seconds between two looks whether there is something to count, and after a failure.
_INTERVAL = 5.0
_RETRY = 600.0

#: The longest pause after a part of the work, in seconds, and how long it waits at most while
#: messages wait.
_MAX_PAUSE = 10.0
_MAX_BACKLOG_WAIT = 10.0

#: How many counts may wait to be written to the file.
_MOST_WAITING = 20_000

#: Seconds to wait for the end of the thread at a stop; it holds nothing that others need.
_STOP = 0.2


class WarmUp:
    """Counts the past of all rules in a thread of its own, where that was not done before.

    ``rules`` returns the rules in force. ``may_begin`` returns True once there is nothing more
    urgent; ``backlog`` how many messages wait. A pass works at most half of the time. One that was
    interrupted begins again with the next start.
    """

    def __init__(
        self,
        settings: Settings,
        history: History,
        retry: OutageRetry,
        rules: Callable[[], RuleSet],
        may_begin: Callable[[], bool],
        backlog: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._history = history
        self._retry = retry
        self._rules = rules
        self._may_begin = may_begin
        self._backlog = backlog
        self._stopping = threading.Event()
        self._failures = Throttle()
        self._progress: Progress | None = None
        self._trouble: str | None = None
        # For which rules, file and epoch everything is counted.
        self._warm: tuple[object, ...] = ()
        self._thread = threading.Thread(target=self._run, name="fedbadges-warmup", daemon=True)

    def report(self) -> dict[str, Any]:
        """Return the progress as plain values: while a pass is ``running``, that of the pass.

        Nothing is counted where counts are not ``kept``; everything is, if it is ``warm``.
        ``trouble`` is why the last pass failed, if it did.
        """
        progress, kept = self._progress, self._history.kept
        none = {"done": 0, "count": 0, "seconds_left": None}
        return {
            "kept": kept is not None and kept.has_file,
            "warm": bool(self._warm),
            "running": progress is not None,
            **(none if progress is None else progress.report()),
            "trouble": self._trouble,
        }

    def start(self) -> None:
        """Start the thread, if counts are kept in a file."""
        if self._history.kept is not None and self._settings.state_directory is not None:
            self._thread.start()

    def request_stop(self) -> None:
        """End the thread after the part of the work that it is at, without waiting for that."""
        self._stopping.set()

    def stop(self) -> None:
        """End the thread, and wait a moment for that."""
        self.request_stop()
        if self._thread.is_alive():
            self._thread.join(_STOP)

    def _run(self) -> None:
        wait = _INTERVAL
        while not self._stopping.is_set():
            wait = _INTERVAL
            try:
                self.step()
                self._trouble = None
            except Stopped:
                return
            except Exception as error:  # whatever it is, questions are answered without it
                if self._stopping.is_set():
                    return
                wait = _RETRY
                self._trouble = describe_error(error)
                if self._failures.allows(error_kind(error)):
                    log.error("Could not count the past, trying again later", error=error)
            finally:
                self._progress = None
            self._stopping.wait(wait)

    def step(self) -> None:
        """Count what was not counted before, if it is time for that."""
        kept, rules = self._history.kept, self._rules()
        if kept is None or kept.file is None or not self._may_begin():
            return
        warm = rules, kept.file, kept.epoch
        if len(warm) == len(self._warm) and all(map(_is, warm, self._warm)):
            return
        self._warm = ()
        marks, questions = Marks(kept), counted_questions(rules)
        names = {question.name for question in questions}
        new = {name for name in names if not marks.has(name)}
        missing = [question for question in questions if question.name in new]
        if missing and not self._count(kept, missing):
            return
        marks.add(sorted(names))
        self._warm = warm

    def _count(self, kept: Kept, questions: list[CountedQuestion]) -> bool:
        """Count what questions ask; return False if that was to no avail."""
        file, epoch = kept.file, kept.epoch
        past = PastCounts(self._settings, self._history, questions, self._retry.call)
        rules = len({question.rule.badge.id for question in questions})
        progress: Progress | None = None
        for _ in self._gently(past.run(), kept):
            if progress is None:
                log.info("Counting the past of all rules", rules=rules, count=past.total)
                self._progress = progress = Progress(past.total)
            progress.done = past.done
            fields = progress.to_log()
            if fields is not None:
                log.info("Still counting the past of all rules", **fields)
        if self._stopping.is_set() or past.is_outdated:
            return False
        log.info("Counted the past of all rules", count=past.done, counts=past.found)
        return kept.file is file and kept.epoch == epoch

    def _gently(self, parts: Iterator[None], kept: Kept) -> Iterator[None]:
        """Yield after each part of the work, and then pause for as long as it took."""
        begin = time.monotonic()
        for part in parts:
            yield part
            self._pause(min(time.monotonic() - begin, _MAX_PAUSE))
            while kept.waiting > _MOST_WAITING and kept.has_file:
                if self._stopping.wait(0.2):
                    break
            if self._stopping.is_set():
                return
            begin = time.monotonic()

    def _pause(self, seconds: float) -> None:
        self._stopping.wait(seconds)
        end = time.monotonic() + _MAX_BACKLOG_WAIT
        while self._backlog() and time.monotonic() < end and not self._stopping.is_set():
            self._stopping.wait(0.1)


def _is(one: object, other: object) -> bool:
    return one is other
