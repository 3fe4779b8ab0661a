"""The one path that decides: a message in, verdicts and awards out."""

from __future__ import annotations

import contextlib
import itertools
import logging
import reprlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import quote

from fedbadges.accounts import EVERYBODY, Accounts
from fedbadges.messages import Message
from fedbadges.once import Throttle
from fedbadges.rules.criteria import Foreseeing, Question, Unavailable
from fedbadges.rules.index import RuleSet
from fedbadges.rules.operators import leaves
from fedbadges.rules.recipients import MOST_CANDIDATES, PASSED_OVER, Found, account
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import Missing
from fedbadges.settings import Settings
from fedbadges.tahrir import MAX_LINK, Given, Standing, Tahrir
from fedbadges.tallies import Tallies
from fedbadges.usernames import Usernames
from fedbadges.words import shown

log = logging.getLogger(__name__)

#: What a rule's own code may raise: anything, and ``exit()`` is not to end the thread.
_RULES_OWN = (Exception, SystemExit)


#: What is found out once, by what distinguishes it.
Shared = dict[object, object]

#: The rules that a message triggered, with some people for each.
People = tuple[tuple[Rule, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Named:
    """A message with the rules that it triggered, and whom it names for each."""

    message: Message
    people: People


@dataclass(frozen=True)
class Case:
    """A message with the rules that it triggered, and the candidates of each."""

    message: Message
    candidates: People

    @property
    def needs_history(self) -> bool:
        """Whether it is to wait until datanommer has the message."""
        return any(rule.needs_history for rule, _ in self.candidates)


class Engine:
    """Decides who gets which badge because of a message.

    ``on_award`` is told of every award after it was committed, and ``tallies`` count. ``rules`` may
    be replaced between messages. Its methods may be called from several threads, and raise
    Unavailable, and what a database says that waiting does not mend.
    """

    def __init__(
        self,
        settings: Settings,
        tahrir: Tahrir,
        usernames: Usernames,
        rules: RuleSet,
        on_award: Callable[[Given], None],
        accounts: Accounts = EVERYBODY,
        tallies: Tallies | None = None,
    ) -> None:
        self.rules = rules
        self._settings = settings
        self._tahrir = tahrir
        self._usernames = usernames
        self._on_award = on_award
        self._accounts = accounts
        self._tallies = tallies or Tallies()
        self._failures = Throttle()

    def consider(self, message: Message) -> Case | None:
        """Name the candidates of every rule that the message triggers; None if nobody is left.

        Costs nothing but triggers for most messages, and one question to tahrir for the others.
        """
        named = self.name(message)
        return None if named is None else self.cases([named])[0]

    def name(self, message: Message) -> Named | None:
        """Run the triggers, and say whom the message names for each that holds; None for nobody.

        Of more than MOST_CANDIDATES people, only the first so many are named.
        """
        people = [
            (rule, self._candidates(rule, message))
            for rule in self.rules.concerned(message)
            if self._triggered(rule, message)
        ]
        for rule, _ in people:
            self._tallies.triggered(rule.badge.id)
        people = [(rule, names) for rule, names in people if names]
        if not people:
            return None
        everybody = self._not_too_many(people, message)
        return Named(
            message,
            tuple((rule, tuple(filter(everybody.__contains__, names))) for rule, names in people),
        )

    def cases(self, many: Sequence[Named]) -> list[Case | None]:
        """Keep those who could still get a badge, with one question to tahrir for all messages.

        Gives a case for each message, in their order; None where nobody is left.
        """
        pairs = [pair for named in many for pair in named.people]
        names = {name for _, names in pairs for name in names}
        standing = self._tahrir.standing(names, {rule.badge.id for rule, _ in pairs})
        return [_case(named, standing) for named in many]

    def foresee(self, cases: Sequence[Case]) -> Shared:
        """Tell the criteria what they are about to be asked, so that they can ask it at once.

        Gives what the decisions on these cases are to share.
        """
        shared: Shared = {}
        if sum(len(case.candidates) for case in cases) > 1:
            for case in cases:
                self._foresee(case, shared)
        return shared

    def decide(self, case: Case, shared: Shared | None = None) -> int:
        """Judge the criteria and award; gives the number of awards.

        What one award stumbles over does not cost the others; it is raised after them.

        ``shared`` is what ``foresee`` gave for this case with others, if it is one of several.
        """
        shared = self.foresee([case]) if shared is None else shared
        memo: Shared = {}
        awards = 0
        failures: list[Exception] = []
        for rule, names in case.candidates:
            for name in self._earned(rule, names, case.message, (memo, shared)):
                if not self._accounts.exists(name):
                    log.debug("%s: there is no account %r", rule.badge.id, name)
                    continue
                try:
                    awards += self._award(rule, name, case.message)
                except Unavailable:
                    raise
                except Exception as error:  # a database may refuse for any reason
                    failures.append(error)
        if failures:
            raise failures[0]
        return awards

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
        if self._failures.first((message.msg_id, MOST_CANDIDATES)):
            log.warning(
                "The message %r names %d people: all but the first %d are passed over",
                message.msg_id,
                people,
                MOST_CANDIDATES,
            )

    def _triggered(self, rule: Rule, message: Message) -> bool:
        return self._holds(rule, message, lambda: rule.trigger.holds(message))

    def _candidates(self, rule: Rule, message: Message) -> tuple[str, ...]:
        found = self._named(rule, message)
        for each in found:
            if each.name is None:
                shown = reprlib.repr(each.raw)
                log.debug("%s: %s is no account: %s", rule.badge.id, shown, each.dropped)
        if any(each.dropped == PASSED_OVER for each in found):
            self._pass_over(len({each.raw for each in found if isinstance(each.raw, str)}), message)
        names = dict.fromkeys(each.name for each in found if each.name is not None)
        return tuple(name for name in names if name not in self._settings.banned_usernames)

    def _named(self, rule: Rule, message: Message) -> tuple[Found, ...]:
        if rule.recipient is None:
            return tuple(account(name) for name in sorted(self._usernames.users(message)))
        try:
            return rule.recipient.find(message.body, self._settings.email_domain, self._accounts)
        except Unavailable:
            raise
        except Missing as missing:
            log.debug("%s: %s", rule.badge.id, missing)
        except _RULES_OWN as error:  # such as text that is nested too deeply to be written
            self._warn(rule, message, error)
        return ()

    def _earned(
        self, rule: Rule, names: tuple[str, ...], message: Message, memos: tuple[Shared, Shared]
    ) -> list[str]:
        return [
            name
            for question, concerned in _questions(rule, names, message, memos)
            if self._judge(rule, question)
            for name in concerned
        ]

    def _foresee(self, case: Case, shared: Shared) -> None:
        for rule, names in case.candidates:
            foreseeing = [each for each in leaves(rule.criteria) if isinstance(each, Foreseeing)]
            for question, _ in _questions(rule, names, case.message, ({}, shared)):
                for criterion in foreseeing:
                    # What goes wrong is said when it is asked.
                    with contextlib.suppress(*_RULES_OWN):
                        criterion.foresee(question)

    def _judge(self, rule: Rule, question: Question) -> bool:
        return self._holds(rule, question.message, lambda: rule.criteria.holds(question))

    def _holds(self, rule: Rule, message: Message, check: Callable[[], bool]) -> bool:
        """Check; what a rule stumbles over means that it does not hold."""
        try:
            return check()
        except Unavailable:
            raise
        except Missing as missing:
            log.debug("%s: %s", rule.badge.id, missing)
        except _RULES_OWN as error:
            self._warn(rule, message, error)
        return False

    def _warn(self, rule: Rule, message: Message, error: BaseException) -> None:
        if self._failures.first((rule.badge.id, type(error))):
            log.warning(
                "%s: cannot judge the message %r, so it does not match: %s",
                rule.place,
                message.msg_id,
                shown(error),
            )

    def _award(self, rule: Rule, name: str, message: Message) -> int:
        given = self._tahrir.award(rule.badge.id, name, self._link(message))
        if given is None:
            log.debug("%s has %s by now, or has opted out", name, rule.badge.id)
            return 0
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        log.info(
            "Awarded %s to %s because of %r (%r), %d ms after it was sent, %d ms after it came",
            rule.badge.id,
            name,
            message.msg_id,
            message.topic,
            (now - message.sent).total_seconds() * 1000,
            (time.monotonic() - message.received) * 1000,
        )
        self._tallies.awarded(rule.badge.id, name, message.msg_id)
        self._on_award(given)
        return 1

    def _link(self, message: Message) -> str | None:
        """Link to the message in datagrepper, where it has an id and tahrir can hold the link."""
        if message.msg_id is None:
            return None
        link = (
            f"{self._settings.datagrepper_url}/id"
            f"?id={quote(message.msg_id, safe='')}&is_raw=true&size=extra-large"
        )
        return link if len(link) <= MAX_LINK else None


def _case(named: Named, standing: Standing) -> Case | None:
    left = tuple(
        (rule, tuple(name for name in names if standing.allows(name, rule.badge.id)))
        for rule, names in named.people
    )
    left = tuple((rule, names) for rule, names in left if names)
    return Case(named.message, left) if left else None


def _questions(
    rule: Rule, names: tuple[str, ...], message: Message, memos: tuple[Shared, Shared]
) -> Iterator[tuple[Question, tuple[str, ...]]]:
    """Ask about each candidate where the criteria name them, and else about all at once."""
    memo, shared = memos
    if not rule.names_recipient:
        yield Question(message, memo=memo, shared=shared), names
        return
    for name in names:
        yield Question(message, recipient=name, memo=memo, shared=shared), (name,)
