"""The way of a message through the rules: triggers, candidates, criteria, awards."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fedbadges.config.settings import Settings
from fedbadges.engine.badge_store import BadgeStore
from fedbadges.engine.early_check import EarlyCheck
from fedbadges.engine.funnel import Reason, reason_for_nobody, reason_of
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.engine.statistics import RuleStatistics
from fedbadges.engine.tracing import Tracer
from fedbadges.errors import MissingValue, Unavailable
from fedbadges.history.judgements import Judgements
from fedbadges.messages import Message, Position
from fedbadges.rules.criteria import (
    POSITIONS,
    Question,
    backend_criteria,
    hidden_error,
    known_to_fail,
    plans,
)
from fedbadges.rules.index import RuleSet
from fedbadges.rules.operators import RULE_ERRORS
from fedbadges.rules.recipients import MOST_CANDIDATES, PASSED_OVER, UNWANTED, NamedPerson
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import Award, AwardResult, link_to
from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: Answers that several questions share, by what distinguishes them.
Shared = dict[object, object]

#: Whom a message names, by what is the same for rules that name the same people.
_KnownNames = dict[str, tuple[str, ...]]

#: Rules that raised an error for a message, each with the error.
Failures = list[tuple[Rule, BaseException]]


@dataclass(frozen=True)
class Triggered:
    """A message with the rules that it triggered: whom it names for each, or only candidates.

    The message is judged as of its ``position`` in the history, or as of now if that is None.
    ``counted`` are the rules whose judgement is counted; after an outage it is made once more.
    """

    message: Message
    people: tuple[tuple[Rule, tuple[str, ...]], ...]
    position: Position | None = None
    counted: set[str] = field(default_factory=set, compare=False, repr=False)

    @property
    def needs_history(self) -> bool:
        """Return True if the criteria must wait until datanommer has the message."""
        return any(rule.needs_history for rule, _ in self.people)

    @property
    def known_position(self) -> Position:
        """Return the message's position, as far as it is known."""
        return self.position or self.message.position

    def with_people(self, people: Iterable[tuple[Rule, tuple[str, ...]]]) -> "Triggered":
        """Return the same message with these people; ``dataclasses.replace`` is slow."""
        return Triggered(self.message, tuple(people), self.position, self.counted)

    def at(self, position: Position) -> "Triggered":
        """Return the same message with its position."""
        return Triggered(self.message, self.people, position, self.counted)


@dataclass(frozen=True)
class Earned:
    """A badge that somebody has earned, and the message that did it, with its position."""

    rule: Rule
    username: str
    message: Message
    position: Position


class BadgeEngine:
    """Decides who gets which badge because of a message.

    ``on_award`` is called for every award after it was committed. ``rules`` may be replaced between
    messages. The methods may be called from several threads. They raise Unavailable, and database
    errors that no retry mends. ``tracer`` observes how it decides; the daemon has none.
    """

    def __init__(
        self,
        settings: Settings,
        store: BadgeStore,
        recipients: RecipientFinder,
        rules: RuleSet,
        on_award: Callable[[AwardResult], object] = lambda award: None,
        tracer: Tracer | None = None,
    ) -> None:
        self.rules = rules
        self.statistics = RuleStatistics()
        #: Remembers what a message stored later may change, where anybody judges again.
        self.judgements: Judgements | None = None
        self._settings, self._store = settings, store
        self._recipients, self._usernames = recipients, recipients.usernames
        self._on_award = on_award
        self._tracer = tracer
        self._throttle = Throttle()

    def match(self, message: Message) -> Triggered | None:
        """Run the triggers, and find whom the message names for each that holds; None for nobody.

        Of more than MOST_CANDIDATES people, only the first so many are named.
        """
        concerned = self.rules.concerned(message)
        if not concerned:
            return None
        message.ask(self._usernames)
        failures: Failures = []
        reasons: list[tuple[Rule, Reason | None]] = []
        found: list[tuple[Rule, tuple[str, ...]]] = []
        known: _KnownNames = {}
        for rule in concerned:
            if self.triggers(message, rule, failures):
                names, reason = self._named(rule, message, known)
                reasons.append((rule, reason))
                if names:
                    found.append((rule, names))
        failed = [
            (rule, reason_of(error))
            for rule, error in failures
            if isinstance(error, MissingValue)  # others are warned of, and may be many
        ]
        # Only now, as an outage makes it begin again.
        self.statistics.matched(message, concerned, reasons, failed)
        if not found:
            return None
        everybody = dict.fromkeys(name for _, names in found for name in names)
        if len(everybody) > MOST_CANDIDATES:
            self._warn_of_many(len(everybody), message)
            first = set(itertools.islice(everybody, MOST_CANDIDATES))
            kept = ((rule, tuple(filter(first.__contains__, names))) for rule, names in found)
            found = [(rule, names) for rule, names in kept if names]
        return Triggered(message, tuple(found))

    def triggers(self, message: Message, rule: Rule, failures: Failures) -> bool:
        """Return True if a message triggers a rule; add to ``failures`` if that cannot be said."""
        trigger = rule.trigger if self._tracer is None else self._tracer.trigger(rule)
        try:
            return trigger.holds(message)
        except RULE_ERRORS as error:
            self._failed(rule, message, error, failures)
            return False

    def find_candidates(self, batch: Sequence[Triggered]) -> list[Triggered | None]:
        """Keep those who could still get a badge, with one question to tahrir for all messages.

        A message does not give a badge that was revoked after it. Returns the candidates of each
        message, in their order; None where nobody is left.
        """
        pairs = [pair for triggered in batch for pair in triggered.people]
        names = {name for _, names in pairs for name in names}
        holdings = self._store.holdings(names, {rule.badge.id for rule, _ in pairs})
        found: list[Triggered | None] = []
        counted: list[tuple[Rule, bool]] = []
        for triggered in batch:
            # Only revocations are compared with it.
            position = triggered.known_position if holdings.revoked else None
            people: list[tuple[Rule, tuple[str, ...]]] = []
            for rule, named in triggered.people:
                badge = rule.badge.id
                allowed = tuple(name for name in named if holdings.allows(name, badge, position))
                counted.append((rule, bool(allowed)))
                if allowed:
                    people.append((rule, allowed))
            found.append(triggered.with_people(people) if people else None)
        self.statistics.looked_up(counted)
        return found

    def plan(self, batch: Sequence[Triggered]) -> Shared:
        """Announce to the criteria what they will be asked, so that one query answers several.

        Returns what the decisions on this batch share.
        """
        shared: Shared = {POSITIONS: {each.position for each in batch if each.position}}
        rules = [rule for each in batch for rule, _ in each.people]
        # A single criterion shares its answer with no other.
        if len(rules) == 1 and sum(1 for _ in backend_criteria(rules[0].criteria)) == 1:
            return shared
        for each in batch:
            for rule, question, _ in _questions(each, shared):
                for criterion in backend_criteria(rule.criteria):
                    if plans(criterion):
                        with contextlib.suppress(*RULE_ERRORS):  # raised again by the criteria
                            criterion.plan(question)
        return shared

    def decide(self, candidates: Triggered, shared: Shared | None = None) -> int:
        """Judge the criteria and award; return the number of awards.

        An award that fails does not cost the others; its error is raised after them. ``shared`` is
        what ``plan`` returned for the batch that the candidates are of, if they are of one.
        """
        shared = self.plan([candidates]) if shared is None else shared
        count, failures = self.award(self.judge(candidates, shared))
        for failure in failures.values():
            raise failure
        return count

    def judge(self, candidates: Triggered, shared: Shared) -> list[Earned]:
        """Return which candidates have earned their badge."""
        meeting: list[tuple[Rule, str]] = []
        early = EarlyCheck(self.judgements, candidates.position)
        failures: Failures = []
        # Whether the criteria held for anybody, where they could be judged.
        held: dict[str, bool] = {}
        for rule, question, names in _questions(candidates, shared):
            holds = self._holds(rule, question, failures)
            if holds is not None:
                held[rule.badge.id] = holds or held.get(rule.badge.id, False)
            if holds:
                meeting += ((rule, name) for name in names)
            else:
                early.note(rule, question)
        early.remember()
        earned = [
            Earned(rule, name, candidates.message, candidates.known_position)
            for rule, name in meeting
            if self._exists(rule, name)
        ]
        self._count(candidates, held, failures)
        return earned

    def award(self, earned: Sequence[Earned]) -> tuple[int, dict[Message, Exception]]:
        """Award what was earned, all of it together, with what follows from it.

        Returns the number of awards, and the messages for which an award was refused, with why.
        """
        if not earned:
            return 0, {}
        awards = {
            Award(
                each.rule.badge.id,
                each.username,
                link_to(each.message, self._settings),
                badge=each.rule.badge,
                position=each.position,
                limit=each.rule.first,
            ): each
            for each in earned
        }
        result = self._store.award(awards, self.rules.untriggered)
        for given in result.given:
            badge, user = given.award.badge_id, given.award.username
            message = awards[given.award.cause or given.award].message
            log.info(
                "Awarded badge",
                badge=badge,
                user=user,
                msg_id=message.msg_id,
                topic=message.topic,
                ms_since_sent=round((time.time() - message.sent_seconds) * 1000),
                ms_since_received=round((time.monotonic() - message.received) * 1000),
            )
            self.statistics.awarded(badge, user, message)
            self._on_award(given)
        return len(result.given), {awards[award].message: error for award, error in result.refused}

    def _named(
        self, rule: Rule, message: Message, known: _KnownNames
    ) -> tuple[tuple[str, ...], Reason | None]:
        """Return whom a message names; if that is nobody, with the reason.

        ``known`` is whom it names by the recipients of other rules; a series has the same.
        """
        key = rule.naming
        if self._tracer is None and key in known:
            return known[key], None
        found: tuple[NamedPerson, ...] = ()
        failures: Failures = []
        try:
            found = self._recipients.find(rule, message)
        except RULE_ERRORS as error:
            self._failed(rule, message, error, failures)
        if self._tracer is not None:
            self._tracer.recipients(rule, found)
        names: dict[str, None] = {}
        dropped: set[str] = set()
        for each in found:
            if each.name is not None:
                names[each.name] = None
                continue
            dropped.add(each.dropped)
            log.debug(
                "Recipient is no account", badge=rule.badge.id, name=each.raw, reason=each.dropped
            )
        if PASSED_OVER in dropped:
            texts = {each.raw for each in found if isinstance(each.raw, str)}
            self._warn_of_many(len(texts), message)
        if names and not dropped:
            known[key] = tuple(names)
        if names or dropped & UNWANTED:
            return tuple(names), None
        return (), reason_of(failures[0][1]) if failures else reason_for_nobody(rule, found)

    def _warn_of_many(self, count: int, message: Message) -> None:
        # Several rules may name them.
        if self._throttle.allows((message.msg_id, MOST_CANDIDATES)):
            log.warning(
                "Too many recipients, ignoring those after the first",
                msg_id=message.msg_id,
                count=count,
                limit=MOST_CANDIDATES,
            )

    def _holds(self, rule: Rule, question: Question, failures: Failures) -> bool | None:
        """Return whether the criteria hold; if that cannot be said, None, and add a failure."""
        criteria = rule.criteria
        if self._tracer is not None:
            criteria = self._tracer.criteria(rule, question.recipient)
        try:
            fails = self._tracer is None and known_to_fail(criteria, question)
            holds = not fails and criteria.holds(question)
            if not holds and (error := hidden_error(rule.criteria, question)) is not None:
                raise error
        except RULE_ERRORS as error:
            self._failed(rule, question.message, error, failures)
            return None
        return holds

    def _count(self, candidates: Triggered, held: Mapping[str, bool], failures: Failures) -> None:
        """Count the judgements, but for those that are counted already."""
        judgements: list[tuple[Rule, bool, Reason | None]] = []
        for rule, _ in candidates.people:
            badge = rule.badge.id
            if badge not in candidates.counted:
                candidates.counted.add(badge)
                reason = None
                if badge not in held:
                    reason = next(reason_of(error) for failed, error in failures if failed is rule)
                judgements.append((rule, held.get(badge, False), reason))
        self.statistics.judged(candidates.message, judgements)

    def _exists(self, rule: Rule, name: str) -> bool:
        exists = self._recipients.exists(name)
        if self._tracer is not None:
            self._tracer.account(rule, name, exists)
        if not exists:
            log.debug("Candidate has no account", badge=rule.badge.id, user=name)
        return exists

    def _failed(
        self, rule: Rule, message: Message, error: BaseException, failures: Failures
    ) -> None:
        """Report that a rule raised an error for a message, and note it; raise Unavailable."""
        if isinstance(error, Unavailable):
            raise error
        if isinstance(error, MissingValue):
            log.debug("Message lacks what the rule needs", badge=rule.badge.id, reason=str(error))
        elif self._throttle.allows((rule.badge.id, type(error))):
            log.warning(
                "Rule failed, so the message does not match",
                rule=str(rule.place),
                msg_id=message.msg_id,
                error=error,
            )
        if self._tracer is not None:
            self._tracer.failed(rule, error)
        failures.append((rule, error))


def _questions(
    candidates: Triggered, shared: Shared
) -> Iterator[tuple[Rule, Question, tuple[str, ...]]]:
    """Yield a question for each candidate where the criteria name them, else for all at once."""
    cache: Shared = {}
    message, position = candidates.message, candidates.position
    for rule, names in candidates.people:
        if rule.names_recipient:
            for name in names:
                yield rule, Question(message, name, cache, shared, position=position), (name,)
        else:
            yield rule, Question(message, None, cache, shared, position=position), names
