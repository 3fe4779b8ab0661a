"""Warming up: counting the past for everybody, before anybody asks.

After an installation, for a new rule or without the counts of the last start, the first question
about somebody counts all that they ever did. So one pass over the history counts it for everybody,
in the background. Until then, and for whatever it cannot count, questions are answered as before.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.databases.advisory_lock import advisory_lock
from fedbadges.errors import DatabaseUnusable, Stopped, Unavailable
from fedbadges.history.history import History
from fedbadges.history.offering import Marks, marks_of
from fedbadges.replay.past_counts import CountedQuestion, PastCounts, counted_questions
from fedbadges.retry import OutageRetry
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
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

#: The advisory lock of whoever counts the past, on datanommer's database; a random number.
_DATABASE, _LOCK = "datanommer", 0x6E2D_41C9_07B3_5F18

#: Seconds to wait for the end of the thread at a stop; it holds nothing that others need.
_STOP = 0.2


class WarmUp:
    """Counts the past of all rules in a thread of its own, where that was not done before.

    ``rules`` returns the rules in force. ``may_begin`` returns True once there is nothing more
    urgent; ``backlog`` how many messages wait. A pass works at most half of the time. One that was
    interrupted goes on with the next start.
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
        self._waiting = False
        self._given_up: list[str] = []
        # For which rules, and marked where, everything is counted.
        self._warm: tuple[object, ...] = ()
        #: What each rule asks, by the ``id`` of the rule.
        self._asked: dict[int, tuple[Rule, list[CountedQuestion]]] = {}
        self._thread = threading.Thread(target=self._run, name="fedbadges-warmup", daemon=True)

    def report(self) -> dict[str, Any]:
        """Return the progress as plain values: while a pass is ``running``, that of the pass.

        Nothing is counted where counts are not ``kept``; everything is, if it is ``warm``, but for
        what rules ask that are ``given_up``, by their badges. While it is ``waiting``, another
        daemon counts. ``trouble`` is why the last pass failed, if it did.
        """
        progress = self._progress
        none = {"done": 0, "count": 0, "seconds_left": None}
        return {
            "kept": self._history.shared is not None or marks_of(self._history) is not None,
            "warm": bool(self._warm),
            "running": progress is not None,
            **(none if progress is None else progress.report()),
            "waiting": self._waiting,
            "given_up": self._given_up if self._warm else [],
            "trouble": self._trouble,
        }

    def start(self) -> None:
        """Start the thread, if counts are kept in a file, or in a cache that others share."""
        has_file = self._history.kept is not None and self._settings.state_directory is not None
        if has_file or self._history.shared is not None:
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
                self._trouble = describe_error(error)
                # An outage ends, and whatever handles messages logs it.
                if not isinstance(error, Unavailable) or isinstance(error, DatabaseUnusable):
                    wait = _RETRY
                    self._log(error)
            finally:
                self._progress = None
            self._stopping.wait(wait)

    def _log(self, error: Exception) -> None:
        if self._failures.allows(error_kind(error)):
            log.error("Could not count the past, trying again later", error=error)

    def step(self) -> None:
        """Count what was not counted before, if it is time for that."""
        marks, rules = marks_of(self._history), self._rules()
        if marks is None or not self._may_begin():
            return
        warm = rules, *marks.where
        if len(warm) == len(self._warm) and all(map(_is, warm, self._warm)):
            return
        self._warm = ()
        questions = self._questions(rules)
        found = self._found(marks, questions)
        if _missing(questions, found):
            with advisory_lock(self._settings.history_url, _DATABASE, _LOCK) as held:
                self._note_waiting(not held)
                if not held or not self._count_missing(marks, questions):
                    return
        else:
            self._remember(marks, questions, found)
        self._warm = warm

    def _questions(self, rules: Iterable[Rule]) -> list[CountedQuestion]:
        """Return what can be counted; a cache that daemons share has counts, but no folds."""
        # A rule that did not change is the same object, and they can be thousands.
        known = self._asked
        self._asked = {
            id(rule): known.get(id(rule)) or (rule, counted_questions([rule])) for rule in rules
        }
        questions = [each for _, found in self._asked.values() for each in found]
        if self._history.shared is None:
            return questions
        return [each for each in questions if each.is_counted]

    def _found(self, marks: Marks, questions: Iterable[CountedQuestion]) -> dict[str, bool | None]:
        return {each.name: marks.find(each.name) for each in questions}

    def _count_missing(self, marks: Marks, questions: Sequence[CountedQuestion]) -> bool:
        """Count what is not marked; return False if that was to no avail."""
        # Others that share the marks may have counted it while this one waited.
        found = self._found(marks, questions)
        missing = _missing(questions, found)
        past = self._count(marks, missing) if missing else None
        if past is not None:
            found |= past.marks()
        elif missing:
            return False
        self._remember(marks, questions, found)
        if past is not None:
            past.forget_checkpoint()
        return True

    def _remember(
        self, marks: Marks, questions: Iterable[CountedQuestion], found: Mapping[str, bool | None]
    ) -> None:
        """Mark what was counted, and note which rules it was too much for."""
        marks.add({name: bool(given_up) for name, given_up in found.items()})
        self._given_up = sorted({each.rule.badge.id for each in questions if found[each.name]})

    def _note_waiting(self, waiting: bool) -> None:
        if waiting and not self._waiting:
            log.info("Another daemon counts the past over this datanommer, waiting for that")
        self._waiting = waiting

    def _count(self, marks: Marks, questions: list[CountedQuestion]) -> PastCounts | None:
        """Count what questions ask; return None if that was to no avail."""
        where = marks.where
        past = PastCounts(self._settings, self._history, questions, self._retry.call)
        rules = len({question.rule.badge.id for question in questions})
        progress: Progress | None = None
        for _ in self._gently(past.run()):
            if progress is None:
                self._log_begin(past, rules)
                self._progress = progress = Progress(past.total, past.done)
            progress.done = past.done
            fields = progress.to_log()
            if fields is not None:
                log.info("Still counting the past of all rules", **fields)
        if self._stopping.is_set() or past.is_outdated:
            return None
        log.info("Counted the past of all rules", count=past.done, counts=past.found)
        given_up = past.marks()
        concerned = {each.rule.badge.id: each.rule for each in questions if given_up[each.name]}
        for rule in concerned.values():
            log.warning(
                "A rule is about too much to count it in advance, counting when it is asked",
                badge=rule.badge.id,
                rule=str(rule.place),
            )
        return past if all(map(_is, where, marks.where)) else None

    def _log_begin(self, past: PastCounts, rules: int) -> None:
        if past.done:
            log.info(
                "Going on to count the past of all rules",
                rules=rules,
                done=past.done,
                count=past.total,
            )
        else:
            log.info("Counting the past of all rules", rules=rules, count=past.total)

    def _gently(self, parts: Iterator[None]) -> Iterator[None]:
        """Yield after each part of the work, and then pause for as long as it took."""
        kept = self._history.kept
        begin = time.monotonic()
        for part in parts:
            yield part
            self._pause(min(time.monotonic() - begin, _MAX_PAUSE))
            while kept is not None and kept.waiting > _MOST_WAITING and kept.has_file:
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


def _missing(
    questions: Iterable[CountedQuestion], found: Mapping[str, bool | None]
) -> list[CountedQuestion]:
    return [each for each in questions if found[each.name] is None]


def _is(one: object, other: object) -> bool:
    return one is other
