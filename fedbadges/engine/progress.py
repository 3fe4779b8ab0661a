"""How far somebody is with every badge, judged as if their latest messages came again now."""

import datetime
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import past_messages
from fedbadges.criteria.tahrir import held_of_needed
from fedbadges.engine.current_values import begins_at_zero
from fedbadges.engine.engine import Triggered
from fedbadges.engine.explanation import Counted, Explainer, Verdict, count_of, verdict
from fedbadges.engine.tracing import Traced, Tracer
from fedbadges.errors import Unavailable
from fedbadges.history.message_reader import MessageHeader, MessageReader
from fedbadges.messages import Message, parse_message
from fedbadges.rules.index import RuleSet
from fedbadges.rules.operators import AllOf, AnyOf
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.holdings import Revocation

#: How many of somebody's latest messages are searched, and how many of each topic.
MAX_MESSAGES = 20_000
_MAX_PER_TOPIC = 20

#: How many are read at once.
_BATCH = 50

_BY_PERSON = frozenset(["users", "agents"])


class ProgressState(Enum):
    """Where somebody stands on a badge; the values stand for it in JSON, and sort in this order."""

    EARNED = "earned"
    COUNTED = "counted"
    UNCOUNTABLE = "not-countable"
    NOTHING = "nothing-yet"
    OPTED_OUT = "opted-out"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    HELD = "held"


_STATES = {
    Verdict.AWARD: ProgressState.EARNED,
    Verdict.NO_ACCOUNT: ProgressState.UNCOUNTABLE,
    Verdict.UNKNOWN: ProgressState.UNKNOWN,
}


@dataclass(frozen=True)
class Progress:
    """How far somebody is with one badge.

    ``since`` is when they got it. ``message`` is the latest that could have given it to them,
    and ``criteria`` are as they were judged for it, as if it were sent now. ``counted`` is how many
    of what they need they have, as far as that is known. ``revoked`` is how they lost the badge, if
    no message gives it again, or if one would that was sent since.
    """

    rule: Rule
    state: ProgressState
    since: datetime.datetime | None = None
    message: Message | None = None
    criteria: Traced | None = None
    counted: Counted | None = None
    revoked: Revocation | None = None

    @property
    def series(self) -> str | None:
        """Return the name of the series, if one file gives the badges of it."""
        return None if self.rule.threshold is None else self.rule.series

    @property
    def order(self) -> tuple[object, ...]:
        """Return a sort key: closest to completion first, held badges last, the latest first."""
        share, missing = 0.0, 0
        if self.counted is not None and self.counted.needed > 0:
            share = self.counted.value / self.counted.needed
            missing = self.counted.needed - self.counted.value
        since = -self.since.timestamp() if self.since is not None else 0.0
        return list(ProgressState).index(self.state), -share, missing, since, self.rule.badge.id


class ProgressSearch:
    """Searches one user's messages for all badges; each method raises Unavailable.

    First ``read`` all ``batches``, or some of them, then ``judge``; ``progress`` has the answer.
    """

    def __init__(self, settings: Settings, explainer: Explainer, user: str) -> None:
        self._reader = MessageReader(settings)
        self._tracer = Tracer(explainer.tahrir)
        self._engine = explainer.engine(self._tracer)
        self._rules = explainer.rules
        self._user = user.lower()
        ids = [rule.badge.id for rule in self._rules]
        holdings = explainer.tahrir.holdings([self._user], ids)
        self._held, self.opted_out = holdings.held, bool(holdings.opted_out)
        self._revoked = holdings.revoked
        untriggered = any(not rule.has_trigger for rule in self._rules)
        self._all_held = explainer.tahrir.held_by(self._user) if untriggered else {}
        self._open = {
            rule.badge.id: rule
            for rule in self._rules
            if (self._user, rule.badge.id) not in self._held
        }
        self._latest: dict[str, Message] = {}
        headers = self._reader.latest_of({user, self._user}, _MAX_PER_TOPIC, MAX_MESSAGES)
        known = headers or self._held or not explainer.tahrir.unknown([self._user])
        self.concerns_somebody = bool(known)
        rules = RuleSet(self._open.values())
        #: The badges that messages of a topic can be about.
        self._concerned = {
            topic: {rule.badge.id for rule in rules.concerned(Message(topic, {}, 0.0))}
            for topic in {each.topic for each in headers}
        }
        wanted = [each for each in headers if self._concerned[each.topic] and not self.opted_out]
        self.batches = [wanted[i : i + _BATCH] for i in range(0, len(wanted), _BATCH)]
        self._unread = len(self.batches)
        self.interrupted = ""

    def read(self, batch: list[MessageHeader]) -> None:
        """Find the latest message by which each badge could have been awarded."""
        wanted = [
            each.number for each in batch if self._concerned[each.topic] - self._latest.keys()
        ]
        for stored in self._reader.messages(wanted):
            message = parse_message(stored.body, stored.users, number=stored.number)
            triggered = None if message is None else self._engine.match(message)
            if triggered is None:
                continue
            for rule, names in triggered.people:
                if self._user in names and rule.badge.id in self._open:
                    self._latest.setdefault(rule.badge.id, triggered.message)
        self._unread -= 1

    def judge(self) -> None:
        """Judge the criteria of all rules for what was found, as of now."""
        people: dict[Message, list[tuple[Rule, tuple[str, ...]]]] = defaultdict(list)
        for badge_id, message in self._latest.items():
            people[message].append((self._open[badge_id], (self._user,)))
        now = time.time()
        batch = [
            # Windows such as ``start: 30 days ago`` end when the message was sent.
            Triggered(replace(message, body={**message.body, "timestamp": now}), tuple(each))
            for message, each in people.items()
        ]
        shared = self._engine.plan(batch)
        for candidates in batch:
            try:
                self._engine.decide(candidates, shared)
            except Unavailable as unavailable:
                self.interrupted = str(unavailable)

    def progress(self) -> list[Progress]:
        """Return how far the user is with every badge, closest to completion first.

        The badges of a series that one file gives stay together, the easiest first.
        """
        found = sorted((self._progress(rule) for rule in self._rules), key=lambda each: each.order)
        series: dict[str, list[Progress]] = defaultdict(list)
        for each in found:
            if each.series is not None:
                series[each.series].append(each)
        ordered: list[Progress] = []
        for each in found:
            members = [each] if each.series is None else series.pop(each.series, [])
            ordered += sorted(members, key=lambda each: each.rule.threshold or 0)
        return ordered

    def _progress(self, rule: Rule) -> Progress:
        if rule.badge.id not in self._open:
            return Progress(rule, ProgressState.HELD, since=self._held[self._user, rule.badge.id])
        if self.opted_out:
            return Progress(rule, ProgressState.OPTED_OUT)
        revoked = self._revoked.get((self._user, rule.badge.id))
        if revoked is not None and revoked.for_good:
            return Progress(rule, ProgressState.REVOKED, revoked=revoked)
        if not rule.has_trigger:
            return self._by_holdings(rule)
        message = self._latest.get(rule.badge.id)
        if message is None:
            return self._without_message(rule)
        criteria = self._tracer.criteria_for(rule, self._user)
        counted = None if criteria is None else _nearest(criteria)
        state = ProgressState.UNCOUNTABLE if counted is None else ProgressState.COUNTED
        state = _STATES.get(verdict(self._tracer, rule, self._user), state)
        if state is ProgressState.EARNED and revoked is not None and revoked.bars(message.position):
            return Progress(rule, ProgressState.REVOKED, None, message, criteria, counted, revoked)
        return Progress(rule, state, None, message, criteria, counted)

    def _by_holdings(self, rule: Rule) -> Progress:
        """Return how far the user is with a badge for badges."""
        counted = Counted(*held_of_needed(rule.criteria, self._all_held))
        return Progress(rule, ProgressState.COUNTED, counted=counted)

    def _without_message(self, rule: Rule) -> Progress:
        if self._unread:
            return Progress(rule, ProgressState.UNKNOWN)
        # Whoever has sent what the rule may be about may have more than none of what it counts.
        touched = any(rule.badge.id in badges for badges in self._concerned.values())
        counted = None if touched else _nothing_of(rule)
        if counted is None:
            return Progress(rule, ProgressState.NOTHING)
        return Progress(rule, ProgressState.COUNTED, counted=counted)


def _nearest(criteria: Traced) -> Counted | None:
    """Return the count that decides: of ``any`` the nearest, of ``all`` the first that is short."""
    counts: Iterable[Counted | None] = ()
    if isinstance(criteria.check, AnyOf):
        counts = (_nearest(part) for part in criteria.parts)
    elif isinstance(criteria.check, AllOf):
        counts = (_nearest(part) for part in criteria.parts if part.answer is False)
    else:
        return count_of(criteria)
    known = [each for each in counts if each is not None and each.needed > 0]
    return max(known, key=lambda each: each.value / each.needed, default=None)


def _nothing_of(rule: Rule) -> Counted | None:
    """Return what somebody needs whose messages count zero; None if it is not that simple."""
    question = past_messages(rule.criteria)
    if question is None:
        return None
    theirs = any(key in _BY_PERSON for key, _ in question.filter.entries)
    counts = begins_at_zero(question.operation.expression)
    needed = question.condition.needed
    if needed is None or not counts or not theirs:
        return None
    return Counted(0, needed, unit=question.operation.unit)
