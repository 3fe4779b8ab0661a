"""The daemon without its hub: everything between a message that comes and an award that is out."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from functools import partial
from pathlib import Path
from typing import Any

from fedbadges.accounts.service import make_accounts
from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import shared_history
from fedbadges.engine.engine import BadgeEngine, Candidates, Triggered
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.errors import CannotStart, NotHandled, NotStored, Stopped
from fedbadges.history.message_reader import MessageReader, StoredMessage
from fedbadges.messages import Message, parse_message
from fedbadges.retry import OutageRetry, retry_failures
from fedbadges.rules.index import RuleSet
from fedbadges.service.batching import Batcher
from fedbadges.service.catch_up import CatchUp
from fedbadges.service.catch_up_reader import CatchUpReader
from fedbadges.service.checkpoint import Checkpoint, CheckpointTracker
from fedbadges.service.database_health import database_health
from fedbadges.service.dead_letters import DeadLetters
from fedbadges.service.delay_queue import DelayQueue
from fedbadges.service.failures import Failures, trace
from fedbadges.service.in_flight import InFlight
from fedbadges.service.publisher import Publisher
from fedbadges.service.ranks import Ranks
from fedbadges.service.recorder import Recorder
from fedbadges.service.rulebook import RuleBook, Watcher
from fedbadges.service.startup import mistake_of, prepare_databases, start_mistakes
from fedbadges.service.status import Reporter
from fedbadges.signatures.retrying_verifier import RetryingVerifier
from fedbadges.tahrir.awarding import AwardResult
from fedbadges.tahrir.database import Tahrir

log = logging.getLogger(__name__)

#: Seconds between two looks whether something hangs, and from how many on it does.
_PAUSE = 0.1
_LONG = 1.0

#: How large the messages in memory are together at most, in characters of JSON. Python needs a few
#: times as much for what is in them.
_MOST_CHARACTERS = 32_000_000


class Daemon:
    """Takes messages and awards badges.

    ``backlog`` tells how many messages wait before it, ``workers`` how many threads hand it
    messages; ``gate`` checks the signatures of what is read back
    from datanommer, unless that is trusted. Making one asks nobody anything; after ``prepare``,
    or a try, comes ``start``.

    ``prepared`` becomes done when the databases have answered and the rules are loaded; it has an
    exception, CannotStart or Stopped, if that will not be.
    """

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        gate: RetryingVerifier | None = None,
        *,
        backlog: Callable[[], int] = lambda: 0,
        workers: int = 1,
    ) -> None:
        self._gate = None if settings.trust_history else gate
        self.prepared: Future[None] = Future()
        self._settings = settings
        self._backlog = backlog
        self._patience = OutageRetry()
        self._ledger = InFlight()
        self._checkpoint = Checkpoint(settings.state_directory)
        self._dead_letters = DeadLetters(settings.state_directory)
        self._tracker = CheckpointTracker(
            self._checkpoint,
            self._ledger,
            margin=settings.keep_counts_distance,
            limit=settings.catchup_limit,
        )
        self._failures = Failures(self._ledger, self._dead_letters)
        self._stopping = self._ending = self._retrying = False
        self._ended = threading.Event()
        self._overflown = False
        backends = load_backends(settings)
        self._history = shared_history(backends, settings)
        self._tahrir = Tahrir(settings)
        self._usernames = FedmsgUsernames(settings.fedmsg)
        self._recorder = Recorder(self._history, self._usernames, self._patience)
        self._publisher = publisher
        self._ranks = Ranks(
            self._tahrir.adjust_ranks, self._publisher.publish, settings.rank_interval
        )
        self._rulebook = RuleBook(
            settings.rules_directory,
            backends,
            self._tahrir.publish_badges,
            insecure=settings.insecure_rules,
        )
        self._engine = BadgeEngine(
            settings,
            self._tahrir,
            RecipientFinder(settings, self._usernames, make_accounts(settings)),
            RuleSet(),
            self._awarded,
        )
        self._watcher = Watcher(settings.rules_directory, self._reload)
        self._waiting = self._make_waiting_room(backlog, workers)
        self._desk = self._make_desk(backlog)
        self._catchup = self._make_catchup(backlog)
        self._reporter = self._make_reporter(backlog)

    def prepare(self) -> None:
        """See that the databases are fit, and load the rules.

        Raises Unavailable where that may be so later, else CannotStart.
        """
        mistakes = start_mistakes(self._settings.fedmsg)
        if mistakes:
            raise CannotStart("; ".join(mistakes))
        try:
            self._checkpoint.prepare()
            self._dead_letters.prepare()
            prepare_databases(self._settings, self._history)
            rules = self._rulebook.load()
        except Exception as error:  # a mistake in the schema, a directory that cannot be made, …
            mistake = mistake_of(error, self._settings)
            if mistake is None:
                self._owe()
                raise
            trace(error)
            raise CannotStart(mistake) from error
        self._owe()
        self._engine.rules = rules
        self._usernames.warn_of(rules)
        self._settle(None)

    def start(self) -> None:
        """Begin to publish, to adjust ranks and to watch for stored messages.

        What is not prepared yet is prepared in the background, as soon as the databases answer.
        """
        self._publisher.start()
        self._ranks.start()
        self._waiting.start()
        if self.prepared.done():
            self._watch()
            return
        threading.Thread(
            target=self._prepare_patiently, name="fedbadges-start", daemon=True
        ).start()

    def handle(self, body: Any, *, size: int = 0, wait: bool = False) -> None:
        """Handle what came from the bus; ``size`` is how large its JSON was, in characters.

        Gives back control while the message waits for datanommer, unless ``wait`` says otherwise.
        Raises NotHandled with ``wait`` only, and nothing without: what went wrong is logged.
        """
        message = parse_message(body, size=size)
        if message is None:
            log.debug("Not a message with a topic: passed over")
            return
        if self._stopping and self._checkpoint.enabled:
            if wait:
                raise NotHandled("stopping")
            self._leave_to_the_next(message)
            return
        self._ledger.begin(message)
        try:
            named = self._name(message, wait)
            if named is None:
                self._ledger.done(message)
            if not wait:
                self._desk.add(named)
                return
            if named is not None:
                self._desk.finish(named)
                self._ledger.done(message)
        except NotHandled:
            # Whoever handed it over still has it.
            self._ledger.release(message)
            raise
        except Exception as error:  # whatever it is, the next message may be luckier
            failure = self._failures.note(message, error)
            if wait and failure is not None:
                raise failure from None

    def report(self) -> dict[str, Any]:
        """Say what it is doing, as plain values; takes a second at most."""
        return self._reporter.report()

    def overflows(self, waiting: int, size: int = 0) -> bool:
        """Tell whether a message is not to wait in memory, but caught up later.

        ``waiting`` messages do so already, and they have ``size`` characters of JSON together.
        Those are added that wait for datanommer, and the size of all that are in hand.
        Where nobody else stores messages, all of them wait in memory.
        """
        if self._settings.record_messages:
            return False
        waiting += self._waiting.undecided()
        size += self._ledger.size
        if waiting < self._settings.backlog_limit and size < _MOST_CHARACTERS:
            return False
        if not self._overflown:
            self._overflown = True
            log.warning(
                "%d messages of %d MB wait; those that come now are caught up from datanommer",
                waiting,
                size // 1_000_000,
            )
        self._catchup.wake()
        return True

    def retry_failed(self) -> list[tuple[Path, str]]:
        """Handle the messages that were set aside; gives those that fail again, with why.

        Raises CannotStart.
        """
        self._retrying = True
        self._patience.call(self.prepare)
        self._publisher.start()
        self._ranks.start()
        self._waiting.start()
        return self._dead_letters.retry(self._retry)

    def _retry(self, message: Message) -> None:
        if self._settings.record_messages:
            self._recorder.record(message)
        named = self._engine.match(message)
        if named is not None:
            self._desk.finish(named)

    def pause(self) -> None:
        """Work on what was put off until more comes, since nothing does."""
        self._desk.clear()
        if self._is_at_ease():
            self._overflown = False

    def hurry(self) -> None:
        """Wait no more for anything: the daemon is about to stop."""
        self._stopping = True
        self._catchup.request_stop()
        self._patience.stop()
        self._settle(Stopped())
        self._waiting.hurry()

    def stop(self) -> None:
        """Decide what waits, tell the bus what was awarded, and end."""
        self._ending = True
        self.hurry()
        self._watcher.stop()
        self._desk.clear()
        self._waiting.stop()
        self._catchup.stop()
        self._ranks.stop()
        self._publisher.stop()
        self._ended.set()

    def leave(self, seconds: float, hangs: Callable[[float], bool] = lambda seconds: False) -> bool:
        """Return True when it has ended, or False if it cannot in so many seconds.

        Then a server hangs, and what is in hand is left to the next start; ``hangs`` tells whether
        something before it does, for longer than some seconds. While nothing hangs, there is much
        to do yet, or it is others who take their time, and it waits.
        """
        if self._ended.wait(seconds):
            return True
        while not (self._ending or self._ledger.is_stuck(_LONG) or hangs(_LONG)):
            if self._ended.wait(_PAUSE):
                return True
        log.warning("Stopping although a question is not answered: what is in hand is put off")
        self._tracker.write(now=True)
        return False

    def _is_at_ease(self) -> bool:
        """Tell whether few messages wait, if any do."""
        return not self._backlog() and self._waiting.undecided() < self._settings.backlog_limit / 2

    def _prepare_patiently(self) -> None:
        try:
            self._patience.call(self.prepare)
        except Stopped as stopped:
            self._settle(stopped)
        except CannotStart as error:
            log.critical("Cannot start: %s", error)
            self._settle(error)
        else:
            self._watch()

    def _owe(self) -> None:
        """Note that what comes from now on is owed, now that it will be handled, if later."""
        if not self._retrying:
            self._tracker.create()

    def _settle(self, failure: Exception | None) -> None:
        with contextlib.suppress(InvalidStateError):  # the first word on it is the last
            if failure is None:
                self.prepared.set_result(None)
            else:
                self.prepared.set_exception(failure)

    def _watch(self) -> None:
        self._catchup.start()
        if self._settings.reload:
            self._watcher.start()

    def _await_start(self, wait: bool) -> None:
        if wait and not self.prepared.done():
            raise NotHandled("not started yet")
        self.prepared.result()

    def _name(self, message: Message, wait: bool) -> Triggered | None:
        try:
            self._await_start(wait)
        except Stopped:
            if self._settings.record_messages and not wait:
                self._record(message, wait)
            raise
        if self._settings.record_messages:
            self._record(message, wait)
        return self._patience.call(lambda: self._engine.match(message))

    def _record(self, message: Message, wait: bool) -> None:
        try:
            self._recorder.record(message)
        except Stopped as stopped:
            if wait or not self._checkpoint.enabled:
                raise
            raise NotStored from stopped

    def _decide_after_waiting(self, case: Candidates) -> None:
        if self._stopping and self._checkpoint.enabled:
            # There may be thousands; the next start catches them up.
            self._ledger.requeue(case.message)
            raise NotHandled("stopping")
        try:
            retry_failures(lambda: self._patience.call(lambda: self._engine.decide(case)))
        except Exception as error:  # of a case that nobody waits for, nobody else would hear
            if self._retrying:
                raise
            failure = self._failures.note(case.message, error)
            if failure is not None:
                raise failure from None
        else:
            self._ledger.done(case.message)

    def _catch_up(self, archived: Sequence[StoredMessage]) -> None:
        """Handle messages that the bus did not bring."""
        batch = []
        for each in archived:
            message = parse_message(each.body, each.users, each.size)
            if message is None:
                continue
            self._ledger.begin(message)
            try:
                named = self._patience.call(partial(self._engine.match, message))
            except Exception as error:  # the next message may be luckier
                self._failures.note(message, error)
                continue
            if named is None:
                self._ledger.done(message)
            else:
                batch.append(named)
        self._desk.work(batch)

    def _leave_to_the_next(self, message: Message) -> None:
        """Have a message caught up by the next process, now that this one stops. Raises nothing."""
        self._ledger.begin(message)
        try:
            if self._settings.record_messages:
                self._record(message, wait=False)
        except Exception as error:  # nobody else has it
            self._failures.note(message, error)
        else:
            self._ledger.requeue(message)

    def _awarded(self, given: AwardResult) -> None:
        self._publisher.publish(given.notice)
        self._ranks.note(given.person_id)

    def _reload(self) -> None:
        try:
            rules = self._patience.call(self._rulebook.load)
        except Stopped:
            return
        self._engine.rules = rules
        self._usernames.warn_of(rules)

    def _make_waiting_room(self, backlog: Callable[[], int], workers: int) -> DelayQueue:
        return DelayQueue(
            self._history.stored,
            self._decide_after_waiting,
            delay=self._settings.consume_delay,
            limit=self._settings.delay_limit,
            backlog=backlog,
            workers=workers,
            # Counts were short of it: once it is stored, it is handled again.
            unstored=lambda case: self._ledger.release(case.message),
        )

    def _make_desk(self, backlog: Callable[[], int]) -> Batcher:
        return Batcher(
            self._engine,
            self._waiting,
            self._patience,
            # What the daemon has stored itself is there.
            stored=None if self._settings.record_messages else self._history.stored,
            backlog=backlog,
            done=self._ledger.done,
            failed=self._failures.note,
        )

    def _make_catchup(self, backlog: Callable[[], int]) -> CatchUp:
        return CatchUp(
            CatchUpReader(MessageReader(self._settings), self._ledger, self._gate),
            self._tracker,
            self._catch_up,
            self._patience,
            interval=self._settings.sweep_interval,
            backlog=backlog,
        )

    def _make_reporter(self, backlog: Callable[[], int]) -> Reporter:
        return Reporter(
            tallies=self._engine.statistics,
            prepared=self.prepared,
            patience=self._patience,
            ledger=self._ledger,
            waiting=self._waiting,
            catchup=self._catchup,
            rulebook=self._rulebook,
            publisher=self._publisher,
            dead_letters=self._dead_letters,
            pulse=database_health(self._settings),
            backlog=backlog,
            overflown=lambda: self._overflown and not self._is_at_ease(),
        )
