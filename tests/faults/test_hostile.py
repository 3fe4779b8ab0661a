"""Anything may come over the bus, and anything may stand in a rule file."""

import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from support import hostile
from support.builders import make_settings
from support.daemon import make_daemon
from support.databases import Databases, Postgresql, awards
from support.rule_text import PARSING, PATH
from support.rules import rule, write_rules
from support.sizes import SEED, size

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.errors import RuleError
from fedbadges.messages import parse_message
from fedbadges.rules.index import RuleSet
from fedbadges.rules.loader import load_text
from fedbadges.rules.rule import Rule
from fedbadges.service.daemon import Daemon
from fedbadges.tahrir.database import Tahrir

pytestmark = pytest.mark.thorough

MESSAGES = size(500, 20_000)
RULES = size(100, 2_000)

FIT = rule(
    "Fit",
    """
trigger:
  topic: hostile.fit
criteria:
  filter: {topics: ["%(topic)s"]}
  operation: count
  condition: {greater than or equal to: 1}
recipient: "%(msg.user)s"
""",
)


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Make so many, the same ones for the same seed."""
    made: list[Any] = []

    @seed(SEED)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def make(one: Any) -> None:
        made.append(one)

    make()
    return made


class Lines(logging.Handler):
    """Everything that is logged, as it would stand in the log."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.texts.append(record.getMessage())

    def check(self) -> None:
        """Raise AssertionError if a message could end a line of the log, or begin one."""
        assert not [text for text in self.texts if len(text.splitlines()) > 1]
        traces = [self.format(record) for record in self.records if record.exc_info]
        lines = [line for text in traces for line in text.splitlines()]
        assert not [line for line in lines if line.startswith(hostile.FORGED)]


@pytest.fixture
def log() -> Iterator[Lines]:
    lines = Lines()
    logger = logging.getLogger("fedbadges")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(lines)
    yield lines
    logger.removeHandler(lines)
    logger.setLevel(before)


@pytest.fixture
def databases(postgresql: Postgresql) -> Iterator[Databases]:
    databases = postgresql.create_databases()
    yield databases
    postgresql.drop_databases(databases)


@pytest.fixture
def daemon(databases: Databases, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that has real rules and the history of what it is handed."""
    write_rules(
        tmp_path / "rules", hostile.real_rules() | hostile.eager_rules() | {"hostile-fit": FIT}
    )
    daemon = make_daemon(
        make_settings(
            databases,
            tmp_path / "rules",
            record_messages=True,
            reload=False,
            state_directory=str(tmp_path / "state"),
        )
    )
    daemon.start()
    yield daemon
    daemon.stop()


def named(body: Any) -> set[str]:
    """Return what could be names in a message, unless it is nested too deeply for any."""
    try:
        return hostile.words(body)
    except RecursionError:
        return set()


def test_hostile_messages_neither_stop_the_daemon_nor_forge_log_lines_or_awards(
    daemon: Daemon, databases: Databases, log: Lines, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    real = hostile.real_messages()
    good = [f"good{number}" for number in range(MESSAGES // 10)]
    messages = [
        *(hostile.changed(chance.choice(real), chance) for _ in range(MESSAGES * 4 // 10)),
        *(hostile.unfitting(number, chance) for number in range(MESSAGES // 10)),
        *(hostile.fitting(name, chance) for name in good),
        *drawn(hostile.made_up(real), MESSAGES * 4 // 10),
    ]
    chance.shuffle(messages)

    for body in messages:
        daemon.handle(body)
    daemon.stop()

    log.check()
    assert not list((tmp_path / "state" / "failed").iterdir())
    held = awards(databases)
    assert sorted(name for name, badge in held if badge == "fit") == sorted(good)
    others = {name for name, badge in held if badge != "fit"}
    assert others
    strange = others - hostile.words(real)
    # What was made up may by chance be a name that somebody could have.
    assert all(any(name in named(body) for body in messages) for name in strange)


def try_load(text: str) -> tuple[Rule, ...]:
    """Load a rule file; every mistake must be one line with a place in the file."""
    try:
        return load_text(text.encode("utf-8", "surrogatepass"), PATH, PARSING)
    except RuleError as error:
        problems = error.problems
    assert problems
    for problem in problems:
        assert problem.place.line >= 1
        assert problem.place.column >= 1
        assert problem.text.isprintable()
    return ()


def test_hostile_rule_files_do_not_stop_the_loader_nor_the_engine(
    databases: Databases, log: Lines, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    texts = list(hostile.real_rules().values())
    files = [
        *(hostile.changed_rule(chance.choice(texts), chance) for _ in range(RULES * 3 // 4)),
        *drawn(hostile.made_up_rules(), RULES // 4),
    ]
    rules = [rule for text in files for rule in try_load(text)]
    assert rules

    deployment = make_settings(databases, tmp_path)
    engine = BadgeEngine(
        deployment,
        Tahrir(deployment),
        RecipientFinder(deployment, FedmsgUsernames(deployment.fedmsg)),
        RuleSet(rules),
    )
    real = hostile.real_messages()
    for body in [*real, *(hostile.changed(chance.choice(real), chance) for _ in range(len(real)))]:
        message = parse_message(body)
        if message is not None:
            engine.match(message)

    log.check()
