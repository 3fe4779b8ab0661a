"""Retry and back-off: what cannot be answered during an outage is asked again until it can."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from fedbadges.errors import Stopped, Unavailable
from fedbadges.util import instruments
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

#: Seconds between two tries during an outage: they double up to the maximum; a random jitter is
#: added.
_INITIAL_PAUSE = 0.5
_MAX_PAUSE = 30.0
_JITTER = 0.5

#: How often, and after how many seconds, what fails for other reasons is tried.
_TRIES = 3
_PAUSE = 0.2


@dataclass(frozen=True)
class Outage:
    """What does not answer, and since when, in seconds since 1970."""

    reason: str
    since: float


class OutageRetry:
    """Calls again what raises Unavailable; logs the begin and the end of an outage; thread-safe."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        # By the thread that waits for its end, the oldest first.
        self._outages: dict[int, Outage] = {}

    @property
    def outage(self) -> Outage | None:
        """Return what is waited for now, or None."""
        with self._lock:
            return next(iter(self._outages.values()), None)

    def stop(self) -> None:
        """Stop waiting, and from now on try everything once."""
        self._stopping.set()

    def call(self, ask: Callable[[], T]) -> T:
        """Return what ``ask`` returns, after any outage; raise Stopped if the stop comes first."""
        try:
            return ask()
        except Unavailable as unavailable:
            if self._stopping.is_set():
                raise Stopped from unavailable
        # A connection that the server cut is replaced when it is used next: that is no outage yet.
        retrying = Retrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_exponential(_INITIAL_PAUSE, _MAX_PAUSE) + wait_random(0, _JITTER),
            before_sleep=self._begin,
            sleep=self._sleep,
        )
        answered = False
        try:
            answer = retrying(ask)
            answered = True
            return answer
        finally:
            self._end(answered)

    def _sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise Stopped

    def _begin(self, state: RetryCallState) -> None:
        instruments.OUTAGE_RETRIES.inc()
        reason = str(state.outcome and state.outcome.exception())
        with self._lock:
            first = not self._outages
            self._outages.setdefault(threading.get_ident(), Outage(reason, time.time()))
        if first:
            instruments.OUTAGES.inc()
            log.warning("Waiting for an outage to end", error=reason)

    def _end(self, answered: bool) -> None:
        # Others may still wait: what answers one question need not be what they ask.
        with self._lock:
            waited = self._outages.pop(threading.get_ident(), None)
            last = waited is not None and not self._outages
        if last and answered:
            log.info("The outage has ended")


def retry_failures(do: Callable[[], T]) -> T:
    """Return what ``do`` returns; try three times, as an error may be due to the moment only.

    Raises what the last try raised; Unavailable and Stopped at once.
    """
    retrying = Retrying(
        retry=retry_if_not_exception_type((Unavailable, Stopped)),
        stop=stop_after_attempt(_TRIES),
        wait=lambda state: _PAUSE,
        before_sleep=_note_failure,
        reraise=True,
    )
    return retrying(do)


def _note_failure(state: RetryCallState) -> None:
    instruments.FAILURE_RETRIES.inc()
    log.debug("Trying again after a failure", error=state.outcome and state.outcome.exception())
