"""The daemon without its hub: everything between a message that comes and an award that is out."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from functools import partial
from pathlib import Path
from typing import Any

from fedbadges.accounts import make_accounts
from fedbadges.archive import Archive, Archived
from fedbadges.catchup import CatchUp
from fedbadges.datanommer import history_behind
from fedbadges.desk import Desk
from fedbadges.engine import Case, Engine, Named
from fedbadges.ledger import Ledger
from fedbadges.messages import Message, parse_message
from fedbadges.once import PERIOD, Throttle
from fedbadges.patience import Patience, Stopped, thrice
from fedbadges.preparing import mistake_of, prepare_databases
from fedbadges.publisher import Publisher
from fedbadges.pulse import pulse_of
from fedbadges.ranks import Ranks
from fedbadges.report import Reporter
from fedbadges.rulebook import RuleBook, Watcher
from fedbadges.rules.criteria import Backend, Backends, Unavailable
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import concern_of
from fedbadges.settings import Settings
from fedbadges.signatures.gate import Gate
from fedbadges.state import State
from fedbadges.tahrir import Given, Tahrir
from fedbadges.tallies import Tallies
from fedbadges.usernames import BUILTIN_CATEGORIES, Usernames
from fedbadges.waiting import WaitingRoom
from fedbadges.words import kind_of, words_of

log = logging.getLogger(__name__)

_SAID_ONCE = f"The same of other messages is not said for {PERIOD / 60:g} minutes"
_STOPPING = "Stopping before %r could be handled"

#: Seconds between two looks whether something hangs.
_PAUSE = 0.1


class CannotStart(Exception):
    """Something is wrong that waiting does not mend; its text is one line."""


class NotHandled(Exception):
    """A message is not done with, and is to be handed over again, if whoever has it can."""


class Daemon:
    """Takes messages and awards badges.

    ``backlog`` tells how many messages wait before it, ``workers`` how many threads hand it
    messages; ``run`` is given to the Publisher; ``gate`` checks the signatures of what is read back
    from datanommer, unless that is trusted. Making one asks nobody anything; after ``prepare``,
    or a try, comes ``start``.

    ``prepared`` becomes done when the databases have answered and the rules are loaded; it has an
    exception, CannotStart or Stopped, if that will not be.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        backlog: Callable[[], int] = lambda: 0,
        workers: int = 1,
        run: Callable[[Callable[[], None]], object] = lambda function: function(),
        gate: Gate | None = None,
    ) -> None:
        self._gate = None if settings.trust_history else gate
        self.prepared: Future[None] = Future()
        self._settings = settings
        self._patience = Patience()
        self._failures = Throttle()
        self._ledger = Ledger()
        self._state = State(settings.state_directory)
        self._stopping = self._ending = False
        self._ended = threading.Event()
        self._overflown = False
        backends = load_backends(settings)
        self._history = history_behind(backends, settings)
        self._tahrir = Tahrir(settings)
        self._usernames = Usernames(settings.fedmsg)
        self._publisher = Publisher(settings.fedmsg, run)
        self._ranks = Ranks(
            self._tahrir.adjust_ranks, self._publisher.publish, settings.rank_interval
        )
        self._rulebook = RuleBook(
            settings.rules_directory,
            backends,
            self._tahrir.publish_badges,
            insecure=settings.insecure_rules,
        )
        self._nameless: list[str] = []
        tallies = Tallies()
        self._engine = Engine(
            settings,
            self._tahrir,
            self._usernames,
            RuleSet(),
            self._awarded,
            make_accounts(settings),
            tallies=tallies,
        )
        self._watcher = Watcher(settings.rules_directory, self._reload)
        waiting = WaitingRoom(
            self._history.stored,
            self._decide_after_waiting,
            delay=settings.consume_delay,
            limit=settings.delay_limit,
            backlog=backlog,
            workers=workers,
            # Counts were short of it: once it is stored, it is handled again.
            unstored=lambda case: self._ledger.forget(case.message),
        )
        self._waiting = waiting
        self._desk = Desk(
            self._engine,
            waiting,
            self._patience,
            # What the daemon has stored itself is there.
            stored=None if settings.record_messages else self._history.stored,
            backlog=backlog,
            done=self._ledger.done,
            failed=self._fail,
        )
        self._catchup = CatchUp(
            Archive(settings),
            self._catch_up,
            self._heeded,
            self._ledger,
            self._state,
            self._patience,
            interval=settings.sweep_interval,
            distance=settings.keep_counts_distance,
            limit=settings.catchup_limit,
            backlog=backlog,
        )
        self._reporter = Reporter(
            tallies=tallies,
            prepared=self.prepared,
            patience=self._patience,
            ledger=self._ledger,
            waiting=waiting,
            catchup=self._catchup,
            rulebook=self._rulebook,
            publisher=self._publisher,
            state=self._state,
            pulse=pulse_of(settings),
            backlog=backlog,
            overflown=lambda: self._overflown,
        )

    def prepare(self) -> None:
        """See that the databases are fit, and load the rules.

        Raises Unavailable where that may be so later, else CannotStart.
        """
        try:
            self._state.prepare()
            prepare_databases(self._settings, self._history)
            rules = self._rulebook.load()
        except Exception as error:  # a mistake in the schema, a directory that cannot be made, …
            mistake = mistake_of(error, self._settings)
            if mistake is None:
                raise
            _trace(error)
            raise CannotStart(mistake) from error
        self._engine.rules = rules
        self._warn_of_nameless(rules)
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

    def handle(self, body: Any, *, wait: bool = False) -> None:
        """Handle what came from the bus.

        Gives back control while the message waits for datanommer, unless ``wait`` says otherwise.
        Raises NotHandled with ``wait`` only, and nothing without: what went wrong is logged.
        """
        message = parse_message(body)
        if message is None:
            log.debug("Not a message with a topic: passed over")
            return
        if self._stopping and self._left_to_the_next(message):
            if wait:
                raise NotHandled("stopping")
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
            self._ledger.forget(message)
            raise
        except Exception as error:  # whatever it is, the next message may be luckier
            failure = self._fail(message, error)
            if wait and failure is not None:
                raise failure from None

    def report(self) -> dict[str, Any]:
        """Say what it is doing, as plain values; takes a second at most."""
        return self._reporter.report()

    def overflows(self, waiting: int) -> bool:
        """Tell whether a message is not to wait in memory, where so many do, but caught up later.

        Those are added that wait for datanommer.
        Where nobody else stores messages, all of them wait in memory.
        """
        if self._settings.record_messages:
            return False
        waiting += self._waiting.undecided()
        if waiting < self._settings.backlog_limit:
            return False
        if not self._overflown:
            self._overflown = True
            log.warning(
                "%d messages wait; those that come now are caught up from datanommer", waiting
            )
        self._catchup.soon()
        return True

    def retry_failed(self) -> list[tuple[Path, str]]:
        """Handle the messages that were set aside; gives those that fail again, with why.

        Raises CannotStart.
        """
        self._patience.insist(self.prepare)
        self._publisher.start()
        self._ranks.start()
        self._waiting.start()
        again: list[tuple[Path, str]] = []
        for failed in self._state.failed():
            try:
                self._retry(failed.body)
            except Exception as error:  # whatever it failed with before
                again.append((failed.path, words_of(error)))
            else:
                failed.path.unlink(missing_ok=True)
                log.info("Handled %r, which had failed", failed.body.get("msg_id"))
        return again

    def _retry(self, body: Any) -> None:
        message = parse_message(body)
        named = None if message is None else self._engine.name(message)
        if named is not None:
            self._desk.finish(named)

    def pause(self) -> None:
        """Work on what was put off until more comes, since nothing does."""
        self._desk.clear()

    def hurry(self) -> None:
        """Wait no more for anything: the daemon is about to stop."""
        self._stopping = True
        self._catchup.hurry()
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

    def leave(self, seconds: float) -> bool:
        """Return True when it has ended, or False if it cannot in so many seconds.

        Then a server hangs, and what is in hand is left to the next start. While nothing is in
        hand, it is others who take their time, and it waits for them.
        """
        if self._ended.wait(seconds):
            return True
        while not (self._ending or len(self._ledger)):
            if self._ended.wait(_PAUSE):
                return True
        log.warning("Stopping although a question is not answered: what is in hand is put off")
        self._catchup.leave()
        return False

    def _prepare_patiently(self) -> None:
        try:
            self._patience.insist(self.prepare)
        except Stopped as stopped:
            self._settle(stopped)
        except CannotStart as error:
            log.critical("Cannot start: %s", error)
            self._settle(error)
        else:
            self._watch()

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

    def _fail(self, message: Message, error: Exception) -> NotHandled | None:
        """Log why a message is not handled, and set it aside; gives what says so to its sender.

        None, where it was set aside: then it is done with.
        """
        if isinstance(error, CannotStart):  # which was said
            self._ledger.forget(message)
            return NotHandled("not started")
        if isinstance(error, Stopped):
            self._ledger.give_up(message)
            if not self._state.kept:
                log.warning(_STOPPING, message.msg_id)
            return NotHandled("stopping")
        path = self._state.set_aside(message, error)
        if path is None:
            self._ledger.keep(message)
        else:
            self._ledger.done(message)
        if path is not None or self._failures.first(("handle", *kind_of(error))):
            _trace(error)
            log.error(
                "Could not handle %r: %s. %s",
                message.msg_id,
                words_of(error),
                f"It is set aside in {path}" if path else _SAID_ONCE,
            )
        return NotHandled(words_of(error)) if path is None else None

    def _name(self, message: Message, wait: bool) -> Named | None:
        self._await_start(wait)
        if self._settings.record_messages:
            self._record(message)
        return self._patience.insist(lambda: self._engine.name(message))

    def _store(self, message: Message) -> None:
        users, packages = self._usernames.users(message), self._usernames.packages(message)
        self._history.record(message, users, packages, self._usernames.agent(message))

    def _record(self, message: Message) -> None:
        try:
            self._patience.insist(lambda: self._store(message))
        except Stopped:
            raise
        except Exception as error:  # datanommer cannot hold it; rules may still be about it
            if self._failures.first(("record", *kind_of(error))):
                log.error("Could not store %r: %s", message.msg_id, words_of(error))

    def _decide_after_waiting(self, case: Case) -> None:
        if self._stopping and self._state.kept:
            # There may be thousands; the next start catches them up.
            self._ledger.give_up(case.message)
            raise NotHandled("stopping")
        try:
            thrice(lambda: self._patience.insist(lambda: self._engine.decide(case)))
        except Exception as error:  # of a case that nobody waits for, nobody else would hear
            failure = self._fail(case.message, error)
            if failure is not None:
                raise failure from None
        else:
            self._ledger.done(case.message)

    def _catch_up(self, archived: Sequence[Archived]) -> None:
        """Handle messages that the bus did not bring."""
        batch = []
        for each in archived:
            message = parse_message(each.body, each.users)
            if message is None:
                continue
            self._ledger.begin(message)
            try:
                named = self._patience.insist(partial(self._engine.name, message))
            except Exception as error:  # the next message may be luckier
                self._fail(message, error)
                continue
            if named is None:
                self._ledger.done(message)
            else:
                batch.append(named)
        self._desk.work(batch)
        self._overflown = False

    def _heeded(self, archived: Archived) -> Archived | None:
        """Give what datanommer has as it was signed; None where nobody signed it who may."""
        if self._gate is None or archived.checked:
            return archived
        body = self._gate.find_signed(archived.body, archived.proof)
        return None if body is None else archived._replace(body=dict(body))

    def _left_to_the_next(self, message: Message) -> bool:
        """Tell whether the next process will catch a message up, now that this one stops."""
        if not self._state.kept:
            return False
        if self._settings.record_messages:
            self._record(message)
        return True

    def _awarded(self, given: Given) -> None:
        for notice in given.notices:
            self._publisher.publish(notice)
        self._ranks.note(given.person_id)

    def _reload(self) -> None:
        try:
            rules = self._patience.insist(self._rulebook.load)
        except Stopped:
            return
        self._engine.rules = rules
        self._warn_of_nameless(rules)

    def _warn_of_nameless(self, rules: RuleSet) -> None:
        if self._usernames.has_plugins:
            return
        nameless = [rule.badge.id for rule in rules if has_no_candidates(rule)]
        if nameless and nameless != self._nameless:
            log.warning(
                "No fedmsg.meta plugin is installed, so these rules, which have no 'recipient', "
                "can award nothing: %s",
                ", ".join(nameless),
            )
        self._nameless = nameless


def load_backends(settings: Settings) -> Backends:
    """Make every criteria backend that is installed, by name; those that fail are logged."""
    made: dict[str, Backend] = {}
    for entry in importlib.metadata.entry_points(group="fedbadges.criteria"):
        try:
            made[entry.name] = entry.load()(settings)
        except Exception as error:  # somebody else's code; rules without it are not to suffer
            log.error("The criteria backend %r cannot be used: %s", entry.name, error)
    return made


def _trace(error: Exception) -> None:
    """Log where an error came from, unless a database has said all there is to say."""
    if getattr(error, "orig", None) is None and not isinstance(error, (CannotStart, Unavailable)):
        log.debug("The error came from here", exc_info=error)


def has_no_candidates(rule: Rule) -> bool:
    """Tell whether, with fedmsg's own processors alone, a rule has no candidates ever."""
    if rule.recipient is not None:
        return False
    concern = concern_of(rule.trigger)
    if concern.anything or concern.categories & BUILTIN_CATEGORIES:
        return False
    return not any(set(topic.split(".")) & BUILTIN_CATEGORIES for topic in concern.topics)
