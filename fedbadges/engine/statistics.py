"""Counters of a run: the funnel of each rule, the last award, and rules that do not work."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fedbadges.criteria.reading import paths_read
from fedbadges.engine.funnel import (
    COUNTERS,
    JUDGING,
    NAMING,
    TRIGGER,
    Funnel,
    FunnelCounters,
    Reason,
    Stop,
    Trouble,
)
from fedbadges.errors import Place
from fedbadges.messages import Message
from fedbadges.rules.rule import Rule
from fedbadges.util.logs import get_logger
from fedbadges.util.paths import nearest_path, paths_of
from fedbadges.util.text import printable

log = get_logger(__name__)

#: After so many messages in a row that a rule does not work with, it is in trouble.
WARN_AFTER = 20

#: Seconds between two warnings of the same rule.
_WARN_INTERVAL = 86_400.0

#: How many of these messages are searched for what they have instead of a missing path.
_SAMPLES = 5

#: For how many topics messages are counted before they are added up, and how many different
#: reasons are kept for each step of a rule, beside missing paths, of which it reads but a few.
_MOST_TOPICS = 10_000
_MOST_REASONS = 10
_OTHER = Reason("it is another reason")


@dataclass(frozen=True)
class LastAward:
    """Who got which badge, because of which message, and when, in seconds since 1970."""

    badge: str
    user: str
    msg_id: str | None
    at: float


@dataclass
class _Step:
    """How often a step of a rule worked and failed, and how often in a row it has failed now.

    ``passed_over`` are failures for reasons that say nothing of the rule.
    """

    worked: int = 0
    failed: int = 0
    passed_over: int = 0
    streak: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    latest: Counter[Reason] = field(default_factory=Counter)
    paths: frozenset[str] | None = None

    @property
    def in_trouble(self) -> bool:
        """Return True if it has failed too often in a row.

        A step that has worked for one message in ten fails ten times as often before it counts.
        """
        if self.streak < WARN_AFTER:
            return False
        before = self.worked + self.failed - self.streak
        return self.streak * self.worked >= WARN_AFTER * before

    @property
    def total(self) -> int:
        """Return how many messages got to the step."""
        return self.worked + self.failed + self.passed_over

    def succeed(self) -> None:
        """Count a message that the step worked with."""
        self.worked += 1
        if self.streak:
            self.streak = 0
            self.latest.clear()

    def fail(self, reason: Reason, body: Mapping[str, Any]) -> None:
        """Count a message that the step did not work with."""
        if reason.of_people:
            self.passed_over += 1
            self.reasons[reason] += 1
            return
        self.failed += 1
        self.streak += 1
        if reason.missing is not None:
            left = WARN_AFTER - self.streak
            if self.failed <= _SAMPLES or 0 <= left < _SAMPLES:
                paths = paths_of(body)
                if self.paths is not None and left != _SAMPLES - 1:
                    paths &= self.paths
                self.paths = paths
        elif len(self.reasons) >= _MOST_REASONS and reason not in self.reasons:
            reason = _OTHER
        self.reasons[reason] += 1
        self.latest[reason] += 1


class _Stopped(NamedTuple):
    """How often a step of a rule failed for a reason, before that is described."""

    rule: Rule
    step: str
    reason: Reason
    times: int
    total: int
    paths: frozenset[str] | None


@dataclass
class _Counters(FunnelCounters):
    """The counters of one rule; those of its steps begin again when the rule changes."""

    rule: Rule | None = None
    steps: dict[str, _Step] = field(default_factory=dict)
    warned: float | None = None

    def step(self, rule: Rule, name: str) -> _Step:
        """Return a step of this version of the rule."""
        if self.rule is not rule:
            if self.rule != rule:
                self.steps, self.warned = {}, None
            self.rule = rule
        step = self.steps.get(name)
        if step is None:
            self.steps[name] = step = _Step()
        return step

    def trouble(self) -> _Stopped | None:
        """Return what is wrong with the rule, if anything is."""
        for name, step in self.steps.items():
            # How often a trigger works is not counted: most messages end there.
            if name != TRIGGER and step.in_trouble and self.rule is not None:
                reason, count = step.latest.most_common(1)[0]
                return _Stopped(self.rule, name, reason, count, step.streak, step.paths)
        return None

    def stops(self) -> Iterator[_Stopped]:
        """Yield why messages got no further, the most frequent reason of each step first."""
        for name in filter(self.steps.__contains__, (TRIGGER, NAMING, JUDGING)):
            step = self.steps[name]
            total = self.seen if name == TRIGGER else step.total
            for reason, count in step.reasons.most_common():
                assert self.rule is not None
                yield _Stopped(self.rule, name, reason, count, total, step.paths)


class RuleStatistics:
    """Counts since it was created; safe to use from several threads.

    A message that concerns no rule is not counted, and costs nothing. ``warn`` is called for a rule
    that is in trouble, once a day by ``clock``, and ``on_award`` with the message of each award.
    """

    def __init__(
        self,
        warn: Callable[[Trouble], object] = lambda trouble: None,
        clock: Callable[[], float] = time.monotonic,
        on_award: Callable[[Message], object] = lambda message: None,
    ) -> None:
        #: Since when it counts, in seconds since 1970.
        self.since = time.time()
        self.awards = 0
        self.last_award: LastAward | None = None
        self._warn = warn
        self._clock = clock
        self._on_award = on_award
        self._lock = threading.Lock()
        self._counters: defaultdict[str, _Counters] = defaultdict(_Counters)
        # By topic: the rules that it concerns, and a number that is not yet added to theirs.
        self._topics: dict[str, tuple[Sequence[Rule], list[int]]] = {}

    def matched(
        self,
        message: Message,
        rules: Sequence[Rule],
        named: Iterable[tuple[Rule, Reason | None]] = (),
        failed: Iterable[tuple[Rule, Reason]] = (),
    ) -> None:
        """Count a message that may trigger ``rules``, which are the same object for its topic.

        It triggered those in ``named``, each with the reason why it names nobody, if any. It lacks
        what the triggers of those in ``failed`` need.
        """
        troubles: list[_Stopped] = []
        with self._lock:
            known = self._topics.get(message.topic)
            if known is None or known[0] is not rules:
                if known is not None or len(self._topics) >= _MOST_TOPICS:
                    self._add_up()
                self._topics[message.topic] = known = (rules, [0])
            known[1][0] += 1
            for rule, reason in failed:
                self._counters[rule.badge.id].step(rule, TRIGGER).fail(reason, message.body)
            for rule, why in named:
                counters = self._counters[rule.badge.id]
                counters.triggered += 1
                self._count(counters, rule, NAMING, message, why, troubles)
        self._warn_of(troubles)

    def looked_up(self, rules: Iterable[tuple[Rule, bool]]) -> None:
        """Count messages that name people: the rule, and whether there are candidates."""
        with self._lock:
            for rule, candidates in rules:
                counters = self._counters[rule.badge.id]
                if candidates:
                    counters.candidates += 1
                else:
                    counters.held += 1

    def judged(
        self, message: Message, judgements: Iterable[tuple[Rule, bool, Reason | None]]
    ) -> None:
        """Count a message for rules with candidates.

        Each is with whether the criteria held for any of them, and the reason why they could be
        judged for none, if so.
        """
        troubles: list[_Stopped] = []
        with self._lock:
            for rule, held, reason in judgements:
                counters = self._counters[rule.badge.id]
                counters.criteria_held += held
                self._count(counters, rule, JUDGING, message, reason, troubles)
        self._warn_of(troubles)

    def awarded(self, badge: str, user: str, message: Message) -> None:
        """Count an award, which was committed just now."""
        self._on_award(message)
        with self._lock:
            self._counters[badge].awarded += 1
            self.awards += 1
            self.last_award = LastAward(badge, user, message.msg_id, time.time())

    def funnel(self, badge: str) -> Funnel:
        """Return how far messages got with the rule for a badge."""
        with self._lock:
            self._add_up()
            each = self._counters[badge]
            stops = tuple(each.stops())
            counts = {name: getattr(each, name) for name in COUNTERS}
        return Funnel(**counts, stops=tuple(_describe(stopped)[0] for stopped in stops))

    def trouble(self, rule: Rule) -> Trouble | None:
        """Return what is wrong with a rule, if it has not worked for its latest messages."""
        with self._lock:
            found = self._counters[rule.badge.id].trouble()
        return None if found is None or found.rule != rule else _trouble(found)

    def _count(
        self,
        counters: _Counters,
        rule: Rule,
        name: str,
        message: Message,
        reason: Reason | None,
        troubles: list[_Stopped],
    ) -> None:
        """Count that a step worked, or why not; add a trouble that is to be warned of now."""
        step = counters.step(rule, name)
        if reason is None:
            step.succeed()
            return
        step.fail(reason, message.body)
        if not step.in_trouble:
            return
        now = self._clock()
        if counters.warned is not None and now - counters.warned < _WARN_INTERVAL:
            return
        counters.warned = now
        if (found := counters.trouble()) is not None:
            troubles.append(found)

    def _warn_of(self, troubles: Iterable[_Stopped]) -> None:
        for each in troubles:
            self._warn(_trouble(each))

    def _add_up(self) -> None:
        """Add what was counted by topic to the counters of the rules."""
        for rules, (count,) in self._topics.values():
            for rule in rules:
                self._counters[rule.badge.id].seen += count
        self._topics.clear()


def log_trouble(trouble: Trouble) -> None:
    """Log that a rule does not work with the messages that trigger it."""
    stop = trouble.stop
    log.warning(
        "Rule cannot work with the messages that trigger it",
        rule=str(trouble.place),
        badge=trouble.rule.badge.id,
        count=stop.total,
        reason=str(stop),
    )


def _trouble(stopped: _Stopped) -> Trouble:
    stop, place = _describe(stopped)
    return Trouble(stopped.rule, place, stop)


def _describe(stopped: _Stopped) -> tuple[Stop, Place]:
    """Return a stop with the part of the rule that it is about, and the place of that."""
    rule, step, reason = stopped.rule, stopped.step, stopped.reason
    recipient = rule.place if rule.recipient is None else rule.recipient.place
    places = {TRIGGER: rule.trigger.place, NAMING: recipient, JUDGING: rule.criteria.place}
    part, place = step, places[step]
    missing = nearest = None
    if reason.missing is not None:
        for read in paths_read(rule):
            if read.path.dotted == reason.missing and read.step == step:
                part, place = read.part, read.place
                break
        near = nearest_path(reason.missing, stopped.paths or frozenset())
        missing = printable(reason.missing)
        nearest = None if near is None else printable(near)
    return Stop(step, part, reason.text, stopped.times, stopped.total, missing, nearest), place
