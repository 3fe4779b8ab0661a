"""Where tests are run: the daemon's own engine, on databases that are in memory and empty."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Set
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
from fedbadges.rules.recipients import Accounts
from fedbadges.rules.rule import Rule
from fedbadges.ruletests.messages import Sent
from fedbadges.ruletests.outcomes import Difference, Happened, Pair, TestResult, differences
from fedbadges.ruletests.people import People, ToldUsernames, people_of
from fedbadges.ruletests.suite import ExpectedAward, RuleTest, Suite, check_badges, parse_suite
from fedbadges.tahrir.awarding import Award, AwardResult
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.schema import create_tahrir
from fedbadges.util.text import printable

#: Databases in memory, which all connections of this process share.
HISTORY_URL = "sqlite:///file:fedbadges-tests-history?mode=memory&cache=shared&uri=true"
TAHRIR_URL = "sqlite:///file:fedbadges-tests-tahrir?mode=memory&cache=shared&uri=true"


class Stage:
    """Runs tests, one after the other; each begins with empty databases.

    ``settings`` are those of a deployment with HISTORY_URL and TAHRIR_URL, and without
    ``keep_counts``: what a count was for one test would be kept for the next one.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._databases = _databases(settings)
        self._usernames = ToldUsernames(settings.fedmsg)
        self._installed = load_backends(settings)

    def load(self, path: Path) -> Suite:
        """Read a test file; raises RuleError, with every mistake in it and in its rules."""
        problems = Problems()
        suite = parse_suite(read_file(path), path, problems)
        rules, mistakes = self._rules(suite, self._backends(People({})))
        if not mistakes:
            check_badges(suite, {rule.badge.id for rule in rules}, problems)
        if mistakes or len(problems):
            raise RuleError([*problems, *mistakes])
        return suite

    def run(self, suite: Suite, test: RuleTest) -> TestResult:
        """Run one test of a file that was loaded; raises Unavailable where a backend is away."""
        for database, metadata in self._databases:
            _empty(database, metadata)
        accounts, people = people_of(test.world)
        # New ones each time: they remember what they were told.
        rules, _ = self._rules(suite, self._backends(people))
        performance = _Performance(self._settings, test, rules, accounts, self._usernames)
        return TestResult(test, tuple(performance.differences()))

    def _backends(self, people: People) -> Backends:
        return {
            **self._installed,
            "datanommer": Datanommer(self._settings),
            "fasjson": Groups(self._settings, people),
            "libravatar": Avatars(self._settings, people),
        }

    def _rules(self, suite: Suite, backends: Backends) -> tuple[list[Rule], list[Problem]]:
        """Give the rules of a test file, and what is wrong with others."""
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


class _Performance:
    """One test that is run."""

    def __init__(
        self,
        settings: Settings,
        test: RuleTest,
        rules: list[Rule],
        accounts: Accounts,
        usernames: ToldUsernames,
    ) -> None:
        self._test = test
        self._accounts = accounts
        self._usernames = usernames
        self._history = History(settings)
        self._tahrir = Tahrir(settings)
        self._engine = BadgeEngine(
            settings,
            self._tahrir,
            RecipientFinder(settings, usernames, accounts),
            RuleSet(rules),
            self._awarded,
        )
        self._held: set[Pair] = set()
        self._tahrir.publish_badges(rule.badge for rule in rules)
        self._tahrir.award(Award(each.badge, each.username) for each in test.world.holds)
        self._held.update((each.username, each.badge) for each in test.world.holds)
        _opt_out(settings, test.world.opted_out)

    def differences(self) -> Iterable[Difference]:
        """Send all the messages; give what is not as expected, as soon as that is known."""
        for sent in self._test.past:
            self._record(sent)
        begin = frozenset(self._held)
        awards: set[Pair] = set()
        people: set[Pair] = set()
        for number, item in enumerate(self._test.incoming, 1):
            before = frozenset(self._held)
            concerned = {pair for sent in item.messages for pair in self._send(sent)}
            people |= concerned
            awards |= self._held - before
            if item.expectation is not None:
                happened = self._happened(self._held - before, concerned, before)
                yield from differences(item.expectation, happened, number, item)
        if self._test.expectation is not None:
            happened = self._happened(awards, people, begin)
            yield from differences(self._test.expectation, happened, None, None)

    def _record(self, sent: Sent) -> Message:
        message = parse_message(sent.body)
        assert message is not None  # its topic was checked
        names = self._usernames
        names.tell({message: sent})
        self._history.record(
            message, names.users(message), names.packages(message), names.agent(message)
        )
        return message

    def _send(self, sent: Sent) -> set[Pair]:
        """Handle a message as the daemon does; gives whom it names for which badges."""
        message = self._record(sent)
        named = self._engine.match(message)
        if named is None:
            return set()
        (case,) = self._engine.find_candidates([named])
        if case is not None:
            self._engine.decide(case)
        return {(name, rule.badge.id) for rule, names in named.people for name in names}

    def _happened(self, awards: Set[Pair], people: Set[Pair], before: frozenset[Pair]) -> Happened:
        def why_not(award: ExpectedAward) -> str:
            username = award.username
            pair = username, award.badge
            if pair in before:
                return f"{username} holds it already"
            if username in self._test.world.opted_out:
                return f"{username} has opted out"
            if pair not in people:
                return f"{username} is no candidate, or the trigger does not hold"
            if not self._accounts.exists(username):
                return f"{username} has no account"
            return f"the criteria do not hold for {username}"

        return Happened(frozenset(awards), why_not)

    def _awarded(self, given: AwardResult) -> None:
        self._held.add((given.award.username, given.award.badge_id))


@functools.cache
def _created(history: Database, tahrir: Database) -> tuple[object, ...]:
    """Create the tables; what it gives keeps the databases from vanishing."""
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
