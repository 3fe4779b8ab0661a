"""Runs tests on the daemon's own engine, on databases that are in memory and empty."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from datanommer.models import Message as Row
from sqlalchemy import Engine as Database
from sqlalchemy import MetaData
from sqlalchemy.orm import Session
from tahrir_api.model import Person

from fedbadges.config.settings import Settings
from fedbadges.criteria.backends import load_backends
from fedbadges.criteria.datanommer import Datanommer
from fedbadges.criteria.groups import Groups
from fedbadges.criteria.libravatar import Avatars
from fedbadges.databases.connections import engine
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.errors import Problem, RuleError
from fedbadges.history.history import History
from fedbadges.history.schema import create_history
from fedbadges.messages import Message, parse_message
from fedbadges.rules.criteria import Backends
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import each_once, load_file, read_file
from fedbadges.rules.problems import Problems
from fedbadges.rules.recipients import EVERYBODY
from fedbadges.rules.rule import Rule
from fedbadges.ruletests.accounts import TestAccounts, TestUsernames
from fedbadges.ruletests.messages import SentMessage
from fedbadges.ruletests.results import Difference, TestResult, compare
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


class RuleTestRunner:
    """Runs tests, one after the other; each begins with empty databases.

    ``settings`` are those of a deployment with HISTORY_URL and TAHRIR_URL, and without
    ``keep_counts``: the counts of one test must not be cached for the next one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._databases = _databases(settings)
        self._usernames = TestUsernames(settings.fedmsg)
        self._installed = load_backends(settings)

    def load(self, path: Path) -> Suite:
        """Read a test file; raise RuleError with every mistake in it and in its rules."""
        problems = Problems()
        suite = parse_suite(read_file(path), path, problems)
        rules, mistakes = self._rules(suite, self._backends(TestAccounts({})))
        if not mistakes:
            check_badges(suite, {rule.badge.id for rule in rules}, problems)
        if mistakes or len(problems):
            raise RuleError([*problems, *mistakes])
        return suite

    def run(self, suite: Suite, test: RuleTest) -> TestResult:
        """Run one test of a file that was loaded; raise Unavailable where a backend is away."""
        for database, metadata in self._databases:
            _empty(database, metadata)
        accounts = TestAccounts(test.world.accounts or {})
        # New backends each time: they cache answers.
        rules, _ = self._rules(suite, self._backends(accounts))
        recipients = RecipientFinder(
            self._settings,
            self._usernames,
            EVERYBODY if test.world.accounts is None else accounts,
        )
        run = _TestRun(self._settings, test, rules, recipients, self._usernames)
        return TestResult(test, tuple(run.differences()))

    def _backends(self, accounts: TestAccounts) -> Backends:
        return {
            **self._installed,
            "datanommer": Datanommer(self._settings),
            "fasjson": Groups(self._settings, accounts),
            "libravatar": Avatars(self._settings, accounts),
        }

    def _rules(self, suite: Suite, backends: Backends) -> tuple[list[Rule], list[Problem]]:
        """Return the rules of a test file, and what is wrong with others."""
        found: list[Rule] = []
        problems: list[Problem] = []
        for file in suite.rules:
            if not file.path.exists():
                path = printable(str(file.path))
                problems.append(Problem(file.place, f"there is no rule file '{path}'"))
                continue
            try:
                found.append(load_file(file.path, backends, configured=False))
            except RuleError as error:
                problems += error.problems
        rules, duplicates = each_once(found)
        return rules, [*problems, *duplicates]


class _TestRun:
    """One test that is run."""

    def __init__(
        self,
        settings: Settings,
        test: RuleTest,
        rules: list[Rule],
        recipients: RecipientFinder,
        usernames: TestUsernames,
    ) -> None:
        self._test = test
        self._recipients = recipients
        self._usernames = usernames
        self._history = History(settings)
        self._engine = BadgeEngine(
            settings, Tahrir(settings), recipients, RuleSet(rules), self._awarded
        )
        tahrir = Tahrir(settings)
        tahrir.publish_badges(rule.badge for rule in rules)
        tahrir.award(Award(each.badge, each.username) for each in test.world.holds)
        self._held = {each.pair for each in test.world.holds}
        _opt_out(settings, test.world.opted_out)

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

    def _store(self, sent: SentMessage) -> Message:
        message = parse_message(sent.body)
        assert message is not None  # its topic was checked
        names = self._usernames
        names.set(message, sent)
        self._history.record(
            message, names.users(message), names.packages(message), names.agent(message)
        )
        return message

    def _handle(self, sent: SentMessage) -> set[tuple[str, str]]:
        """Handle a message as the daemon does; return whom it names for which badges."""
        triggered = self._engine.match(self._store(sent))
        if triggered is None:
            return set()
        (candidates,) = self._engine.find_candidates([triggered])
        if candidates is not None:
            self._engine.decide(candidates)
        return {(name, rule.badge.id) for rule, names in triggered.people for name in names}

    def _compare(
        self,
        expectation: Expectation | None,
        before: Set[tuple[str, str]],
        named: Set[tuple[str, str]],
        number: int | None,
        when: str,
    ) -> Iterator[Difference]:
        def why_not(award: ExpectedAward) -> str:
            username = award.username
            if award.pair in before:
                return f"{username} holds it already"
            if username in self._test.world.opted_out:
                return f"{username} has opted out"
            if award.pair not in named:
                return f"{username} is no candidate, or the trigger does not hold"
            if not self._recipients.exists(username):
                return f"{username} has no account"
            return f"the criteria do not hold for {username}"

        if expectation is not None:
            yield from compare(expectation, self._held - before, why_not, number, when)

    def _awarded(self, given: AwardResult) -> None:
        self._held.add((given.award.username, given.award.badge_id))


@functools.cache
def _created(history: Database, tahrir: Database) -> tuple[object, ...]:
    """Create the tables; the connections that it returns keep the databases in memory."""
    kept = history.connect(), tahrir.connect()
    create_history(history)
    create_tahrir(tahrir.url)
    return kept


def _databases(settings: Settings) -> tuple[tuple[Database, MetaData], ...]:
    history, tahrir = engine(settings.history_url), engine(settings.tahrir_url)
    _created(history, tahrir)
    return (history, Row.metadata), (tahrir, Person.metadata)


def _empty(database: Database, metadata: MetaData) -> None:
    with database.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())


def _opt_out(settings: Settings, usernames: Iterable[str]) -> None:
    with Session(engine(settings.tahrir_url)) as session:
        for name in sorted(usernames):
            email = settings.email_of(name)
            person = session.query(Person).filter_by(email=email).one_or_none()
            if person is None:
                person = Person(email=email, nickname=name)
                session.add(person)
            person.opt_out = True
        session.commit()
