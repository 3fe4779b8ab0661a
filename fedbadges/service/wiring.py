"""The parts of a daemon, put together. Nothing is asked or started here."""

from collections.abc import Callable, Sequence

from fedbadges.accounts.service import make_accounts
from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import shared_history
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.history.history import Recorder
from fedbadges.history.message_reader import MessageReader, StoredMessage
from fedbadges.messages import parse_message
from fedbadges.retry import OutageRetry
from fedbadges.rules.index import RuleSet
from fedbadges.service.back_pressure import BackPressure
from fedbadges.service.batching import Batcher
from fedbadges.service.catch_up import CatchUp
from fedbadges.service.catch_up_reader import CatchUpReader
from fedbadges.service.checkpoint import Checkpoint, CheckpointTracker
from fedbadges.service.dead_letters import DeadLetters
from fedbadges.service.delay_queue import DelayQueue
from fedbadges.service.deliveries import CaughtUpDelivery, Tracking
from fedbadges.service.in_flight import InFlight
from fedbadges.service.lifecycle import Lifecycle
from fedbadges.service.pipeline import Pipeline
from fedbadges.service.publisher import Publisher
from fedbadges.service.ranks import Ranks
from fedbadges.service.rulebook import RuleBook
from fedbadges.signatures.verifier import Verifier
from fedbadges.tahrir.database import Tahrir


class Parts:
    """The parts of a daemon; see Daemon for what it is made of."""

    def __init__(
        self,
        settings: Settings,
        publisher: Publisher,
        verifier: Verifier | None,
        backlog: Callable[[], int],
        workers: int,
    ) -> None:
        self.backlog = backlog
        self.publisher = publisher
        self.lifecycle = Lifecycle()
        self.outages = OutageRetry()
        self.in_flight = InFlight()
        self.checkpoint = Checkpoint(settings.state_directory)
        self.dead_letters = DeadLetters(settings.state_directory)
        self.tracker = CheckpointTracker(
            self.checkpoint,
            self.in_flight,
            margin=settings.keep_counts_distance,
            limit=settings.catchup_limit,
        )
        self.tracking = Tracking(self.in_flight, self.dead_letters)
        self.usernames = FedmsgUsernames(settings.fedmsg)
        backends = load_backends(settings)
        self.history = shared_history(backends, settings)
        tahrir = Tahrir(settings)
        self.ranks = Ranks(tahrir.adjust_ranks, publisher.publish, settings.rank_interval)
        self.engine = BadgeEngine(
            settings,
            tahrir,
            RecipientFinder(settings, self.usernames, make_accounts(settings)),
            RuleSet(),
            self.ranks.announce,
        )
        self.rulebook = RuleBook(
            settings.rules_directory,
            backends,
            tahrir.publish_badges,
            insecure=settings.insecure_rules,
        )
        self.delay_queue = DelayQueue(
            self.history.stored,
            delay=settings.consume_delay,
            limit=settings.delay_limit,
            backlog=backlog,
            workers=workers,
        )
        self.pipeline = self._make_pipeline(settings)
        self.back_pressure = BackPressure(
            None if settings.record_messages else settings.backlog_limit,
            self.in_flight,
            self.delay_queue,
            backlog,
        )
        self.catch_up = self._make_catch_up(settings, verifier)

    def _make_pipeline(self, settings: Settings) -> Pipeline:
        recorder = Recorder(self.history, self.usernames, self.outages)
        return Pipeline(
            self.engine,
            recorder if settings.record_messages else None,
            Batcher(self.backlog),
            self.delay_queue,
            self.outages,
            self.lifecycle,
        )

    def _make_catch_up(self, settings: Settings, verifier: Verifier | None) -> CatchUp:
        def handle(stored: Sequence[StoredMessage]) -> None:
            messages = [parse_message(each.body, each.users, each.size) for each in stored]
            self.pipeline.receive_all(
                [
                    CaughtUpDelivery(message, self.tracking)
                    for message in messages
                    if message is not None
                ]
            )

        return CatchUp(
            CatchUpReader(
                MessageReader(settings),
                self.in_flight,
                None if settings.trust_history else verifier,
            ),
            self.tracker,
            handle,
            self.outages,
            interval=settings.sweep_interval,
            backlog=self.backlog,
        )
