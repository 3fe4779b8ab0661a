"""Whether the daemon hangs, so that only a restart helps, and what systemd is told of that."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from fedbadges.service.lifecycle import State
from fedbadges.service.systemd import Systemd
from fedbadges.service.wiring import Parts
from fedbadges.util.logs import get_logger
from fedbadges.util.text import printable

log = get_logger(__name__)

#: Seconds after which the bus's main loop hangs, and those after which the handling of messages
#: does. A question about a long history can take minutes, and a restart would only ask it again.
_LOOP_HANGS = 60.0
_HANDLING_HANGS = 1800.0

_HOUR = 3600.0
_MINUTE = 60.0


@dataclass
class _Progress:
    """When something was seen to move last, in seconds of a clock."""

    at: float
    value: object = field(default=None)


class AwardRate:
    """Tells the awards of the last hour from a counter that only grows."""

    def __init__(self) -> None:
        # A moment and the counter then, a minute apart; the oldest is at most an hour old.
        self._samples: deque[tuple[float, int]] = deque()

    def update(self, now: float, count: int) -> int:
        """Return how many of ``count`` awards were made within the last hour, as far as known."""
        if not self._samples or now - self._samples[-1][0] >= _MINUTE:
            self._samples.append((now, count))
        while len(self._samples) > 1 and now - self._samples[1][0] >= _HOUR:
            self._samples.popleft()
        return count - self._samples[0][1]


class Liveness:
    """Checks in a thread of its own whether the daemon hangs, and tells systemd if it does not.

    The bus's main loop calls ``beat`` every few seconds, once it has begun. Messages that wait for
    datanommer wait ``delay`` seconds at most. The daemon does not hang while it waits for a
    database or service, nor while a database does not answer: a restart would not help.
    """

    def __init__(
        self,
        parts: Parts,
        delay: float,
        systemd: Systemd,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parts = parts
        self._delay = delay
        self._systemd = systemd
        self._clock = clock
        #: Why only a restart helps, as far as was seen at the last check.
        self.reason: str | None = None
        self._beat: float | None = None
        self._handling = _Progress(clock())
        self._checked = clock()
        self._rate = AwardRate()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fedbadges-liveness", daemon=True)

    def beat(self) -> None:
        """Note that the bus's main loop runs."""
        self._beat = self._clock()

    def start(self) -> None:
        """Start the thread."""
        self._rate.update(self._clock(), self._parts.engine.statistics.awards)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()

    def check(self) -> None:
        """Check now, and tell systemd."""
        now = self._clock()
        self._forgive_a_pause(now)
        before, self.reason = self.reason, self._find_reason(now)
        if self.reason is None:
            self._systemd.alive(self.status(now))
            return
        self._systemd.hanging(self.reason)
        if before is None:
            log.critical("The daemon hangs, a restart is needed", reason=self.reason)

    def status(self, now: float) -> str:
        """Return in one line what the daemon does."""
        awards = self._rate.update(now, self._parts.engine.statistics.awards)
        return f"{self._activity()}, {awards} awards in the last hour"

    def _activity(self) -> str:
        parts = self._parts
        outage = parts.outages.outage or (parts.verifier and parts.verifier.outage)
        if outage:
            return f"waiting for {printable(outage.reason)}"
        if parts.lifecycle.state is not State.RUNNING:
            return "stopping" if parts.lifecycle.is_draining else "starting"
        catch_up = parts.catch_up.report()
        if catch_up["running"]:
            return f"catching up, {catch_up['done']} of {catch_up['count']} messages read"
        return "running" if catch_up["until"] is None else "caught up"

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.check()
            except Exception:  # the watchdog hears of it by hearing nothing
                log.exception("Cannot check whether the daemon hangs")
            self._stopping.wait(self._systemd.interval)

    def _forgive_a_pause(self, now: float) -> None:
        """Begin anew after all threads stood still, such as of a machine that was asleep."""
        pause, self._checked = now - self._checked, now
        if pause > _LOOP_HANGS / 2:
            self._handling.at = now
            if self._beat is not None:
                self._beat = now

    def _find_reason(self, now: float) -> str | None:
        parts = self._parts
        state = parts.lifecycle.state
        if state is State.FAILED:
            return "it cannot start"
        waits = parts.outages.outage or (parts.verifier and parts.verifier.outage)
        if state is not State.RUNNING or waits or self._progresses():
            self._handling.at = now
        if state is not State.RUNNING or waits:
            return None
        # In moksha's blocking mode, messages are handled in the main loop.
        if self._beat is not None and now - self._beat > _LOOP_HANGS + self._delay:
            return self._unless_databases_hang("the bus's main loop does not run")
        if now - self._handling.at > _HANDLING_HANGS + self._delay:
            return self._unless_databases_hang("no message is handled, though some wait")
        return None

    def _progresses(self) -> bool:
        """Return True if a message was handled or refused since the last check, or none waits."""
        parts = self._parts
        verified = 0 if parts.verifier is None else parts.verifier.verified
        before, self._handling.value = self._handling.value, (parts.in_flight.handled, verified)
        idle = not len(parts.in_flight) and not parts.backlog()
        return idle or before != self._handling.value

    def _unless_databases_hang(self, reason: str) -> str | None:
        return None if any(self._parts.health.check().values()) else reason
