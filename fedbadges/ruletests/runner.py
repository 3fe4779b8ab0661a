"""Runs tests on the daemon's own engine, with empty databases in memory."""

import datetime
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datanommer.models import Message as Row
from sqlalchemy import URL, Connection, MetaData
from sqlalchemy.orm import Session
from tahrir_api.model import Person

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import Datanommer
from fedbadges.criteria.groups import Groups
from fedbadges.criteria.libravatar import Avatars
from fedbadges.databases.connections import engine
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.engine.tracing import Tracer
from fedbadges.errors import Place, Problem, RuleError
from fedbadges.history.history import History
from fedbadges.history.schema import create_history
from fedbadges.messages import Message, Position, parse_message
from fedbadges.rules.badge_rules import named_badges
from fedbadges.rules.criteria import Backends
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import each_once, load_file, read_file, without_cycles
from fedbadges.rules.parsing import Problems
from fedbadges.rules.recipients import EVERYBODY
from fedbadges.rules.rule import Badge, Rule
from fedbadges.ruletests.coverage import Coverage
from fedbadges.ruletests.messages import SentMessage
from fedbadges.ruletests.suite import (
    Expectation,
    ExpectedAward,
    RuleTest,
    Suite,
    check_badges,
    parse_suite,
)
from fedbadges.tahrir.awarding import Award, AwardResult
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.schema import create_tahrir
from fedbadges.util.text import printable

#: Databases in memory, which all connections of this process share.
HISTORY_URL = "sqlite:///file:fedbadges-tests-history?mode=memory&cache=shared&uri=true"
TAHRIR_URL = "sqlite:///file:fedbadges-tests-tahrir?mode=memory&cache=shared&uri=true"


@dataclass(frozen=True)
class Difference:
    """A failed expectation, of the ``incoming`` messages of this number, or of all if None."""

    place: Place
    incoming: int | None
    expected: str
    got: str


class TestAccounts:
    """Answers in place of the accounts service, FASJSON's groups and Libravatar."""

    def __init__(self, accounts: Mapping[str, Mapping[str, Any]]) -> None:
        self._accounts = accounts

    def exists(self, username: str) -> bool:
        """Return True if there is an account of this name."""
        return username in self._accounts

    def created(self, username: str) -> datetime.datetime | None:
        """Return when an account was created, if its test says so."""
        found: datetime.datetime | None = self._accounts.get(username, {}).get("created")
        return found

    def _only(self, key: str, value: str) -> str | None:
        """Return the one account that has this value under a key, or None; ignore case."""
        names = [
            name
            for name, values in self._accounts.items()
            if value.lower() in map(str.lower, values.get(key, ()))
        ]
        return names[0] if len(names) == 1 else None

    by_nick = functools.partialmethod(_only, "nicks")
    by_email = functools.partialmethod(_only, "emails")
    by_github = functools.partialmethod(_only, "github")

    def is_member(self, group: str, username: str) -> bool:
        """Return True if an account is in a group."""
        return group in self._accounts.get(username, {}).get("groups", ())

    def has_avatar(self, username: str) -> bool:
        """Return True if an account has an avatar."""
        return bool(self._accounts.get(username, {}).get("avatar"))


class TestUsernames(FedmsgUsernames):
    """The users and packages of a message, as its test says, or else as fedmsg.meta does."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._sent: dict[Message, SentMessage] = {}

    def set(self, message: Message, sent: SentMessage) -> None:
        """Answer for this message, and for no other, as its test says."""
        self._sent = {message: sent}

    def _find(self, what: str, message: Message) -> frozenset[str]:
        names = self._sent[message].names if message in self._sent else {}
        return names[what] if what in names else super()._find(what, message)


class RuleTestRunner:
    """Runs tests, one after the other; each begins with empty databases.

    ``settings`` are those of a deployment with HISTORY_URL and TAHRIR_URL, and without
    ``keep_counts``: the counts of one test must not be cached for the next one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._databases = _databases(settings.history_url, settings.tahrir_url)
        self._usernames = TestUsernames(settings.fedmsg)
        self._installed = load_backends(settings)

    def load(self, path: Path) -> Suite:
        """Read a test file; raise RuleError with every mistake in it and in its rules."""
        problems = Problems()
        suite = parse_suite(read_file(path), path, problems)
        rules, mistakes = self._rules(suite, TestAccounts({}))
        if not mistakes:
            named = {name.badge_id for rule in rules for name in named_badges(rule)}
            check_badges(suite, {rule.badge.id for rule in rules} | named, problems)
        if mistakes or len(problems):
            raise RuleError([*problems, *mistakes])
        return suite

    def run(
        self, suite: Suite, test: RuleTest, coverage: Coverage | None = None
    ) -> tuple[Difference, ...]:
        """Run one test of a loaded file, and return what differs; raise Unavailable.

        What the test reaches is noted in ``coverage``, if there is one.
        """
        for kept, metadata in self._databases:
            with kept.engine.begin() as connection:
                for table in reversed(metadata.sorted_tables):
                    connection.execute(table.delete())
        accounts = TestAccounts(test.accounts or {})
        rules, _ = self._rules(suite, accounts)
        if coverage is not None:
            coverage.add(rules, tested=True)
        recipients = RecipientFinder(
            self._settings, self._usernames, EVERYBODY if test.accounts is None else accounts
        )
        run = _TestRun(self._settings, test, rules, recipients, self._usernames, coverage)
        return tuple(run.differences())

    def load_rules(self, path: Path) -> list[Rule]:
        """Load the rules of a file that has no tests; none where it has mistakes."""
        try:
            return list(self._load(path, self._installed))
        except RuleError:
            return []

    def _load(self, path: Path, backends: Backends) -> tuple[Rule, ...]:
        return load_file(path, backends, configured=False, dialect=self._settings.dialect)

    def _rules(self, suite: Suite, accounts: TestAccounts) -> tuple[list[Rule], list[Problem]]:
        """Return the rules of a test file, and what is wrong with others."""
        # New backends each time: they cache answers.
        backends: Backends = {
            **self._installed,
            "datanommer": Datanommer(self._settings, created=accounts.created),
            "fasjson": Groups(self._settings, accounts.is_member),
            "libravatar": Avatars(self._settings, accounts.has_avatar),
        }
        found: list[Rule] = []
        problems: list[Problem] = []
        for place, path in suite.rules:
            if not path.exists():
                problems.append(Problem(place, f"there is no rule file '{printable(str(path))}'"))
                continue
            try:
                found.extend(self._load(path, backends))
            except RuleError as error:
                problems += error.problems
        rules, duplicates = each_once(found)
        rules, cycles = without_cycles(rules)
        return rules, [*problems, *duplicates, *cycles]


class _TestRun:
    """A run of one test."""

    def __init__(
        self,
        settings: Settings,
        test: RuleTest,
        rules: list[Rule],
        recipients: RecipientFinder,
        usernames: TestUsernames,
        coverage: Coverage | None,
    ) -> None:
        self._test = test
        self._rules = rules
        self._recipients = recipients
        self._usernames = usernames
        self._history = History(settings)
        tahrir = Tahrir(settings)
        self._untriggered = {rule.badge.id for rule in rules if not rule.has_trigger}
        self._held = {each.pair for each in test.holds}
        self._coverage = coverage
        # It observes how the engine decides, and changes nothing.
        self._tracer = None if coverage is None else Tracer(tahrir)
        self._engine = BadgeEngine(
            settings, tahrir, recipients, RuleSet(rules), self._awarded, self._tracer
        )
        badges = {rule.badge.id: rule.badge for rule in rules}
        others = {each.badge for each in test.holds}.difference(badges)
        tahrir.publish_badges([*badges.values(), *map(_plain_badge, sorted(others))])
        tahrir.award(Award(each.badge, each.username) for each in test.holds)
        _opt_out(settings, test.opted_out)

    def differences(self) -> Iterator[Difference]:
        """Send all the messages; yield what is not as expected, as soon as that is known."""
        for sent in self._test.past:
            self._store(sent)
        start = frozenset(self._held)
        everybody: set[tuple[str, str]] = set()
        for number, incoming in enumerate(self._test.incoming, 1):
            before = frozenset(self._held)
            named = {pair for sent in incoming.messages for pair in self._handle(sent)}
            everybody |= named
            count = len(incoming.messages)
            several = f"with the {count} messages of incoming {number}"
            when = f"with incoming message {number}" if count == 1 else several
            yield from self._compare(incoming.expectation, before, named, number, when)
        yield from self._compare(self._test.expectation, start, everybody, None, "in all")

    def _store(self, sent: SentMessage) -> tuple[Message, Position]:
        message = parse_message(sent.body)
        assert message is not None  # its topic was checked
        names = self._usernames
        names.set(message, sent)
        position = self._history.record(
            message, names.users(message), names.packages(message), names.agent(message)
        )
        return message, position

    def _handle(self, sent: SentMessage) -> set[tuple[str, str]]:
        """Handle a message as the daemon does; return whom it names for which badges."""
        message, position = self._store(sent)
        triggered = self._engine.match(message)
        candidates = None
        if triggered is not None:
            (candidates,) = self._engine.find_candidates([triggered])
        if candidates is not None:
            self._engine.decide(replace(candidates, position=position))
        if self._coverage is not None and self._tracer is not None:
            self._coverage.note(self._rules, self._tracer, message)
        if triggered is None:
            return set()
        return {(name, rule.badge.id) for rule, names in triggered.people for name in names}

    def _compare(
        self,
        expectation: Expectation,
        before: Set[tuple[str, str]],
        named: Set[tuple[str, str]],
        incoming: int | None,
        when: str,
    ) -> Iterator[Difference]:
        """Yield how the awards since ``before`` differ from what was expected."""
        awards = self._held - before
        expected = expectation.awards or ()
        for award in expected:
            if award.pair not in awards:
                others = sorted(name for name, badge in awards if badge == award.badge)
                got = f"{_joined(others)} only" if others else "nobody"
                text = f"{award.username} gets {award.badge} {when}"
                reason = self._why_not(award, before, named)
                yield Difference(award.place, incoming, text, f"{got}: {reason}")
        if expectation.awards is not None:
            for username, badge in sorted(awards - {award.pair for award in expectation.named}):
                names = [award.username for award in expected if award.badge == badge]
                verb = "get" if len(names) > 1 else "gets"
                who = f"only {_joined(names)} {verb}" if names else "nobody gets"
                text = f"{who} {badge} {when}"
                yield Difference(expectation.place, incoming, text, f"{username} gets it")
        for award in expectation.no_awards:
            if award.pair in awards:
                text = f"{award.username} does not get {award.badge} {when}"
                yield Difference(award.place, incoming, text, f"{award.username} gets it")

    def _why_not(
        self, award: ExpectedAward, before: Set[tuple[str, str]], named: Set[tuple[str, str]]
    ) -> str:
        username = award.username
        if award.pair in before:
            return f"{username} holds it already"
        if username in self._test.opted_out:
            return f"{username} has opted out"
        if award.badge in self._untriggered:
            return f"{username} is awarded no badge, or the criteria do not hold"
        if award.pair not in named:
            return f"{username} is no candidate, or the trigger does not hold"
        if not self._recipients.exists(username):
            return f"{username} has no account"
        return f"the criteria do not hold for {username}"

    def _awarded(self, given: AwardResult) -> None:
        self._held.add((given.award.username, given.award.badge_id))


@functools.cache
def _databases(history_url: URL, tahrir_url: URL) -> tuple[tuple[Connection, MetaData], ...]:
    """Create the tables; the connections keep the databases in memory."""
    history, tahrir = engine(history_url).connect(), engine(tahrir_url).connect()
    create_history(history.engine)
    create_tahrir(tahrir_url)
    return (history, Row.metadata), (tahrir, Person.metadata)


def _plain_badge(badge_id: str) -> Badge:
    """Return a badge that somebody holds, and that no tested rule awards."""
    return Badge(badge_id, badge_id, badge_id, badge_id, badge_id, badge_id)


def _opt_out(settings: Settings, usernames: Iterable[str]) -> None:
    with Session(engine(settings.tahrir_url)) as session, session.begin():
        for name in sorted(usernames):
            email = settings.email_of(name)
            known = session.query(Person).filter_by(email=email).one_or_none()
            person = known or Person(email=email, nickname=name)
            person.opt_out = True
            session.add(person)


def _joined(names: Collection[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
