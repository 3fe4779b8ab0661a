"""The history: every past message, in datanommer's database."""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from datanommer.models import Message as Row
from sqlalchemy import exc, select
from sqlalchemy.orm import Session

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine, reader
from fedbadges.databases.outages import translate_errors
from fedbadges.databases.prepared_statements import PreparedStatement, array_parameter, is_any_of
from fedbadges.errors import Stopped, Unavailable
from fedbadges.history.count_cache import CachedCount, CountCache, Region
from fedbadges.history.counting import Contents, FilterCounter, MessageResults, TestedCounter
from fedbadges.history.fold_cache import FoldCache, FoldReader
from fedbadges.history.fold_values import NotKept
from fedbadges.history.folds import Taken, take
from fedbadges.history.horizon import Base, Horizon
from fedbadges.history.kept.file import CountFile
from fedbadges.history.kept.region import Kept, KeptCounts
from fedbadges.history.past_messages import Messages, Query, make_test
from fedbadges.history.rows import TIMESTAMP
from fedbadges.history.sql import NAMES, NameIds, prepare
from fedbadges.history.storing import CHECKED, store
from fedbadges.history.window.reader import SavedWindow
from fedbadges.history.window.recent_window import RecentWindow
from fedbadges.messages import Message, Position
from fedbadges.retry import OutageRetry
from fedbadges.rules.criteria import POSITIONS
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter
from fedbadges.util.caching import BoundedDict, is_shared, make_cache_region
from fedbadges.util.logs import get_logger
from fedbadges.util.text import error_kind
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

_NAME = "datanommer"

#: The tables that the daemon reads.
_TABLES = (Row.__table__, *(table for pair in NAMES.values() for table in pair))

_ROWS = Row.__table__
_POSITIONS = PreparedStatement(
    select(_ROWS.c.msg_id, TIMESTAMP, _ROWS.c.id).where(
        is_any_of(_ROWS.c.msg_id, array_parameter("wanted"))
    )
)

#: How many results of tests of single messages are cached.
_MOST_RESULTS = 100_000


class SharedRegion(NamedTuple):
    """A cache outside of the process, for counts of this and other databases."""

    region: Region
    database: str


class History:
    """Questions to the past messages; each raises Unavailable while the database is away."""

    def __init__(self, settings: Settings) -> None:
        self._engine = engine(settings.history_url)
        self._database = repr(settings.history_url)
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._source = CHECKED if settings.fedmsg.get("validate_signatures") else None
        self._name_ids = NameIds()
        self._log_throttle = Throttle()
        self._forget_results()
        distance = settings.keep_counts_distance
        #: What a file may keep; None if nothing is cached, or somebody else keeps it.
        self.kept = Kept() if settings.keep_counts and settings.cache is None else None
        self.folds = FoldCache(distance, kept=self.kept) if settings.keep_counts else None
        self.window = RecentWindow(distance)
        #: The cache that outlives the process, if counts are in one.
        self.shared: SharedRegion | None = None
        region: Region | None = None
        self._kept_counts: KeptCounts[CachedCount] | None = None
        if self.kept is not None:
            region = self._kept_counts = KeptCounts(self.kept, CachedCount.of)
        elif settings.keep_counts and settings.cache is not None:
            region = make_cache_region(*settings.cache)
            if is_shared(settings.cache[0]):
                self.shared = SharedRegion(region, self._database)
        self.counts = CountCache(region, distance)

    def check(self) -> None:
        """Check that the database and its tables exist; raise what SQLAlchemy raises if not."""
        with translate_errors(_NAME), self._engine.connect() as connection:
            for table in _TABLES:
                connection.execute(select(table).limit(0))

    def positions(self, messages: Iterable[Message]) -> dict[Message, Position]:
        """Return the positions of those of these messages that datanommer has stored by now."""
        wanted = [message for message in messages if message.msg_id is not None]
        if not wanted:
            return {}
        found = self.window.known_positions(wanted)
        if any(message.msg_id not in found for message in wanted):
            found = self._find_positions(wanted)
        return {
            message: min(positions, key=lambda each: (abs(each[0] - message.sent), each))
            for message in wanted
            if (positions := found.get(message.msg_id))
        }

    def _find_positions(self, wanted: list[Message]) -> dict[str | None, list[Position]]:
        with translate_errors(_NAME), self._reader.connect() as connection:
            found = self.window.positions(connection, wanted)
            unknown = [message.msg_id for message in wanted if message.msg_id not in found]
            if unknown:
                for row in _POSITIONS.execute(connection, {"wanted": unknown}):
                    if row.timestamp is not None:
                        found.setdefault(row.msg_id, []).append((row.timestamp, row.id))
        return found

    def seen(self, number: int = 0) -> Horizon:
        """Return what is seen of the history at least by whoever asks from now on.

        If the row with this number is new to the window, that is read first; counting saves it.
        """
        seen = self.window.seen()
        if not 0 < seen.mark < number:
            return seen
        with contextlib.suppress(Unavailable):
            self.refresh()
        return self.window.seen()

    def refresh(self) -> None:
        """Read what is new into the window, so that whatever is counted from now on has it."""
        with translate_errors(_NAME), self._reader.connect() as connection:
            self.window.refresh(connection)

    def forget(self) -> None:
        """Forget everything that was read: other rows have these numbers, and names these ids."""
        self._name_ids.clear()
        self._forget_results()
        self.window.reset()
        self.counts.forget()
        if self.folds is not None:
            self.folds.forget()
        if self.kept is not None:
            self.kept.forget(self.counts.epoch)

    def _forget_results(self) -> None:
        # Others, as what is being computed now is still added to those before.
        self._results: BoundedDict[tuple[bytes, int], bool] = BoundedDict(_MOST_RESULTS)
        self._taken: BoundedDict[tuple[bytes, int], Taken] = BoundedDict(_MOST_RESULTS)

    def base(self) -> Base:
        """Return the base that what is counted from now on may have."""
        cutoff = self.counts.cutoff()
        with translate_errors(_NAME), self._reader.connect() as connection:
            return Base(cutoff, self.window.horizon(connection, cutoff))

    def use_file(self, file: CountFile, epoch: str, window: SavedWindow | None) -> None:
        """Read counts of that epoch from a file, and continue the window that belongs to them."""
        assert self.kept is not None, "nothing is kept"
        self.kept.attach(file, epoch)
        self.counts.begin(epoch)
        if self.folds is not None:
            self.folds.note_all()
        if window is not None:
            self.window.restore(window)
            # Rather now than for the first message.
            with contextlib.suppress(Unavailable):
                self.base()

    def cached(self) -> dict[str, int]:
        """Return how many ``counts`` and ``folds`` are in memory, where they are cached there."""
        found = {} if self.folds is None else {"folds": len(self.folds)}
        return found if self._kept_counts is None else {"counts": len(self._kept_counts), **found}

    def is_backlog(self, position: Position) -> bool:
        """Return True if it takes longer to count up to a position than to count all there is."""
        return self.counts.is_behind(position)

    def count(
        self,
        filled: FilledFilter,
        enough: int | None = None,
        message: Message | None = None,
        expression: Expression | None = None,
        shared: dict[Any, Any] | None = None,
        until: Position | None = None,
        needed: int | None = None,
    ) -> int:
        """Count the past messages that a filter selects, at least up to ``enough``.

        Those after the position ``until`` do not count, and of the others those need not be counted
        that are stored later than ``message``. With ``expression``, only those count that pass its
        test; ``shared`` holds what several tests of the same messages have read. Where there are
        fewer than ``needed``, any number below that will do.
        """
        if needed is not None and until is not None and self.is_backlog(until):
            # Cached counts move on with the last message, and there were no more before it.
            total = self.count(filled, needed, message, expression, shared)
            if total < needed:
                return total
        counter = FilterCounter(self._reader, self._name_ids, self.window, filled, message, until)
        if expression is None:
            return self.counts.count(self.question(filled), counter, enough, until)
        values = expression.fill({} if message is None else message.values)
        question = self.question(filled, expression, values)
        tests = MessageResults(
            counter,
            make_test(expression, values, self._log_throttle),
            _digest(question),
            self._results,
            _contents(shared),
        )
        return self.counts.count(question, TestedCounter(tests, self._engine), enough, until)

    def fold(
        self,
        expression: Expression,
        filled: FilledFilter,
        message: Message,
        until: Position | None,
        shared: dict[Any, Any],
    ) -> Any:
        """Evaluate an expression that takes something from each message; raise what it raises.

        ``shared`` holds what is read of the same messages for several questions.
        """
        fold = expression.fold
        assert fold is not None, "the expression does not fold"
        values = expression.fill(message.values)
        question = self.question(filled, expression, values)
        if question is not None and self.folds is not None:
            taken = MessageResults(
                FilterCounter(self._reader, self._name_ids, self.window, filled, message, until),
                partial(take, fold, filled=values),
                _digest(question),
                self._taken,
                _contents(shared),
                lambda each: each.is_small,
            )
            with contextlib.suppress(NotKept):
                reader = FoldReader(taken, self._engine, fold)
                return self.folds.result(question, reader, values)
        return self.compute(expression, filled, message, until)

    def compute(
        self,
        expression: Expression,
        filled: FilledFilter,
        message: Message,
        until: Position | None = None,
    ) -> Any:
        """Evaluate an expression over the past messages up to a position; raise what it raises."""
        values = expression.fill(message.values)
        try:
            with translate_errors(_NAME, foreign=True), Session(self._engine) as session:
                query = prepare(session.connection(), self._name_ids, filled, until=until)
                result = expression.over(Query.of(session, query, filled.pages), values)
                # What is read lazily would find the session closed.
                lazy = isinstance(result, (Query, Messages, Iterator))
                return list(result) if lazy else result
        except exc.DBAPIError:
            self.check()
            raise

    def record(
        self,
        message: Message,
        usernames: Iterable[str],
        packages: Iterable[str],
        agent: str | None = None,
    ) -> Position:
        """Store a message, the names it concerns and who caused it, unless it is stored.

        Returns its position.
        """
        with translate_errors(_NAME), self._engine.begin() as connection:
            number = store(connection, message, (usernames, packages), agent, self._source)
        return message.sent, number

    def question(
        self,
        filled: FilledFilter,
        expression: Expression | None = None,
        values: tuple[Any, ...] = (),
    ) -> str | None:
        """Return the name of a question for the cache; None if it will not be asked again.

        ``values`` are those of the templates of the expression.
        """
        if filled.sliding or filled.msg_id is not None:
            return None
        test_key: tuple[Any, ...] = ()
        if expression is not None:
            test_key = expression.text, values, *sorted(expression.user_paths)
        return repr((self._database, filled.lists, filled.start, filled.end, test_key))


def _digest(question: str | None) -> bytes:
    return hashlib.sha256((question or "").encode("utf-8", "replace")).digest()


def _contents(shared: dict[Any, Any] | None) -> Contents:
    if shared is None:
        return Contents()
    found: Contents = shared.setdefault("contents", Contents(shared.get(POSITIONS, ())))
    return found


class Recorder:
    """Stores messages with the names that they concern, and waits during an outage."""

    def __init__(self, history: History, usernames: FedmsgUsernames, outages: OutageRetry) -> None:
        self._history = history
        self._usernames = usernames
        self._outages = outages
        self._throttle = Throttle()

    def record(self, message: Message) -> Position | None:
        """Store a message and return its position; raise Stopped in an outage.

        If datanommer cannot hold it, log that and return None.
        """
        try:
            users, packages = self._usernames.users(message), self._usernames.packages(message)
            agent = self._usernames.agent(message)
            return self._outages.call(lambda: self._history.record(message, users, packages, agent))
        except Stopped:
            raise
        except Exception as error:
            if self._throttle.allows(error_kind(error)):
                log.error("Could not store a message", msg_id=message.msg_id, error=error)
            return None
