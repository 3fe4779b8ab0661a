"""The one path that decides: a message in, verdicts and awards out."""

from __future__ import annotations

import contextlib
import itertools
import logging
import reprlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Protocol, TypeVar

from fedbadges.accounts.usernames import Usernames
from fedbadges.config.settings import Settings
from fedbadges.engine.links import link_to
from fedbadges.engine.statistics import RuleStatistics
from fedbadges.errors import MissingValue, Unavailable
from fedbadges.messages import Message
from fedbadges.rules.criteria import Criteria, PlanningCriterion, Question, backend_criteria
from fedbadges.rules.index import RuleSet
from fedbadges.rules.recipients import (
    BANNED,
    EVERYBODY,
    MOST_CANDIDATES,
    PASSED_OVER,
    Accounts,
    NamedPerson,
    account,
)
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Trigger
from fedbadges.tahrir.awards import Award, AwardResult, BulkAwardResult, Holdings
from fedbadges.util.text import short_repr
from fedbadges.util.throttle import Throttle

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What a rule's own code may raise: anything, and ``exit()`` is not to end the thread.
_RULES_OWN = (Exception, SystemExit)

_NOBODY: tuple[NamedPerson, ...] = ()

#: What is found out once, by what distinguishes it.
Shared = dict[object, object]

#: The rules that a message triggered, with some people for each.
People = tuple[tuple[Rule, tuple[str, ...]], ...]


class BadgeStore(Protocol):
    """Who holds what: tahrir, or what stands for it."""

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Tell of these people and badges who holds what, and who opted out."""

    def award_all(self, awards: Iterable[Award]) -> BulkAwardResult:
        """Give badges; those of which nothing is to be told are not in what it gives."""


class Tracer(Protocol):
    """Sees how an engine decides, step by step; the daemon has none."""

    def trigger(self, rule: Rule) -> Trigger:
        """Give what is asked in place of the rule's trigger, and answers the same."""

    def criteria(self, rule: Rule, recipient: str | None) -> Criteria:
        """Give what is asked in place of the rule's criteria, and answers the same.

        ``recipient`` is None where all candidates are judged at once.
        """

    def named(self, rule: Rule, found: Sequence[NamedPerson]) -> None:
        """See whom the message names for a rule that it triggered."""

    def stumbled(self, rule: Rule, error: BaseException) -> None:
        """See what went wrong with a trigger, a recipient or criteria, in place of an answer."""

    def exists(self, rule: Rule, name: str, exists: bool) -> None:
        """See whether somebody who has earned the badge has an account."""


@dataclass(frozen=True)
class Triggered:
    """A message with the rules that it triggered, and whom it names for each."""

    message: Message
    people: People


@dataclass(frozen=True)
class Earned:
    """A badge that somebody has earned, and the message that did it."""

    rule: Rule
    username: str
    message: Message


@dataclass(frozen=True)
class Candidates:
    """A message with the rules that it triggered, and the candidates of each."""

    message: Message
    candidates: People

    @property
    def needs_history(self) -> bool:
        """Whether it is to wait until datanommer has the message."""
        return any(rule.needs_history for rule, _ in self.candidates)


class BadgeEngine:
    """Decides who gets which badge because of a message.

    ``on_award`` is told of every award after it was committed; ``witness``, if there is one, of
    every step before; and ``tallies`` count. ``rules`` may be replaced between messages. Its
    methods may be called from several threads, and raise Unavailable, and what a database says that
    waiting does not mend.
    """

    def __init__(
        self,
        settings: Settings,
        tahrir: BadgeStore,
        usernames: Usernames,
        rules: RuleSet,
        on_award: Callable[[AwardResult], None],
        accounts: Accounts = EVERYBODY,
        witness: Tracer | None = None,
        tallies: RuleStatistics | None = None,
    ) -> None:
        self.rules = rules
        self._settings = settings
        self._tahrir = tahrir
        self._usernames = usernames
        self._on_award = on_award
        self._accounts = accounts
        self._witness = witness
        self._tallies = tallies or RuleStatistics()
        self._failures = Throttle()

    def match(self, message: Message) -> Triggered | None:
        """Run the triggers, and say whom the message names for each that holds; None for nobody.

        Of more than MOST_CANDIDATES people, only the first so many are named.
        """
        people = [
            (rule, self._candidates(rule, message))
            for rule in self.rules.concerned(message)
            if self.triggers(message, rule)
        ]
        for rule, _ in people:
            self._tallies.triggered(rule.badge.id)
        people = [(rule, names) for rule, names in people if names]
        if not people:
            return None
        everybody = self._not_too_many(people, message)
        return Triggered(
            message,
            tuple((rule, tuple(filter(everybody.__contains__, names))) for rule, names in people),
        )

    def triggers(self, message: Message, rule: Rule) -> bool:
        """Tell whether a message triggers a rule."""
        trigger = rule.trigger if self._witness is None else self._witness.trigger(rule)
        return self._attempt(rule, message, lambda: trigger.holds(message), False)

    def find_candidates(self, many: Sequence[Triggered]) -> list[Candidates | None]:
        """Keep those who could still get a badge, with one question to tahrir for all messages.

        Gives a case for each message, in their order; None where nobody is left.
        """
        pairs = [pair for named in many for pair in named.people]
        names = {name for _, names in pairs for name in names}
        holdings = self._tahrir.holdings(names, {rule.badge.id for rule, _ in pairs})
        return [_case(named, holdings) for named in many]

    def plan(self, cases: Sequence[Candidates]) -> Shared:
        """Tell the criteria what they are about to be asked, so that they can ask it at once.

        Gives what the decisions on these cases are to share.
        """
        shared: Shared = {}
        rules = [rule for case in cases for rule, _ in case.candidates]
        # A single criterion shares its answer with no other.
        if len(rules) > 1 or any(_combines(rule) for rule in rules):
            for case in cases:
                self._plan(case, shared)
        return shared

    def decide(self, case: Candidates, shared: Shared | None = None) -> int:
        """Judge the criteria and award; gives the number of awards.

        What one award stumbles over does not cost the others; it is raised after them.

        ``shared`` is what ``plan`` gave for this case with others, if it is one of several.
        """
        shared = self.plan([case]) if shared is None else shared
        count, failures = self.award(self.judge(case, shared))
        for failure in failures.values():
            raise failure
        return count

    def judge(self, case: Candidates, shared: Shared) -> list[Earned]:
        """Tell who of the candidates has earned their badge."""
        memo: Shared = {}
        return [
            Earned(rule, name, case.message)
            for rule, names in case.candidates
            for name in self._earned(rule, names, case.message, (memo, shared))
            if self._exists(rule, name)
        ]

    def award(self, earned: Sequence[Earned]) -> tuple[int, dict[Message, Exception]]:
        """Award what was earned, together where it is much.

        Gives the number of awards, and because of which messages something could not be given,
        with what went wrong.
        """
        if not earned:
            return 0, {}
        awards = {self._award(each): each for each in earned}
        handout = self._tahrir.award_all(awards)
        for award, given in handout.given:
            self._announce(awards[award], given)
        for _, error in handout.refused:
            if isinstance(error, Unavailable):
                raise error
        failures = {awards[award].message: error for award, error in handout.refused}
        return len(handout.given), failures

    def _not_too_many(
        self, named: list[tuple[Rule, tuple[str, ...]]], message: Message
    ) -> dict[str, None]:
        everybody = dict.fromkeys(name for _, names in named for name in names)
        if len(everybody) <= MOST_CANDIDATES:
            return everybody
        self._pass_over(len(everybody), message)
        return dict.fromkeys(itertools.islice(everybody, MOST_CANDIDATES))

    def _pass_over(self, people: int, message: Message) -> None:
        # Several rules may name them.
        if self._failures.allows((message.msg_id, MOST_CANDIDATES)):
            log.warning(
                "The message %r names %d people: all but the first %d are passed over",
                message.msg_id,
                people,
                MOST_CANDIDATES,
            )

    def _candidates(self, rule: Rule, message: Message) -> tuple[str, ...]:
        found = self._attempt(rule, message, lambda: self._named(rule, message), _NOBODY)
        if self._witness is not None:
            self._witness.named(rule, found)
        for each in found:
            if each.name is None:
                short_repr = reprlib.repr(each.raw)
                log.debug("%s: %s is no account: %s", rule.badge.id, short_repr, each.dropped)
        if any(each.dropped == PASSED_OVER for each in found):
            self._pass_over(len({each.raw for each in found if isinstance(each.raw, str)}), message)
        return tuple(dict.fromkeys(each.name for each in found if each.name is not None))

    def _named(self, rule: Rule, message: Message) -> tuple[NamedPerson, ...]:
        if rule.recipient is None:
            found = tuple(account(name) for name in sorted(self._usernames.users(message)))
        else:
            domain = self._settings.email_domain
            found = rule.recipient.find(message.body, domain, self._accounts)
        banned = self._settings.banned_usernames
        return tuple(
            replace(each, name=None, dropped=BANNED) if each.name in banned else each
            for each in found
        )

    def _earned(
        self, rule: Rule, names: tuple[str, ...], message: Message, memos: tuple[Shared, Shared]
    ) -> list[str]:
        return [
            name
            for question, concerned in _questions(rule, names, message, memos)
            if self._judge(rule, question)
            for name in concerned
        ]

    def _plan(self, case: Candidates, shared: Shared) -> None:
        for rule, names in case.candidates:
            planning = [
                each
                for each in backend_criteria(rule.criteria)
                if isinstance(each, PlanningCriterion)
            ]
            for question, _ in _questions(rule, names, case.message, ({}, shared)):
                for criterion in planning:
                    # What goes wrong is said when it is asked.
                    with contextlib.suppress(*_RULES_OWN):
                        criterion.plan(question)

    def _judge(self, rule: Rule, question: Question) -> bool:
        criteria = rule.criteria
        if self._witness is not None:
            criteria = self._witness.criteria(rule, question.recipient)
        return self._attempt(rule, question.message, lambda: criteria.holds(question), False)

    def _exists(self, rule: Rule, name: str) -> bool:
        exists = self._accounts.exists(name)
        if self._witness is not None:
            self._witness.exists(rule, name, exists)
        if not exists:
            log.debug("%s: there is no account %r", rule.badge.id, name)
        return exists

    def _attempt(self, rule: Rule, message: Message, find: Callable[[], T], otherwise: T) -> T:
        """Find something out; what a rule stumbles over means ``otherwise``."""
        try:
            return find()
        except Unavailable:
            raise
        except MissingValue as missing:
            log.debug("%s: %s", rule.badge.id, missing)
            stumble: BaseException = missing
        except _RULES_OWN as error:  # also text that is nested too deeply to be written
            self._warn(rule, message, error)
            stumble = error
        if self._witness is not None:
            self._witness.stumbled(rule, stumble)
        return otherwise

    def _warn(self, rule: Rule, message: Message, error: BaseException) -> None:
        if self._failures.allows((rule.badge.id, type(error))):
            log.warning(
                "%s: cannot judge the message %r, so it does not match: %s",
                rule.place,
                message.msg_id,
                short_repr(error),
            )

    def _award(self, earned: Earned) -> Award:
        link = link_to(earned.message, self._settings)
        return Award(earned.rule.badge.id, earned.username, link, _now())

    def _announce(self, earned: Earned, given: AwardResult) -> None:
        badge_id, message = earned.rule.badge.id, earned.message
        log.info(
            "Awarded %s to %s because of %r (%r), %d ms after it was sent, %d ms after it came",
            badge_id,
            earned.username,
            message.msg_id,
            message.topic,
            (_now() - message.sent).total_seconds() * 1000,
            (time.monotonic() - message.received) * 1000,
        )
        self._tallies.awarded(badge_id, earned.username, message.msg_id)
        self._on_award(given)


def _now() -> datetime:
    return datetime.now(timezone.utc).replace(tzinfo=None)


def _case(named: Triggered, holdings: Holdings) -> Candidates | None:
    left = tuple(
        (rule, tuple(name for name in names if holdings.allows(name, rule.badge.id)))
        for rule, names in named.people
    )
    left = tuple((rule, names) for rule, names in left if names)
    return Candidates(named.message, left) if left else None


def _combines(rule: Rule) -> bool:
    return sum(1 for _ in backend_criteria(rule.criteria)) > 1


def _questions(
    rule: Rule, names: tuple[str, ...], message: Message, memos: tuple[Shared, Shared]
) -> Iterator[tuple[Question, tuple[str, ...]]]:
    """Ask about each candidate where the criteria name them, and else about all at once."""
    memo, shared = memos
    if not rule.names_recipient:
        yield Question(message, message_cache=memo, batch_cache=shared), names
        return
    for name in names:
        yield Question(message, recipient=name, message_cache=memo, batch_cache=shared), (name,)
