"""The desk: where messages that triggered something are worked on, together if they come fast."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from fedbadges.engine.engine import BadgeEngine, Candidates, Earned, Shared, Triggered
from fedbadges.errors import Stopped
from fedbadges.messages import Message
from fedbadges.retry import OutageRetry, retry_failures
from fedbadges.service.delay_queue import DelayQueue

#: How many messages are worked on together at most.
MOST = 50


class Batcher:
    """Has messages decided, or sent to the waiting room; may be called from several threads.

    ``stored`` tells which message ids datanommer has, and is None where nothing is to be waited
    for; ``backlog`` how many messages come right after; ``done`` is told of each message that is
    done with, and ``failed`` of what went wrong with one that nobody waits for, after three tries.
    """

    def __init__(
        self,
        engine: BadgeEngine,
        waiting: DelayQueue,
        patience: OutageRetry,
        *,
        stored: Callable[[Iterable[str]], set[str]] | None,
        backlog: Callable[[], int],
        done: Callable[[Message], object],
        failed: Callable[[Message, Exception], object],
    ) -> None:
        self._engine = engine
        self._waiting = waiting
        self._patience = patience
        self._stored = stored
        self._backlog = backlog
        self._done = done
        self._failed = failed
        self._lock = threading.Lock()
        self._open: list[Triggered] = []

    def add(self, named: Triggered | None) -> None:
        """Work on a message at once, or later together with those that come right after it.

        None is for a message that triggered nothing: those before it may be due. Raises nothing.
        """
        with self._lock:
            if named is not None:
                self._open.append(named)
        # Only now: whoever takes the last message of the backlog finds this one here.
        self.clear(leave=MOST - 1 if self._backlog() else 0)

    def clear(self, leave: int = 0) -> None:
        """Work on what is here, unless it is no more than ``leave`` messages. Raises nothing."""
        with self._lock:
            if len(self._open) <= leave:
                return
            batch, self._open = self._open, []
        self._work(batch)

    def finish(self, named: Triggered) -> None:
        """Work on a message until it is decided; raises what goes wrong."""
        for case, ready in retry_failures(lambda: self._look([named])):
            if ready:
                self._decide(case)
            else:
                self._waiting.admit(case).result()

    def work(self, batch: Sequence[Triggered]) -> None:
        """Work on messages together, none of which is to be waited for. Raises nothing."""
        for start in range(0, len(batch), MOST):
            self._work(batch[start : start + MOST])

    def _work(self, batch: Sequence[Triggered]) -> None:
        try:
            found = (
                self._look(batch) if len(batch) > 1 else retry_failures(lambda: self._look(batch))
            )
        except Exception as error:  # what one message stumbles over must not cost the others
            if len(batch) > 1 and not isinstance(error, Stopped):
                for named in batch:
                    self._work([named])
                return
            for named in batch:
                self._failed(named.message, error)
            return
        ready = [case for case, is_ready in found if is_ready]
        for case, is_ready in found:
            if not is_ready:
                self._waiting.admit(case)
        self._settle(ready, self._engine.plan(ready))

    def _settle(self, cases: Sequence[Candidates], shared: Shared) -> None:
        """Decide cases together, and by themselves those with which something goes wrong."""
        done = self._award_together(cases, shared) if len(cases) > 1 else set()
        for case in cases:
            if case.message in done:
                self._done(case.message)
            else:
                self._settle_alone(case, shared)

    def _award_together(self, cases: Sequence[Candidates], shared: Shared) -> set[Message]:
        """Give what was earned because of all these messages; tells with which all went well."""
        earned: dict[Message, list[Earned]] = {}
        for case in cases:
            with contextlib.suppress(Exception):  # it will be met again, and told
                judge = partial(self._engine.judge, case, shared)
                earned[case.message] = self._patience.call(judge)
        every = [each for some in earned.values() for each in some]
        try:
            _, failures = self._patience.call(partial(self._engine.award, every))
        except Exception:  # this as well
            return {message for message, some in earned.items() if not some}
        return earned.keys() - failures.keys()

    def _settle_alone(self, case: Candidates, shared: Shared) -> None:
        try:
            self._decide(case, shared)
        except Exception as error:  # whatever it is, the next message may be luckier
            self._failed(case.message, error)
        else:
            self._done(case.message)

    def _look(self, batch: Sequence[Triggered]) -> list[tuple[Candidates, bool]]:
        """Give the cases that are left, and whether each can be decided at once."""
        made = self._patience.call(lambda: self._engine.find_candidates(batch))
        for named, each in zip(batch, made, strict=True):
            if each is None:
                self._done(named.message)
        cases = [case for case in made if case is not None]
        wanted = {msg_id for case in cases if (msg_id := self._awaited(case)) is not None}
        stored = self._ask(wanted)
        return [(case, self._awaited(case) in stored) for case in cases]

    def _ask(self, wanted: set[str]) -> set[str | None]:
        """Tell what need not be waited for: what is stored, and None, which nobody waits for."""
        ask = self._stored
        if ask is None or not wanted:
            return {None}
        return {None} | self._patience.call(lambda: ask(wanted))

    def _awaited(self, case: Candidates) -> str | None:
        waits = self._stored is not None and case.needs_history
        return case.message.msg_id if waits else None

    def _decide(self, case: Candidates, shared: Shared | None = None) -> None:
        retry_failures(lambda: self._patience.call(lambda: self._engine.decide(case, shared)))
