"""Start and stop of the daemon: one state machine, which every part is told through."""

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from enum import Enum
from typing import Any

from fedbadges.errors import CannotStart, Stopped
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error

log = get_logger(__name__)


class State(Enum):
    """What the daemon is doing as a whole."""

    #: Nothing runs yet.
    CREATED = "created"
    #: The databases have not answered yet, or the rules are not loaded; messages wait.
    STARTING = "starting"
    RUNNING = "running"
    #: Nothing is waited for any more; what is in flight is finished or released.
    DRAINING = "draining"
    #: Nothing hands over messages any more; the parts end, or have ended.
    STOPPED = "stopped"
    #: It cannot start, and waiting does not help; the parts have ended.
    FAILED = "failed"


_NEXT = {
    State.CREATED: {State.STARTING, State.FAILED, State.DRAINING},
    State.STARTING: {State.RUNNING, State.FAILED, State.DRAINING},
    State.RUNNING: {State.FAILED, State.DRAINING},
    State.FAILED: {State.DRAINING},
    State.DRAINING: {State.STOPPED},
    State.STOPPED: set(),
}


class Lifecycle:
    """The state of the daemon, and what is done when it changes; thread-safe.

    ``started`` becomes done when the daemon is running; it has an exception, CannotStart or
    Stopped, if it never will be.
    """

    def __init__(self) -> None:
        self.state = State.CREATED
        #: When it changed last, in seconds of ``time.monotonic``.
        self.entered = time.monotonic()
        self.started: Future[None] = Future()
        self._has_started = False
        self._lock = threading.Lock()
        self._actions: dict[State, list[Callable[[], object]]] = {state: [] for state in State}
        #: Set when every part has ended.
        self.stopped = threading.Event()

    @property
    def is_draining(self) -> bool:
        """Return True from the moment on that the daemon was told to stop."""
        return self.state in (State.DRAINING, State.STOPPED)

    def on(self, state: State, *actions: Callable[[], object]) -> None:
        """Add to what is done when a state is entered, in this order."""
        self._actions[state] += actions

    def enter(self, state: State) -> bool:
        """Change the state and do what belongs to it; return False if it cannot change to that.

        Raises CannotStart if a part cannot start. The state is ``FAILED`` then, and all have ended.
        """
        with self._lock:
            before = self.state
            if state not in _NEXT[before]:
                return False
            self.state, self.entered = state, time.monotonic()
        for action in self._actions[state]:
            try:
                action()
            except Exception as error:  # whatever a part raises, the others must stop
                if state is State.RUNNING:
                    reason = CannotStart(describe_error(error))
                    self.fail(reason)
                    raise reason from error
                log.exception("A part of the daemon did not stop")
        fields: dict[str, Any] = {"from": before.value, "to": state.value}
        log.info("Daemon state changed", **fields)
        if state is State.RUNNING:
            self._settle(None)
        elif state is State.DRAINING:
            self._settle(Stopped())
        elif state is State.STOPPED:
            self.stopped.set()
        return True

    def fail(self, error: CannotStart) -> None:
        """Enter ``FAILED`` and log why, unless the daemon was told to stop."""
        if self.enter(State.FAILED):
            # Before whoever waits for the start ends the process because of it.
            log.critical("Cannot start", error=str(error))
            self._settle(error)

    def stop(self) -> None:
        """Drain, stop every part and return when all have ended, whoever stops them."""
        self.enter(State.DRAINING)
        if not self.enter(State.STOPPED):
            self.stopped.wait()

    def wait_until_started(self) -> bool:
        """Return True when the daemon is running, False if it stops before; raise CannotStart."""
        # Nearly always; the future would take a lock for each message.
        if self._has_started:
            return True
        try:
            self.started.result()
        except Stopped:
            return False
        return True

    def _settle(self, failure: Exception | None) -> None:
        with contextlib.suppress(InvalidStateError):  # settled before, such as by a stop meanwhile
            if failure is None:
                self.started.set_result(None)
                self._has_started = True
            else:
                self.started.set_exception(failure)
