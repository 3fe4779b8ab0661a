"""The parts of a daemon, put together. Nothing is asked or started here."""

from collections.abc import Callable, Sequence
from functools import partial

from fedbadges.accounts.service import make_accounts
from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import shared_history
from fedbadges.criteria.reading import unstored_names
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.engine.series import find_series
from fedbadges.engine.statistics import RuleStatistics, log_trouble
from fedbadges.errors import DatabaseUnusable, Unavailable
from fedbadges.history.count_saver import CountSaver
from fedbadges.history.history import Recorder
from fedbadges.history.judgements import Judgements
from fedbadges.history.message_reader import MessageReader, StoredMessage
from fedbadges.messages import parse_message
from fedbadges.outbox.outbox import Outbox
from fedbadges.outbox.publisher import Publisher
from fedbadges.retry import OutageRetry
from fedbadges.rules.index import RuleSet
from fedbadges.service.back_pressure import BackPressure
from fedbadges.service.catch_up import CatchUp
from fedbadges.service.catch_up_reader import CatchUpReader, verified
from fedbadges.service.current_values import CurrentValues, values_turn
from fedbadges.service.database_health import database_health
from fedbadges.service.delay_queue import DelayQueue
from fedbadges.service.deliveries import Delivery
from fedbadges.service.first_comers import FirstComers
from fedbadges.service.in_flight import InFlight
from fedbadges.service.lifecycle import Lifecycle
from fedbadges.service.metrics.latency import observe_award
from fedbadges.service.pipeline import Batcher, Pipeline
from fedbadges.service.ranks import Ranks, ranks_turn
from fedbadges.service.rulebook import RuleBook
from fedbadges.service.state.checkpoint import Checkpoint
from fedbadges.service.state.dead_letters import DeadLetters
from fedbadges.service.state.lock import StateLock
from fedbadges.service.warm_up import WarmUp
from fedbadges.signatures.verifier import Verifier
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.remembered import RememberedHoldings
from fedbadges.util.logs import get_logger
from fedbadges.util.text import describe_error

log = get_logger(__name__)


class Parts:
    """The parts of a daemon; see Daemon for what it is made of."""

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        verifier: Verifier | None,
        backlog: Callable[[], int],
        workers: int,
        redelivered: bool,
    ) -> None:
        self.backlog = backlog
        self.publisher = publisher
        self.verifier = verifier
        self.lifecycle = Lifecycle()
        self.outages = OutageRetry()
        self.in_flight = InFlight(redelivered=redelivered)
        self.dead_letters = DeadLetters(settings.state_directory)
        self.lock = StateLock(settings.state_directory)
        self.checkpoint = Checkpoint(
            settings.state_directory,
            self.in_flight,
            margin=settings.keep_counts_distance,
            limit=settings.catchup_limit,
        )
        self._usernames = FedmsgUsernames(settings.fedmsg)
        backends = load_backends(settings)
        self.history = shared_history(backends, settings)
        self.counts = CountSaver(settings, self.history)
        self._settings = settings
        self._tahrir = tahrir = Tahrir(settings, announce=True)
        self.health = database_health(settings, tahrir)
        self.own_tables = tahrir.own_tables
        self.outbox = Outbox(publisher, tahrir.outbox)
        self.ranks = self._make_ranks(settings, tahrir)
        recipients = RecipientFinder(settings, self._usernames, make_accounts(settings))
        self.store = RememberedHoldings(tahrir, settings.remember_holdings)
        self.engine = BadgeEngine(settings, self.store, recipients, RuleSet(), self.ranks.announce)
        self.engine.statistics = RuleStatistics(log_trouble, on_award=observe_award)
        self.engine.judgements = judgements = Judgements(settings, self.history)
        self.rulebook = RuleBook(
            settings.rules_directory,
            backends,
            tahrir.publish_badges,
            settings.insecure_rules,
            lambdas=settings.lambdas,
            dialect=settings.dialect,
        )
        self.delay_queue = DelayQueue(
            self.history.positions,
            delay=settings.consume_delay,
            limit=settings.delay_limit,
            backlog=backlog,
            workers=workers,
        )
        recorder = None
        if settings.record_messages:
            recorder = Recorder(self.history, self._usernames, self.outages)
        self.pipeline = Pipeline(
            self.engine, recorder, Batcher(backlog), self.delay_queue, self.outages, self.lifecycle
        )
        limit = settings.backlog_limit if recorder is None else None
        self.back_pressure = BackPressure(limit, self.in_flight, self.delay_queue, backlog)
        self.catch_up = self._make_catch_up(settings, tahrir, judgements)
        self.first_comers = self._make_first_comers(settings, tahrir, recipients)
        self.warm_up = self._make_warm_up(settings)
        self.current_values = CurrentValues(settings, turn=partial(values_turn, settings))
        if settings.progress:
            self.pipeline.on_judged = self.current_values.note

    def _make_warm_up(self, settings: Settings) -> WarmUp:
        return WarmUp(
            settings,
            self.history,
            self.outages,
            rules=lambda: self.engine.rules,
            may_begin=lambda: self.catch_up.is_done,
            backlog=self.backlog,
        )

    def _make_ranks(self, settings: Settings, tahrir: Tahrir) -> Ranks:
        return Ranks(
            lambda people: tahrir.adjust_ranks(people, people),
            self.outbox.publish,
            settings.rank_interval,
            partial(ranks_turn, settings),
        )

    def _make_catch_up(self, settings: Settings, tahrir: Tahrir, judgements: Judgements) -> CatchUp:
        reader = CatchUpReader(
            MessageReader(settings),
            self.in_flight,
            None if settings.trust_history else self.verifier,
            judgements=judgements,
            on_begin=tahrir.limit_revocations,
        )
        return CatchUp(
            reader,
            self.checkpoint,
            self._handle_stored,
            self.outages,
            interval=settings.sweep_interval,
            backlog=self.backlog,
        )

    def _make_first_comers(
        self, settings: Settings, tahrir: Tahrir, recipients: RecipientFinder
    ) -> FirstComers:
        engine = BadgeEngine(settings, tahrir, recipients, RuleSet(), self.ranks.announce)
        engine.statistics = self.engine.statistics
        verifier = None if settings.trust_history else self.verifier
        return FirstComers(
            MessageReader(settings),
            engine,
            tahrir.count_holders,
            lambda messages: verified(messages, verifier),
            self.outages,
            settings.keep_counts_distance,
        )

    def load_rules(self) -> None:
        """Load the rules, and put them into force."""
        rules = self.rulebook.load()
        self.first_comers.rules = rules
        others = [rule for rule in rules if rule.first is None]
        self.engine.rules = rules if len(others) == len(rules) else RuleSet(others)
        recording = self.pipeline.recorder is not None
        counting = [rule for rule in rules if recording and any(unstored_names(rule))]
        self._usernames.warn_of(rules, counting)
        if self._settings.series:
            self._publish_series(rules)

    def _publish_series(self, rules: RuleSet) -> None:
        """Tell tahrir of series; no award depends on it, so only an outage is waited for."""
        try:
            self._tahrir.publish_series(find_series(rules))
        except Exception as error:  # missing rights, or rows that somebody else has made
            if isinstance(error, Unavailable) and not isinstance(error, DatabaseUnusable):
                raise
            log.warning("Cannot tell tahrir of series", error=describe_error(error))

    def _handle_stored(self, stored: Sequence[StoredMessage]) -> None:
        """Handle messages that were read back from datanommer."""
        parsed = [
            (parse_message(each.body, each.users, each.size, each.number), each) for each in stored
        ]
        self.pipeline.receive_all(
            Delivery(message, self.in_flight, self.dead_letters, position=each.position)
            for message, each in parsed
            if message is not None
        )
