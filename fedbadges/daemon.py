"""The daemon without its hub: everything between a message that comes and an award that is out."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable
from typing import Any

from fedbadges.accounts import make_accounts
from fedbadges.databases import create_history, create_tahrir, despite_races, engine
from fedbadges.engine import Case, Engine
from fedbadges.history import History
from fedbadges.messages import Message, parse_message
from fedbadges.patience import Patience, Stopped
from fedbadges.publisher import Publisher
from fedbadges.ranks import Ranks
from fedbadges.rulebook import RuleBook, Watcher
from fedbadges.rules.criteria import Backend, Backends
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import concern_of
from fedbadges.settings import Settings
from fedbadges.tahrir import Given, Tahrir
from fedbadges.usernames import BUILTIN_CATEGORIES, Usernames
from fedbadges.waiting import WaitingRoom

log = logging.getLogger(__name__)

_STOPPING = "Stopping before %r could be handled"


class Daemon:
    """Takes messages and awards badges.

    ``backlog`` tells how many messages wait before it, ``workers`` how many threads hand it
    messages; ``run`` is given to the Publisher. Making one connects to the databases and raises
    what they raise; nothing happens before ``start``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        backlog: Callable[[], int] = lambda: 0,
        workers: int = 1,
        run: Callable[[Callable[[], None]], object] = lambda function: function(),
    ) -> None:
        self._settings = settings
        self._patience = Patience()
        if settings.create_tables:
            despite_races(lambda: create_tahrir(settings.tahrir_url))
            despite_races(lambda: create_history(engine(settings.history_url)))
        self._history = History(settings)
        self._tahrir = Tahrir(settings)
        self._usernames = Usernames(settings.fedmsg)
        self._publisher = Publisher(settings.fedmsg, run)
        self._ranks = Ranks(
            self._tahrir.adjust_ranks, self._publisher.publish, settings.rank_interval
        )
        self._rulebook = RuleBook(
            settings.rules_directory, load_backends(settings), self._tahrir.publish_badges
        )
        self._nameless: list[str] = []
        self._engine = Engine(
            settings,
            self._tahrir,
            self._usernames,
            self._rulebook.load(),
            self._awarded,
            make_accounts(settings),
        )
        self._warn_of_nameless(self._engine.rules)
        self._watcher = Watcher(settings.rules_directory, self._reload)
        self._waiting = WaitingRoom(
            self._history.stored,
            self._decide_unless_stopped,
            delay=settings.consume_delay,
            limit=settings.delay_limit,
            backlog=backlog,
            workers=workers,
        )

    def start(self) -> None:
        """Begin to publish, to adjust ranks and to watch for stored messages."""
        self._publisher.start()
        self._ranks.start()
        self._waiting.start()
        if self._settings.reload:
            self._watcher.start()

    def handle(self, body: Any, *, wait: bool = False) -> None:
        """Handle what came from the bus.

        Gives back control while the message waits for datanommer, unless ``wait`` says otherwise.
        Raises nothing for what a message holds.
        """
        message = parse_message(body)
        if message is None:
            log.debug("Not a message with a topic: passed over")
            return
        try:
            self._handle(message, wait)
        except Stopped:
            log.warning(_STOPPING, message.msg_id)

    def hurry(self) -> None:
        """Wait no more for a database that is away: the daemon is about to stop."""
        self._patience.stop()

    def stop(self) -> None:
        """Decide what waits, tell the bus what was awarded, and end."""
        self.hurry()
        self._watcher.stop()
        self._waiting.stop()
        self._ranks.stop()
        self._publisher.stop()

    def _handle(self, message: Message, wait: bool) -> None:
        if self._settings.record_messages:
            self._record(message)
        case = self._patience.insist(lambda: self._engine.consider(message))
        if case is None:
            return
        if self._is_ready(case):
            self._decide(case)
            return
        decided = self._waiting.admit(case)
        if wait:
            decided.result()

    def _is_ready(self, case: Case) -> bool:
        """Tell whether there is nothing to wait for."""
        msg_id = case.message.msg_id
        if self._settings.record_messages or not case.needs_history or msg_id is None:
            return True
        return bool(self._patience.insist(lambda: self._history.stored([msg_id])))

    def _record(self, message: Message) -> None:
        users, packages = self._usernames.users(message), self._usernames.packages(message)
        agent = self._usernames.agent(message)
        try:
            self._patience.insist(lambda: self._history.record(message, users, packages, agent))
        except Stopped:
            raise
        except Exception as error:  # datanommer cannot hold it; rules may still be about it
            log.error("Could not store %r: %r", message.msg_id, error)

    def _decide(self, case: Case) -> None:
        self._patience.insist(lambda: self._engine.decide(case))

    def _decide_unless_stopped(self, case: Case) -> None:
        try:
            self._decide(case)
        except Stopped:
            log.warning(_STOPPING, case.message.msg_id)

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
        nameless = [rule.badge.id for rule in rules if _names_nobody(rule)]
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


def _names_nobody(rule: Rule) -> bool:
    """Tell whether, with fedmsg's own processors alone, a rule has no candidates ever."""
    if rule.recipient is not None:
        return False
    concern = concern_of(rule.trigger)
    if concern.anything or concern.categories & BUILTIN_CATEGORIES:
        return False
    return not any(set(topic.split(".")) & BUILTIN_CATEGORIES for topic in concern.topics)
