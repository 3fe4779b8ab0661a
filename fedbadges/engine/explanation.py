"""Why a message does, or does not, give badges.

The engine decides as it does in the daemon, with a tracer, and awards nothing.
"""

import dataclasses
import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from fedbadges.accounts.service import make_accounts
from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import AT_LEAST, VALUE, past_messages
from fedbadges.engine.engine import BadgeEngine, Triggered
from fedbadges.engine.following import following_awards
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.engine.tracing import Traced, Tracer
from fedbadges.errors import Unavailable
from fedbadges.history.history import History
from fedbadges.messages import Message, Usernames
from fedbadges.rules.index import RuleSet
from fedbadges.rules.recipients import Accounts, NamedPerson
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import Revocation
from fedbadges.util.text import pluralize


class Verdict(Enum):
    """What a candidate gets, or why nothing; the values stand for it in JSON."""

    AWARD = "award"
    PASSED_OVER = "passed-over"
    OPTED_OUT = "opted-out"
    HELD = "held"
    REVOKED = "revoked"
    CRITERIA = "criteria"
    NO_ACCOUNT = "no-account"
    LATE = "late"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Counted:
    """A count, and how many are needed; with ``at_least`` there may be more than were counted.

    ``unit`` is what is counted, in the singular, where that are no messages.
    """

    value: int
    needed: int
    at_least: bool = False
    unit: str = ""

    def __str__(self) -> str:
        needed = pluralize(self.needed, self.unit) if self.unit else str(self.needed)
        return f"{'at least ' if self.at_least else ''}{self.value} of {needed}"


@dataclass(frozen=True)
class Candidate:
    """Somebody whom the message names for a badge, and what comes of it.

    ``since`` is when they got the badge that they hold, and ``revoked`` how they lost it if the
    message cannot give it for that reason; ``criteria`` are None if not asked.
    """

    name: str
    verdict: Verdict
    since: datetime.datetime | None = None
    criteria: Traced | None = None
    revoked: Revocation | None = None


@dataclass(frozen=True)
class RuleExplanation:
    """What a rule makes of a message.

    ``trigger`` is None where the engine did not get so far; ``found`` is whom the message names,
    or None where the trigger does not hold, and ``error`` what went wrong with naming them.
    ``unawardable`` says why the daemon has no such rule in force, if so.
    """

    rule: Rule
    trigger: Traced | None
    found: Sequence[NamedPerson] | None = None
    error: BaseException | None = None
    candidates: tuple[Candidate, ...] = ()
    unawardable: str = ""

    @property
    def unknown(self) -> bool:
        """Return True if somebody's verdict is not known, since a backend is away."""
        if self.trigger is None or isinstance(self.trigger.raised, Unavailable):
            return True
        unnamed = self.trigger.answer is True and self.found is None and not self.unawardable
        return unnamed or any(each.verdict is Verdict.UNKNOWN for each in self.candidates)


@dataclass(frozen=True)
class Explanation:
    """What a message does, and why.

    ``rules`` are those that the message can concern, or that were asked for; ``others`` is the
    number of rules that wait for other topics. ``stored`` is whether datanommer has the message, or
    None where that does not matter. ``interrupted`` says which backend was away, if one was.
    ``following`` are awards that follow from the others, as (name, badge id).
    """

    message: Message
    rules: tuple[RuleExplanation, ...]
    others: int = 0
    stored: bool | None = None
    interrupted: str = ""
    following: tuple[tuple[str, str], ...] = ()

    @property
    def awards(self) -> tuple[tuple[str, str], ...]:
        """Return who would get which badge, as (name, badge id)."""
        own = tuple(
            (candidate.name, each.rule.badge.id)
            for each in self.rules
            for candidate in each.candidates
            if candidate.verdict is Verdict.AWARD
        )
        return own + self.following


class Explainer:
    """Asks the engine what it would do with messages, without any effect.

    ``usernames`` and ``accounts`` replace fedmsg.meta and the configured accounts service.
    """

    def __init__(
        self,
        settings: Settings,
        rules: Iterable[Rule],
        usernames: Usernames | None = None,
        accounts: Accounts | None = None,
    ) -> None:
        self.tahrir = Tahrir(settings)
        self._settings = settings
        self._history = History(settings)
        self._recipients = RecipientFinder(
            settings,
            usernames or FedmsgUsernames(settings.fedmsg),
            accounts or make_accounts(settings),
        )
        self._all = RuleSet(rules)
        found = self.tahrir.unawardable(rule.badge for rule in self._all)
        self._unawardable = {
            **dict.fromkeys(found.legacy, "tahrir has it as a legacy badge"),
            **found.refused,
        }
        self.rules = RuleSet(rule for rule in self._all if rule.badge.id not in self._unawardable)

    def engine(self, tracer: Tracer) -> BadgeEngine:
        """Return an engine that awards nothing, with this tracer."""
        return BadgeEngine(self._settings, tracer, self._recipients, self.rules, tracer=tracer)

    def explain(self, message: Message, user: str | None = None, *, full: bool) -> Explanation:
        """Explain what a message does, to everybody or to one user.

        With ``full``, rules that the message cannot concern are explained as well.
        """
        tracer = Tracer(self.tahrir)
        engine = self.engine(tracer)
        triggered: Triggered | None = None
        stored: bool | None = None
        interrupted = ""
        following: tuple[tuple[str, str], ...] = ()
        try:
            triggered = engine.match(message)
            candidates = engine.find_candidates([triggered])[0] if triggered else None
            if candidates is not None and user is not None:
                people = ((rule, (user,)) for rule, names in candidates.people if user in names)
                candidates = dataclasses.replace(candidates, people=tuple(people))
            if triggered is not None and candidates is not None:
                if candidates.needs_history:
                    position = self._history.positions([message]).get(message)
                    stored = position is not None
                    candidates = dataclasses.replace(candidates, position=position)
                    triggered = dataclasses.replace(triggered, position=position)
                engine.decide(candidates)
                following = following_awards(tracer, self.rules, candidates.known_position)
        except Unavailable as unavailable:
            interrupted = str(unavailable)
        explained = self._all.rules if full else self._all.concerned(message)
        for rule in explained:
            if rule.badge.id not in tracer.triggers and not interrupted:
                engine.triggers(message, rule, [])
        rules = tuple(
            RuleExplanation(
                rule,
                tracer.triggers.get(rule.badge.id),
                tracer.found.get(rule.badge.id),
                tracer.errors.get(rule.badge.id),
                tuple(_candidates(tracer, rule, triggered, user)),
                self._unawardable.get(rule.badge.id, ""),
            )
            for rule in explained
        )
        others = len(self._all) - len(explained)
        return Explanation(message, rules, others, stored, interrupted, following)


def count_of(traced: Traced) -> Counted | None:
    """Return what a criterion has counted; None where that is not what it compares."""
    value, question = traced.details.get(VALUE), past_messages(traced.check)
    if type(value) is not int or question is None:
        return None
    condition, needed = question.condition, question.condition.needed
    # What is not 0 may be less, where an operation does not count.
    if needed is None or condition.holds(value) is not (value >= needed):
        return None
    unit = question.operation.unit
    return Counted(value, needed, bool(traced.details.get(AT_LEAST)), unit)


def without_count_cache(settings: Settings) -> Settings:
    """Return the settings for somebody who only looks: counts are not cached for later."""
    return dataclasses.replace(settings, keep_counts=False)


def verdict(tracer: Tracer, rule: Rule, name: str, triggered: Triggered | None = None) -> Verdict:
    """Return how far somebody got in what the engine did."""
    pair = (name, rule.badge.id)
    criteria = tracer.criteria_for(rule, name)
    if pair in tracer.awarded:
        return Verdict.AWARD
    if pair in tracer.late:
        return Verdict.LATE
    if triggered is not None and not any(
        each is rule and name in names for each, names in triggered.people
    ):
        return Verdict.PASSED_OVER
    if name in tracer.opted_out:
        return Verdict.OPTED_OUT
    if pair in tracer.held:
        return Verdict.HELD
    if triggered is not None and tracer.is_barred(pair, triggered.known_position):
        return Verdict.REVOKED
    if tracer.accounts.get((rule.badge.id, name)) is False:
        return Verdict.NO_ACCOUNT
    if criteria is None or isinstance(criteria.raised, Unavailable) or criteria.answer:
        return Verdict.UNKNOWN
    return Verdict.CRITERIA


def _candidates(
    tracer: Tracer, rule: Rule, triggered: Triggered | None, user: str | None
) -> Iterator[Candidate]:
    found = tracer.found.get(rule.badge.id, ())
    for name in dict.fromkeys(each.name for each in found if each.name is not None):
        if user is None or name == user:
            pair = (name, rule.badge.id)
            answer = verdict(tracer, rule, name, triggered)
            yield Candidate(
                name,
                answer,
                tracer.held.get(pair),
                tracer.criteria_for(rule, name),
                tracer.revoked[pair] if answer is Verdict.REVOKED else None,
            )
