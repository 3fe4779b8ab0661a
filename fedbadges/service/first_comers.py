"""Badges that only the first so many people get: awarded in the order of the history.

Who comes first does not depend on who handles which message when. So the messages that trigger such
a rule are not judged as they come, but as the history has them, in the order of their positions,
and a minute late, as they are not stored in that order.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from fedbadges.engine.engine import BadgeEngine, Triggered
from fedbadges.errors import Stopped, Unavailable
from fedbadges.history.message_reader import MessageHeader, MessageReader, StoredMessage
from fedbadges.messages import Message, parse_message
from fedbadges.retry import OutageRetry
from fedbadges.rules.index import RuleSet
from fedbadges.rules.rule import Rule
from fedbadges.service.catch_up_reader import portions
from fedbadges.util.logs import get_logger
from fedbadges.util.text import error_kind
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: Seconds between two looks for new messages.
INTERVAL = 5.0

#: Seconds after which a message is judged: all that were sent before it are stored by then.
SETTLED = 60.0

#: How many headers are read at once.
_PAGE = 1000

#: Seconds to wait for the end of the thread at a stop; whatever it does is a transaction.
_STOP = 5.0


class FirstComers:
    """Awards the badges of rules with ``first``, in a thread of its own.

    ``engine`` is its own. ``count_holders`` returns how many people hold badges, ``verify`` those
    messages that are genuine. What is stored up to ``distance`` seconds late is judged as well, and
    gives a badge if there are some left.
    """

    def __init__(
        self,
        reader: MessageReader,
        engine: BadgeEngine,
        count_holders: Callable[[Iterable[str]], dict[str, int]],
        verify: Callable[[Iterable[StoredMessage]], Iterable[StoredMessage]],
        retry: OutageRetry,
        distance: float,
    ) -> None:
        self._reader = reader
        self._engine = engine
        self._count_holders = count_holders
        self._verify = verify
        self._retry = retry
        self._distance = distance
        self._passes: dict[str, _Pass] = {}
        self._stopping = threading.Event()
        self._failures = Throttle()
        self._thread = threading.Thread(target=self._run, name="fedbadges-first", daemon=True)
        #: The rules in force.
        self.rules = RuleSet()

    def start(self) -> None:
        """Start the thread; the databases must have answered before."""
        self._thread.start()

    def request_stop(self) -> None:
        """End the thread after the message that it is at, without waiting for that."""
        self._stopping.set()

    def stop(self) -> None:
        """End the thread, and wait for that a moment."""
        self.request_stop()
        if self._thread.is_alive():
            self._thread.join(_STOP)

    def step(self, until: float) -> None:
        """Judge what was sent until a time, in seconds since 1970; raise Unavailable."""
        rules = [rule for rule in self.rules if rule.first is not None]
        if not rules:
            return
        counts = self._count_holders(rule.badge.id for rule in rules)
        for rule in rules:
            badge, known = rule.badge.id, self._passes.get(rule.badge.id)
            if rule.first is None or counts[badge] >= rule.first:
                # If somebody loses the badge, the next one in order gets it.
                self._passes.pop(badge, None)
                continue
            if known is None or known.rule != rule:
                known = self._passes[badge] = _Pass(rule)
            self._judge(known, until)

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL):
            try:
                self._retry.call(lambda: self.step(time.time() - SETTLED))
            except Stopped:
                return
            except Exception as error:  # whatever it is, it may be over the next time
                if self._failures.allows(error_kind(error)):
                    log.error("Cannot find who comes first, trying again later", error=error)

    def _judge(self, current: "_Pass", until: float) -> None:
        start = max(current.until - self._distance, 0.0)
        current.forget_before(start)
        for page in self._reader.pages_since(start, _PAGE):
            rows = [row for row in page if row.sent <= until]
            for portion in portions(filter(current.concerns, rows)):
                if not self._award(current, portion):
                    return
            if rows:
                current.until = max(current.until, rows[-1].sent)
            if len(rows) < len(page):
                return

    def _award(self, current: "_Pass", rows: Sequence[MessageHeader]) -> bool:
        """Award for some messages, in their order; return False if nothing is to follow."""
        rule, engine = current.rule, self._engine
        engine.rules = RuleSet([rule, *self.rules.untriggered])
        stored = list(self._verify(self._reader.messages([row.number for row in rows])))
        triggered = [each for one in stored if (each := self._match(one)) is not None]
        for candidates in engine.find_candidates(triggered):
            if self._stopping.is_set():
                return False
            if candidates is None or not self._decide(candidates):
                continue
            if self._count_holders([rule.badge.id])[rule.badge.id] >= (rule.first or 0):
                return False
        current.seen |= {row.number: row.sent for row in rows}
        return True

    def _match(self, stored: StoredMessage) -> Triggered | None:
        message = parse_message(stored.body, stored.users, stored.size, stored.number)
        triggered = None if message is None else self._engine.match(message)
        return None if triggered is None else triggered.at(stored.position)

    def _decide(self, candidates: Triggered) -> int:
        """Judge and award; one award that fails for good does not keep the others."""
        try:
            return self._engine.decide(candidates)
        except Unavailable:
            raise
        except Exception as error:
            msg_id = candidates.message.msg_id
            log.error("Could not award who comes first", msg_id=msg_id, error=error)
            return 0


class _Pass:
    """How far the history was gone through for a rule."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._index = RuleSet([rule])
        #: Until when, in seconds since 1970.
        self.until = 0.0
        #: When the messages were sent that were judged lately, by row number.
        self.seen: dict[int, float] = {}

    def concerns(self, row: MessageHeader) -> bool:
        """Return True if a message may trigger the rule, and was not judged before."""
        if row.number in self.seen or row.damage is not None:
            return False
        return bool(self._index.concerned(Message(row.topic, {}, 0.0)))

    def forget_before(self, start: float) -> None:
        """Forget messages that are not read again."""
        self.seen = {number: sent for number, sent in self.seen.items() if sent >= start}
