"""Tracing how a trigger or criteria decide: what each part answered, and from what."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fedbadges.errors import Place
from fedbadges.messages import Position
from fedbadges.rules.criteria import Criteria, Question
from fedbadges.rules.operators import AllOf, AnyOf, Check, Not, operands
from fedbadges.rules.recipients import NamedPerson
from fedbadges.rules.rule import Rule
from fedbadges.rules.triggers import LambdaTrigger, Trigger
from fedbadges.tahrir.awarding import Award, BulkAwardResult
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.holdings import Holdings, Revocation

#: The key of a lambda's value, among the details of a trigger.
LAMBDA_VALUE = "gave"


@dataclass(eq=False)
class Traced:
    """Stands for a check, has that decide, and records its answer.

    ``check`` is the one of the rule, ``parts`` are those that it combines. After it was asked it
    has its ``answer``, or what it ``raised``; neither, where it was not asked. ``details`` are what
    it said of how it came to its answer.
    """

    check: Check[Any]
    parts: tuple[Traced, ...] = ()
    answer: bool | None = None
    raised: BaseException | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Return where the rule has the check."""
        return self.check.place

    @property
    def asked(self) -> bool:
        """Return True if the answers before it did not decide the whole."""
        return self.answer is not None or self.raised is not None

    def holds(self, subject: Any) -> bool:
        """Ask the check itself, with traced parts; raises what it raises."""
        if isinstance(subject, Question):
            subject = replace(subject, observer=self.details.__setitem__)
        try:
            self.answer = bool(self._check().holds(subject))
        except BaseException as error:
            self.raised = error
            raise
        return self.answer

    def _check(self) -> Check[Any]:
        if isinstance(self.check, AllOf):
            return AllOf(self.parts, self.place)
        if isinstance(self.check, AnyOf):
            return AnyOf(self.parts, self.place)
        if isinstance(self.check, Not):
            return replace(self.check, part=self.parts[0])
        if isinstance(self.check, LambdaTrigger):
            expression = self.check.expression

            def function(value: Any, filled: tuple[Any, ...]) -> Any:
                self.details[LAMBDA_VALUE] = found = expression.function(value, filled)
                return found

            return replace(self.check, expression=replace(expression, function=function))
        return self.check


def trace(check: Check[Any]) -> Traced:
    """Return a traced check, with all its parts traced."""
    return Traced(check, tuple(trace(part) for part in operands(check)))


@dataclass
class Tracer:
    """Records what an engine does, in place of tahrir as well; by badge id, and by person."""

    tahrir: Tahrir
    triggers: dict[str, Traced] = field(default_factory=dict)
    found: dict[str, tuple[NamedPerson, ...]] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    judged: dict[tuple[str, str | None], Traced] = field(default_factory=dict)
    accounts: dict[tuple[str, str], bool] = field(default_factory=dict)
    awarded: set[tuple[str, str]] = field(default_factory=set)
    late: set[tuple[str, str]] = field(default_factory=set)
    opted_out: set[str] = field(default_factory=set)
    held: dict[tuple[str, str], datetime.datetime] = field(default_factory=dict)
    revoked: dict[tuple[str, str], Revocation] = field(default_factory=dict)

    def trigger(self, rule: Rule) -> Trigger:
        """Return the rule's own trigger, traced."""
        self.triggers[rule.badge.id] = traced = trace(rule.trigger)
        return traced

    def criteria(self, rule: Rule, recipient: str | None) -> Criteria:
        """Return the rule's own criteria, traced."""
        self.judged[rule.badge.id, recipient] = traced = trace(rule.criteria)
        return traced

    def recipients(self, rule: Rule, found: Sequence[NamedPerson]) -> None:
        """Record whom the message names."""
        self.found[rule.badge.id] = tuple(found)

    def failed(self, rule: Rule, error: BaseException) -> None:
        """Record an error in naming people; all others are in what is traced."""
        if self.triggers[rule.badge.id].answer and rule.badge.id not in self.found:
            self.errors[rule.badge.id] = error

    def account(self, rule: Rule, name: str, exists: bool) -> None:
        """Record whether somebody has an account."""
        self.accounts[rule.badge.id, name] = exists

    def holdings(self, usernames: Iterable[str], badge_ids: Iterable[str]) -> Holdings:
        """Ask tahrir, and record the answer."""
        holdings = self.tahrir.holdings(usernames, badge_ids)
        self.opted_out |= holdings.opted_out
        self.held |= holdings.held
        self.revoked |= holdings.revoked
        return holdings

    def award(self, awards: Iterable[Award], rules: Sequence[Rule] = ()) -> BulkAwardResult:
        """Record what the daemon would award, and award nothing."""
        wanted = list(awards)
        limited = {award.badge_id for award in wanted if award.limit is not None}
        counts = self.tahrir.count_holders(limited) if limited else {}
        for award in sorted(wanted, key=lambda award: award.username):
            pair = (award.username, award.badge_id)
            if self.is_barred(pair, award.position):
                continue
            if award.limit is not None and counts[award.badge_id] >= award.limit:
                self.late.add(pair)
                continue
            if award.limit is not None:
                counts[award.badge_id] += 1
            self.awarded.add(pair)
        return BulkAwardResult()

    def is_barred(self, pair: tuple[str, str], position: Position | None) -> bool:
        """Return True if a badge was revoked, and a message with this position does not give it."""
        revocation = self.revoked.get(pair)
        return revocation is not None and position is not None and revocation.bars(position)

    def criteria_for(self, rule: Rule, name: str) -> Traced | None:
        """Return the criteria as they were judged for somebody, or for all candidates at once."""
        return self.judged.get((rule.badge.id, name if rule.names_recipient else None))
