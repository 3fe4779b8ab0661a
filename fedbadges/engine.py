"""The one path that decides: a message in, verdicts and awards out."""

from __future__ import annotations

import contextlib
import itertools
import logging
import reprlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import quote

from fedbadges.accounts import EVERYBODY, Accounts
from fedbadges.messages import Message
from fedbadges.once import Throttle
from fedbadges.rules.criteria import Foreseeing, Question, Unavailable
from fedbadges.rules.index import RuleSet
from fedbadges.rules.operators import leaves
from fedbadges.rules.recipients import Found, account
from fedbadges.rules.rule import Rule
from fedbadges.rules.templates import Missing
from fedbadges.settings import Settings
from fedbadges.tahrir import Given, Tahrir
from fedbadges.usernames import Usernames
from fedbadges.words import shown

log = logging.getLogger(__name__)

#: How many people one message can be about. No honest one names more, and each costs a question.
MOST_CANDIDATES = 500

#: tahrir's column for the link of an award holds this many characters.
_MAX_LINK = 256

#: What a rule's own code may raise: anything, and ``exit()`` is not to end the thread.
_RULES_OWN = (Exception, SystemExit)


@dataclass(frozen=True)
class Case:
    """A message with the rules that it triggered, and the candidates of each."""

    message: Message
    candidates: tuple[tuple[Rule, tuple[str, ...]], ...]

    @property
    def needs_history(self) -> bool:
        """Whether it is to wait until datanommer has the message."""
        return any(rule.needs_history for rule, _ in self.candidates)


class Engine:
    """Decides who gets which badge because of a message.

    ``on_award`` is told of every award after it was committed. ``rules`` may be replaced between
    messages. Its methods may be called from several threads, and raise Unavailable, and what a
    database says that waiting does not mend.
    """

    def __init__(
        self,
        settings: Settings,
        tahrir: Tahrir,
        usernames: Usernames,
        rules: RuleSet,
        on_award: Callable[[Given], None],
        accounts: Accounts = EVERYBODY,
    ) -> None:
        self.rules = rules
        self._settings = settings
        self._tahrir = tahrir
        self._usernames = usernames
        self._on_award = on_award
        self._accounts = accounts
        self._failures = Throttle()

    def consider(self, message: Message) -> Case | None:
        """Name the candidates of every rule that the message triggers; None if nobody is left.

        Costs nothing but triggers for most messages, and one question to tahrir for the others.
        Of more than MOST_CANDIDATES people, only the first so many are candidates.
        """
        named = [
            (rule, self._candidates(rule, message))
            for rule in self.rules.concerned(message)
            if self._triggered(rule, message)
        ]
        named = [(rule, names) for rule, names in named if names]
        if not named:
            return None
        everybody = self._not_too_many(named, message)
        standing = self._tahrir.standing(everybody, [rule.badge.id for rule, _ in named])
        named = [(rule, tuple(filter(everybody.__contains__, names))) for rule, names in named]
        left = tuple(
            (rule, tuple(name for name in names if standing.allows(name, rule.badge.id)))
            for rule, names in named
        )
        left = tuple((rule, names) for rule, names in left if names)
        return Case(message, left) if left else None

    def decide(self, case: Case) -> int:
        """Judge the criteria and award; gives the number of awards."""
        memo: dict[object, object] = {}
        if len(case.candidates) > 1:
            self._foresee(case, memo)
        awards = 0
        for rule, names in case.candidates:
            for name in self._earned(rule, names, case.message, memo):
                if self._accounts.exists(name):
                    awards += self._award(rule, name, case.message)
                else:
                    log.debug("%s: there is no account %r", rule.badge.id, name)
        return awards

    def _not_too_many(
        self, named: list[tuple[Rule, tuple[str, ...]]], message: Message
    ) -> dict[str, None]:
        everybody = dict.fromkeys(name for _, names in named for name in names)
        if len(everybody) <= MOST_CANDIDATES:
            return everybody
        log.warning(
            "The message %r names %d people: all but the first %d are passed over",
            message.msg_id,
            len(everybody),
            MOST_CANDIDATES,
        )
        return dict.fromkeys(itertools.islice(everybody, MOST_CANDIDATES))

    def _triggered(self, rule: Rule, message: Message) -> bool:
        return self._holds(rule, message, lambda: rule.trigger.holds(message))

    def _candidates(self, rule: Rule, message: Message) -> tuple[str, ...]:
        found = self._named(rule, message)
        for each in found:
            if each.name is None:
                shown = reprlib.repr(each.raw)
                log.debug("%s: %s is no account: %s", rule.badge.id, shown, each.dropped)
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
        self, rule: Rule, names: tuple[str, ...], message: Message, memo: dict[object, object]
    ) -> list[str]:
        return [
            name
            for question, concerned in _questions(rule, names, message, memo)
            if self._judge(rule, question)
            for name in concerned
        ]

    def _foresee(self, case: Case, memo: dict[object, object]) -> None:
        """Tell the criteria what they are about to be asked, so that they can ask it at once."""
        for rule, names in case.candidates:
            for question, _ in _questions(rule, names, case.message, memo):
                for criterion in leaves(rule.criteria):
                    if not isinstance(criterion, Foreseeing):
                        continue
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
        try:
            given = self._tahrir.award(rule.badge.id, name, self._link(message))
        except Unavailable:
            raise
        except Exception:  # what one award stumbles over must not cost the others
            log.exception("Could not award %s to %s for %r", rule.badge.id, name, message.msg_id)
            return 0
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
        return link if len(link) <= _MAX_LINK else None


def _questions(
    rule: Rule, names: tuple[str, ...], message: Message, memo: dict[object, object]
) -> Iterator[tuple[Question, tuple[str, ...]]]:
    """Ask about each candidate where the criteria name them, and else about all at once."""
    if not rule.names_recipient:
        yield Question(message, memo=memo), names
        return
    for name in names:
        yield Question(message, recipient=name, memo=memo), (name,)
