"""Counters of a run: the funnel of each rule, the last award, and rules that do not work."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedbadges.criteria.reading import paths_read
from fedbadges.engine.funnel import JUDGING, NAMING, TRIGGER, Funnel, Reason, Stop, Trouble
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
    """How often a step of a rule worked and failed, and how often in a row it has failed now."""

    worked: int = 0
    failed: int = 0
    streak: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    latest: Counter[Reason] = field(default_factory=Counter)
    paths: frozenset[str] | None = None

    @property
    def in_trouble(self) -> bool:
        """Return True if it has failed too often in a row.

        A step that has worked for one message in ten fails ten times as often before it counts.
        """
        before = self.worked + self.failed - self.streak
        return self.streak >= WARN_AFTER and self.streak * self.worked >= WARN_AFTER * before

    def succeed(self) -> None:
        """Count a message that the step worked with."""
        self.worked += 1
        if self.streak:
            self.streak = 0
            self.latest.clear()

    def fail(self, reason: Reason, body: Mapping[str, Any]) -> None:
        """Count a message that the step did not work with."""
        self.failed += 1
        self.streak += 1
        left = WARN_AFTER - self.streak
        if reason.missing and (self.failed <= _SAMPLES or 0 <= left < _SAMPLES):
            paths = paths_of(body)
            if self.paths is not None and left != _SAMPLES - 1:
                paths &= self.paths
            self.paths = paths
        full = len(self.reasons) >= _MOST_REASONS
        if full and not reason.missing and reason not in self.reasons:
            reason = _OTHER
        self.reasons[reason] += 1
        self.latest[reason] += 1


@dataclass
class _Counters:
    """The counters of one rule; those of its steps begin again when the rule changes."""

    seen: int = 0
    triggered: int = 0
    candidates: int = 0
    held: int = 0
    criteria_held: int = 0
    awarded: int = 0
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

    def trouble(self) -> Trouble | None:
        """Return what is wrong with the rule, if anything is."""
        for name, step in self.steps.items():
            # How often a trigger works is not counted: most messages end there.
            if name != TRIGGER and step.in_trouble and self.rule is not None:
                reason, count = step.latest.most_common(1)[0]
                stop, place = _stop(self.rule, name, reason, count, step.streak, step.paths)
                return Trouble(self.rule, place, stop)
        return None

    def stops(self) -> Iterator[Stop]:
        """Yield why messages got no further, the most frequent reason of each step first."""
        for name in filter(self.steps.__contains__, (TRIGGER, NAMING, JUDGING)):
            step = self.steps[name]
            total = self.seen if name == TRIGGER else step.worked + step.failed
            for reason, count in step.reasons.most_common():
                assert self.rule is not None
                yield _stop(self.rule, name, reason, count, total, step.paths)[0]


class RuleStatistics:
    """Counts since it was created; safe to use from several threads.

    A message that concerns no rule is not counted, and costs nothing. ``warn`` is called for a rule
    that is in trouble, once a day by ``clock``.
    """

    def __init__(
        self,
        warn: Callable[[Trouble], object] = lambda trouble: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        #: Since when it counts, in seconds since 1970.
        self.since = time.time()
        self.awards = 0
        self.last_award: LastAward | None = None
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._counters: defaultdict[str, _Counters] = defaultdict(_Counters)
        # By topic: the rules that it concerns, and a number that is not yet added to theirs.
        self._topics: dict[str, tuple[Sequence[Rule], list[int]]] = {}

    def seen(self, topic: str, rules: Sequence[Rule]) -> None:
        """Count a message of a topic that may trigger these rules."""
        with self._lock:
            known = self._topics.get(topic)
            if known is None or known[0] is not rules:
                if known is not None or len(self._topics) >= _MOST_TOPICS:
                    self._add_up()
                self._topics[topic] = known = (rules, [0])
            known[1][0] += 1

    def trigger_failed(self, rule: Rule, message: Message, reason: Reason) -> None:
        """Count a message that lacks what the trigger of a rule needs."""
        with self._lock:
            self._counters[rule.badge.id].step(rule, TRIGGER).fail(reason, message.body)

    def triggered(self, rule: Rule, message: Message, reason: Reason | None = None) -> None:
        """Count that the trigger of a rule held, and the reason why nobody is named, if any."""
        with self._lock:
            self._counters[rule.badge.id].triggered += 1
            trouble = self._count(rule, NAMING, message, reason)
        if trouble is not None:
            self._warn(trouble)

    def looked_up(self, rule: Rule, *, candidates: bool) -> None:
        """Count a message that names people, and whether there are candidates among them."""
        with self._lock:
            counters = self._counters[rule.badge.id]
            counters.candidates += candidates
            counters.held += not candidates

    def judged(
        self, rule: Rule, message: Message, held: bool, reason: Reason | None = None
    ) -> None:
        """Count a message whose criteria held for some candidate, or could not be judged at all."""
        with self._lock:
            self._counters[rule.badge.id].criteria_held += held
            trouble = self._count(rule, JUDGING, message, reason)
        if trouble is not None:
            self._warn(trouble)

    def awarded(self, badge: str, user: str, msg_id: str | None) -> None:
        """Count an award."""
        with self._lock:
            self._counters[badge].awarded += 1
            self.awards += 1
            self.last_award = LastAward(badge, user, msg_id, time.time())

    def funnel(self, badge: str) -> Funnel:
        """Return how far messages got with the rule for a badge."""
        with self._lock:
            self._add_up()
            each = self._counters[badge]
            return Funnel(
                each.seen,
                each.triggered,
                each.candidates,
                each.held,
                each.criteria_held,
                each.awarded,
                tuple(each.stops()),
            )

    def trouble(self, rule: Rule) -> Trouble | None:
        """Return what is wrong with a rule, if it has not worked for its latest messages."""
        with self._lock:
            found = self._counters[rule.badge.id].trouble()
        return found if found is not None and found.rule == rule else None

    def _count(
        self, rule: Rule, name: str, message: Message, reason: Reason | None
    ) -> Trouble | None:
        """Count that a step worked, or why not; return a trouble that is to be warned of now."""
        counters = self._counters[rule.badge.id]
        step = counters.step(rule, name)
        if reason is None:
            step.succeed()
            return None
        step.fail(reason, message.body)
        if not step.in_trouble:
            return None
        now = self._clock()
        if counters.warned is not None and now - counters.warned < _WARN_INTERVAL:
            return None
        counters.warned = now
        return counters.trouble()

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


def _stop(
    rule: Rule, step: str, reason: Reason, count: int, total: int, known: frozenset[str] | None
) -> tuple[Stop, Place]:
    """Return a stop with the part of the rule that it is about, and the place of that."""
    recipient = rule.place if rule.recipient is None else rule.recipient.template.place
    places = {TRIGGER: rule.trigger.place, NAMING: recipient, JUDGING: rule.criteria.place}
    part, place = step, places[step]
    if reason.missing is None:
        return Stop(step, part, reason.text, count, total), place
    for read in paths_read(rule):
        if read.path.dotted == reason.missing and read.step == step:
            part, place = read.part, read.path.place or place
            break
    nearest = nearest_path(reason.missing, known or frozenset())
    return (
        Stop(
            step,
            part,
            reason.text,
            count,
            total,
            printable(reason.missing),
            None if nearest is None else printable(nearest),
        ),
        place,
    )
