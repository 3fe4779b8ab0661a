"""Why a message does, or does not, give badges: the engine's own account.

The engine decides as it does in the daemon, with a witness; but nothing comes of it.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from fedbadges.accounts.service import make_accounts
from fedbadges.accounts.usernames import Usernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import AT_LEAST, VALUE, past_messages
from fedbadges.engine.engine import BadgeEngine, Candidates, Triggered
from fedbadges.engine.tracing import Traced, trace
from fedbadges.errors import Unavailable
from fedbadges.history.history import History
from fedbadges.messages import Message
from fedbadges.rules.criteria import Criteria
from fedbadges.rules.index import RuleSet
from fedbadges.rules.recipients import Accounts, NamedPerson
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import Trigger
from fedbadges.tahrir.awards import Award, BulkAwardResult, Holdings, Tahrir

Held = dict[tuple[str, str], datetime.datetime]


class Verdict(Enum):
    """What comes of a candidate; the values stand for it in JSON."""

    AWARD = "award"
    PASSED_OVER = "passed-over"
    OPTED_OUT = "opted-out"
    HELD = "held"
    CRITERIA = "criteria"
    NO_ACCOUNT = "no-account"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Counted:
    """A count, and how many are needed; with ``at_least`` there may be more than were counted."""

    value: int
    needed: int
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'at least ' if self.at_least else ''}{self.value} of {self.needed}"


@dataclass(frozen=True)
class Candidate:
    """Somebody whom the message names for a badge, and what comes of it.

    ``since`` is when they got the badge that they hold; ``criteria`` are None if not asked.
    """

    name: str
    verdict: Verdict
    since: datetime.datetime | None = None
    criteria: Traced | None = None


@dataclass(frozen=True)
class RuleExplanation:
    """How a rule fared with a message.

    ``trigger`` is None where the engine did not get so far; ``found`` is whom the message names,
    or None where the trigger does not hold, and ``stumbled`` what went wrong with naming them.
    ``barred`` says why the daemon has no such rule in force, if so.
    """

    rule: Rule
    trigger: Traced | None
    found: Sequence[NamedPerson] | None = None
    stumbled: BaseException | None = None
    candidates: tuple[Candidate, ...] = ()
    barred: str = ""

    @property
    def unknown(self) -> bool:
        """Whether it cannot be told what comes of everybody, since somebody is away."""
        if self.trigger is None or isinstance(self.trigger.raised, Unavailable):
            return True
        unnamed = self.trigger.answer is True and self.found is None and not self.barred
        return unnamed or any(each.verdict is Verdict.UNKNOWN for each in self.candidates)


@dataclass(frozen=True)
class Explanation:
    """What a message does, and why.

    ``accounts`` are of those rules that the message can concern, or that were asked for; of
    ``others`` the topic alone says that it does not. ``stored`` tells whether datanommer has the
    message, and is None where that does not matter. ``interrupted`` says who was away meanwhile.
    """

    message: Message
    accounts: tuple[RuleExplanation, ...]
    others: int = 0
    stored: bool | None = None
    interrupted: str = ""

    @property
    def awards(self) -> tuple[tuple[str, str], ...]:
        """Who would get which badge: name and badge id."""
        return tuple(
            (candidate.name, account.rule.badge.id)
            for account in self.accounts
            for candidate in account.candidates
            if candidate.verdict is Verdict.AWARD
        )


@dataclass
class ExplanationTracer:
    """A witness's notes, and who holds what in place of tahrir; by badge id, and by person."""

    tahrir: Tahrir
    triggers: dict[str, Traced] = field(default_factory=dict)
    found: dict[str, tuple[NamedPerson, ...]] = field(default_factory=dict)
    stumbles: dict[str, BaseException] = field(default_factory=dict)
    judged: dict[tuple[str, str | None], Traced] = field(default_factory=dict)
    accounts: dict[tuple[str, str], bool] = field(default_factory=dict)
    awarded: set[tuple[str, str]] = field(default_factory=set)
    opted_out: set[str] = field(default_factory=set)
    held: set[tuple[str, str]] = field(default_factory=set)

    def trigger(self, rule: Rule) -> Trigger:
        """Have the rule's own trigger asked, watched."""
        self.triggers[rule.badge.id] = watched = trace(rule.trigger)
        return watched

    def criteria(self, rule: Rule, recipient: str | None) -> Criteria:
        """Have the rule's own criteria asked, watched."""
        self.judged[rule.badge.id, recipient] = watched = trace(rule.criteria)
        return watched

    def named(self, rule: Rule, found: Sequence[NamedPerson]) -> None:
        """Note whom the message names."""
        self.found[rule.badge.id] = tuple(found)

    def stumbled(self, rule: Rule, error: BaseException) -> None:
        """Note what went wrong with naming people; of all else, what is watched has it."""
        if self.triggers[rule.badge.id].answer and rule.badge.id not in self.found:
            self.stumbles[rule.badge.id] = error

    def exists(self, rule: Rule, name: str, exists: bool) -> None:
        """Note whether somebody has an account."""
        self.accounts[rule.badge.id, name] = exists

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Ask tahrir."""
        holdings = self.tahrir.holdings(usernames, badge_ids)
        self.opted_out |= holdings.opted_out
        self.held |= holdings.held
        return holdings

    def award_all(self, awards: Iterable[Award]) -> BulkAwardResult:
        """Note that the daemon would award here."""
        self.awarded |= {(award.username, award.badge_id) for award in awards}
        return BulkAwardResult()

    def criteria_for(self, rule: Rule, name: str) -> Traced | None:
        """Give the criteria as they were judged for somebody, maybe with all others at once."""
        return self.judged.get((rule.badge.id, name if rule.names_recipient else None))


class Explainer:
    """Asks the engine about messages, as the daemon would, without any consequence.

    ``rules`` are those that are asked about. Nothing is kept, nor written anywhere. ``usernames``
    and ``accounts`` are the configured ones unless they are given.
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
        self._usernames = usernames or Usernames(settings.fedmsg)
        self._accounts = accounts or make_accounts(settings)
        self._all = RuleSet(rules)
        self._barred = self._unawardable()
        self.rules = RuleSet(rule for rule in self._all if rule.badge.id not in self._barred)

    def engine(self, notes: ExplanationTracer) -> BadgeEngine:
        """Make an engine with this witness; it awards nothing."""
        return BadgeEngine(
            self._settings,
            notes,
            self._usernames,
            self.rules,
            on_award=lambda given: None,
            accounts=self._accounts,
            witness=notes,
        )

    def explain(self, message: Message, user: str | None = None, *, full: bool) -> Explanation:
        """Say what a message does, to everybody or to one user.

        ``full`` gives an account of all rules, also of those that it cannot concern.
        """
        notes = ExplanationTracer(self.tahrir)
        engine = self.engine(notes)
        named: Triggered | None = None
        case: Candidates | None = None
        stored: bool | None = None
        interrupted = ""
        try:
            named = engine.match(message)
            case = None if named is None else engine.find_candidates([named])[0]
            case = case if case is None or user is None else _only(case, user)
            stored = self._stored(case)
            if case is not None:
                engine.decide(case)
        except Unavailable as unavailable:
            interrupted = str(unavailable)
        shown = self._all.rules if full else self._all.concerned(message)
        held = self._held(notes)
        for rule in shown:
            if rule.badge.id not in notes.triggers and not interrupted:
                engine.triggers(message, rule)
        accounts = tuple(
            RuleExplanation(
                rule,
                notes.triggers.get(rule.badge.id),
                notes.found.get(rule.badge.id),
                notes.stumbles.get(rule.badge.id),
                tuple(_candidates(rule, notes, (named, case), user, held)),
                self._barred.get(rule.badge.id, ""),
            )
            for rule in shown
        )
        return Explanation(message, accounts, len(self._all) - len(shown), stored, interrupted)

    def _stored(self, case: Candidates | None) -> bool | None:
        if case is None or not case.needs_history:
            return None
        msg_id = case.message.msg_id
        return msg_id is not None and bool(self._history.stored([msg_id]))

    def _held(self, notes: ExplanationTracer) -> Held:
        names, ids = ({pair[part] for pair in notes.held} for part in (0, 1))
        return self.tahrir.held_since(names, ids) if notes.held else {}

    def _unawardable(self) -> dict[str, str]:
        published = self.tahrir.unawardable(rule.badge for rule in self._all)
        return dict.fromkeys(published.legacy, "tahrir has it as a legacy badge") | dict(
            published.refused
        )


def count_of(watched: Traced) -> Counted | None:
    """Give what a criterion has counted; None where that is not what it compares."""
    value, question = watched.told.get(VALUE), past_messages(watched.check)
    if type(value) is not int or question is None:
        return None
    needed = question.condition.needed
    return None if needed is None else Counted(value, needed, bool(watched.told.get(AT_LEAST)))


def without_keeping(settings: Settings) -> Settings:
    """Give the settings of somebody who only looks: what is counted is not kept for later."""
    return dataclasses.replace(settings, keep_counts=False)


def _only(case: Candidates, user: str) -> Candidates | None:
    candidates = tuple((rule, (user,)) for rule, names in case.candidates if user in names)
    return Candidates(case.message, candidates) if candidates else None


def _candidates(
    rule: Rule,
    notes: ExplanationTracer,
    reached: tuple[Triggered | None, Candidates | None],
    user: str | None,
    held: Held,
) -> Iterable[Candidate]:
    named, case = reached
    found = notes.found.get(rule.badge.id, ())
    names = dict.fromkeys(each.name for each in found if each.name is not None)
    for name in names:
        if user is None or name == user:
            yield Candidate(
                name,
                _verdict(rule, name, notes, named, case),
                held.get((name, rule.badge.id)),
                notes.criteria_for(rule, name),
            )


def _verdict(
    rule: Rule,
    name: str,
    notes: ExplanationTracer,
    named: Triggered | None,
    case: Candidates | None,
) -> Verdict:
    """Tell how far somebody got in what the engine noted."""
    pair = (name, rule.badge.id)
    criteria = notes.criteria_for(rule, name)
    if pair in notes.awarded:
        return Verdict.AWARD
    if named is not None and not _among(rule, name, named.people):
        return Verdict.PASSED_OVER
    if name in notes.opted_out:
        return Verdict.OPTED_OUT
    if pair in notes.held:
        return Verdict.HELD
    if notes.accounts.get((rule.badge.id, name)) is False:
        return Verdict.NO_ACCOUNT
    if criteria is None or isinstance(criteria.raised, Unavailable) or criteria.answer:
        return Verdict.UNKNOWN
    return Verdict.CRITERIA


def _among(rule: Rule, name: str, people: Iterable[tuple[Rule, tuple[str, ...]]]) -> bool:
    return any(each is rule and name in names for each, names in people)
