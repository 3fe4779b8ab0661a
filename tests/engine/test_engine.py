"""The one path that decides, on real databases."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import candidates_of, make_message, make_rule, make_settings, statements, wipe
from support.databases import Databases, badges, sqlite_databases
from tahrir_api.model import Assertion, Person

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine as database_engine
from fedbadges.engine.engine import BadgeEngine, Triggered
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.errors import Unavailable
from fedbadges.history.history import History
from fedbadges.messages import Message
from fedbadges.rules.index import RuleSet
from fedbadges.rules.recipients import MOST_CANDIDATES
from fedbadges.tahrir.awarding import Award, AwardResult
from fedbadges.tahrir.database import Tahrir

pytestmark = pytest.mark.sqlite

FIRST = """
trigger:
  category: logger
criteria:
  datanommer:
    filter:
      topics: ["%(topic)s"]
    operation: count
    condition:
      greater than or equal to: 1
"""

AT_LEAST = """
trigger:
  topic: logger.log
criteria:
  datanommer:
    filter:
      users: ["%(username)s"]
    operation: count
    condition:
      greater than or equal to: {}
"""

EACH = """
trigger:
  topic: git.receive
criteria:
  datanommer:
    filter:
      users: ["%(recipient)s"]
    operation: count
    condition:
      greater than or equal to: 2
recipient: "%(msg.users)s"
"""

NAMED = FIRST.replace("category: logger", "topic: git.receive") + 'recipient: "%(msg.users)s"\n'


class Daemon:
    """An engine with its databases; what it awards."""

    def __init__(self, databases: Databases, settings: Settings) -> None:
        self.databases = databases
        self.settings = settings
        self.history = History(settings)
        self.tahrir = Tahrir(settings)
        self.given: list[AwardResult] = []
        self.engine = BadgeEngine(
            settings,
            self.tahrir,
            RecipientFinder(settings, FedmsgUsernames(settings.fedmsg)),
            RuleSet(),
            self.given.append,
        )

    def load(self, **rules: str) -> None:
        """Makes these the rules in force, each by its name."""
        made = [make_rule(self.settings, name, body) for name, body in rules.items()]
        self.tahrir.publish_badges(rule.badge for rule in made)
        self.engine.rules = RuleSet(made)

    def store(self, topic: str = "logger.log", user: str = "alice", times: int = 1) -> None:
        for _ in range(times):
            self.history.record(make_message(topic), [user], [])

    def handle(self, message: Message) -> int:
        """Handles a message that is stored already; returns the number of awards."""
        self.history.record(message, [], [])
        case = candidates_of(self.engine, message)
        return 0 if case is None else self.engine.decide(case)

    def holders(self) -> set[tuple[str, str]]:
        with database_engine(self.settings.tahrir_url).connect() as connection:
            statement = sa.select(Person.nickname, Assertion.badge_id).join(Person.assertions)
            return {(row.nickname, row.badge_id) for row in connection.execute(statement)}

    def opt_out(self, nickname: str) -> None:
        with database_engine(self.settings.tahrir_url).begin() as connection:
            person = sa.update(Person).where(Person.nickname == nickname)
            connection.execute(person.values(opt_out=True))


@pytest.fixture
def daemon(shared_database: Databases, tmp_path: Path) -> Daemon:
    wipe(shared_database)
    return Daemon(
        shared_database, make_settings(shared_database, tmp_path, banned_usernames=["robot"])
    )


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "fedbadges")
    return caplog


def said(log: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelname == level]


def logged(username: str = "alice", **envelope: Any) -> Message:
    return make_message("logger.log", username=username, **envelope)


def received(users: Any, **envelope: Any) -> Message:
    return make_message("git.receive", {"users": users}, **envelope)


def names_in(case: Triggered | None) -> list[tuple[str, ...]]:
    return [] if case is None else [names for _, names in case.people]


# Considering


def test_a_message_that_triggers_no_rule_asks_no_database(daemon: Daemon) -> None:
    daemon.load(first=FIRST)

    with (
        statements(daemon.settings.tahrir_url) as tahrir,
        statements(daemon.settings.history_url) as history,
    ):
        assert candidates_of(daemon.engine, received(["alice"])) is None

    assert (tahrir, history) == ([], [])


def test_a_message_that_names_nobody_asks_no_database(daemon: Daemon) -> None:
    daemon.load(first=FIRST, named=NAMED)

    with statements(daemon.settings.tahrir_url) as tahrir:
        assert candidates_of(daemon.engine, make_message("logger.log", username=None)) is None
        assert candidates_of(daemon.engine, received([])) is None

    assert tahrir == []


def test_one_statement_asks_about_all_people_and_badges(daemon: Daemon) -> None:
    daemon.load(**{f"named-{number}": NAMED for number in range(7)})
    daemon.handle(received(["alice", "bob"]))

    with statements(daemon.settings.tahrir_url) as tahrir:
        assert candidates_of(daemon.engine, received(["alice", "bob"])) is None

    assert len(tahrir) == 1


def test_candidates_are_whom_the_recipient_names(daemon: Daemon) -> None:
    daemon.load(named=NAMED)

    case = candidates_of(daemon.engine, received(["Bob", "alice", "bob"], username="carol"))

    assert names_in(case) == [("bob", "alice")]


def test_without_a_recipient_candidates_are_the_users_of_the_message(daemon: Daemon) -> None:
    daemon.load(first=FIRST)

    assert names_in(candidates_of(daemon.engine, logged("Alice"))) == [("alice",)]


@pytest.mark.parametrize("name", ["robot", "Robot", "127.0.0.1", "::1", "a b", "a@b", "a/b", 5])
def test_banned_names_and_invalid_names_are_no_candidates(daemon: Daemon, name: Any) -> None:
    daemon.load(first=FIRST, named=NAMED)

    assert candidates_of(daemon.engine, logged(name)) is None
    assert names_in(candidates_of(daemon.engine, received([name, "alice"]))) == [("alice",)]


def test_name_that_is_no_account_is_logged_at_debug(
    daemon: Daemon, log: pytest.LogCaptureFixture
) -> None:
    daemon.load(named=NAMED)

    candidates_of(daemon.engine, received(["127.0.0.1", "a\nb"]))

    assert said(log, "DEBUG") == [
        'Recipient is no account badge=named name=127.0.0.1 reason="is an IP address"',
        r'Recipient is no account badge=named name="a\nb"'
        ' reason="has characters that no account name has"',
    ]


def test_holder_of_a_badge_is_no_candidate_for_it(daemon: Daemon) -> None:
    daemon.load(first=FIRST, second=AT_LEAST.format(1))
    daemon.tahrir.award([Award("first", "alice")])

    case = candidates_of(daemon.engine, logged())

    assert case is not None
    assert [rule.badge.id for rule, _ in case.people] == ["second"]


def test_person_who_opted_out_is_no_candidate(daemon: Daemon) -> None:
    daemon.load(first=FIRST, second=AT_LEAST.format(1))
    daemon.tahrir.award([Award("first", "alice")])
    daemon.opt_out("alice")

    assert candidates_of(daemon.engine, logged()) is None


def test_candidates_know_whether_their_criteria_need_the_history(daemon: Daemon) -> None:
    daemon.load(first=FIRST)

    case = candidates_of(daemon.engine, logged())

    assert case is not None
    assert case.needs_history


def test_value_that_the_message_lacks_means_no_match_and_is_logged_at_debug(
    daemon: Daemon, log: pytest.LogCaptureFixture
) -> None:
    daemon.load(
        named=NAMED,
        lacking=NAMED.replace("%(topic)s", "%(msg.nothing)s"),
    )

    assert daemon.handle(make_message("git.receive", {})) == 0
    assert daemon.handle(received(["alice"])) == 1

    assert (
        'Message lacks what the rule needs badge=named reason="the message has no msg.users"'
        in said(log, "DEBUG")
    )
    assert (
        'Message lacks what the rule needs badge=lacking reason="the message has no msg.nothing"'
    ) in said(log, "DEBUG")
    assert said(log, "WARNING") == []


NESTED: Any = {"nick": "x"}
for _ in range(400):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "users",
    [
        None,
        5,
        True,
        1.5,
        "",
        "\ud800",
        "a\x00b",
        ["\ud800", None, {}, []],
        {"\x00": 1},
        {"name": ""},
        NESTED,
        [{"name": "x" * 10_000}],
    ],
    ids=lambda value: repr(value)[:40],
)
def test_unusable_recipients_name_nobody(daemon: Daemon, users: Any) -> None:
    daemon.load(named=NAMED, text=NAMED.replace("%(msg.users)s", "%(msg.users)s/"), each=EACH)

    assert daemon.handle(received(users)) == 0


def test_a_recipient_that_cannot_be_written_as_text_is_nobody(
    daemon: Daemon, log: pytest.LogCaptureFixture
) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    daemon.load(text=NAMED.replace("%(msg.users)s", "x%(msg.users)s"))

    assert candidates_of(daemon.engine, received(deep)) is None

    assert said(log, "DEBUG")
    assert said(log, "WARNING") == []


def test_of_very_many_people_only_the_first_are_candidates(
    daemon: Daemon, log: pytest.LogCaptureFixture
) -> None:
    daemon.load(one=NAMED, two=NAMED)
    people = [f"user{number}" for number in range(5_000)]

    case = candidates_of(daemon.engine, received(people, msg_id="2026-1"))

    assert names_in(case) == [tuple(people[:MOST_CANDIDATES])] * 2
    assert said(log, "WARNING") == [
        "Too many recipients, ignoring those after the first msg_id=2026-1 count=5000 limit=500"
    ]


# Judging


def test_the_message_that_completes_the_number_gives_the_badge(daemon: Daemon) -> None:
    daemon.load(three=AT_LEAST.format(3))
    daemon.store(times=2)
    assert daemon.handle(logged()) == 0

    daemon.store()

    assert daemon.handle(logged()) == 1
    assert daemon.handle(logged()) == 0
    assert daemon.holders() == {("alice", "three")}


def test_question_of_several_rules_about_a_message_is_asked_once(daemon: Daemon) -> None:
    daemon.load(**{f"series-{number}": AT_LEAST.format(number) for number in range(1, 8)})
    daemon.store(times=4)
    case = candidates_of(daemon.engine, logged())
    assert case is not None

    with statements(daemon.settings.history_url) as history:
        assert daemon.engine.decide(case) == 4

    assert len([statement for statement in history if "count" in statement]) == 1
    assert daemon.holders() == {("alice", f"series-{number}") for number in range(1, 5)}


def test_one_rule_may_ask_for_few_and_for_more_of_the_same(daemon: Daemon) -> None:
    few, more = (
        f"{{filter: {{users: [alice]}}, operation: count, condition: {{greater than: {n}}}}}"
        for n in (0, 2)
    )
    daemon.load(both=f"trigger: {{category: logger}}\ncriteria: {{all: [{few}, {more}]}}")

    for awards in (0, 0, 1):
        daemon.store()
        case = candidates_of(daemon.engine, logged())
        assert case is not None
        assert daemon.engine.decide(case) == awards


def test_answers_are_not_shared_between_messages(daemon: Daemon) -> None:
    daemon.load(three=AT_LEAST.format(3))

    for awards in (0, 0, 1):
        daemon.store()
        case = candidates_of(daemon.engine, logged())
        assert case is not None
        assert daemon.engine.decide(case) == awards


def test_criteria_that_name_the_candidate_are_judged_for_each(daemon: Daemon) -> None:
    daemon.load(each=EACH)
    daemon.store(user="alice", times=2)
    daemon.store(user="bob", times=1)
    daemon.store(user="carol", times=3)

    assert daemon.handle(received(["alice", "bob", "carol", "dan"])) == 2

    assert daemon.holders() == {("alice", "each"), ("carol", "each")}


def test_criteria_that_name_no_candidate_are_judged_once_for_all(daemon: Daemon) -> None:
    daemon.load(named=NAMED)
    message = received(["alice", "bob"])
    daemon.history.record(message, [], [])
    case = candidates_of(daemon.engine, message)
    assert case is not None

    with statements(daemon.settings.history_url) as history:
        assert daemon.engine.decide(case) == 2

    assert sum("count(" in statement for statement in history) == 1


@pytest.mark.parametrize(
    "broken",
    [
        FIRST.replace("category: logger", "lambda: msg['nothing']['here']"),
        FIRST.replace("greater than or equal to: 1", "lambda: value['x']"),
        FIRST.replace("operation: count", "operation: {lambda: query.nothing()}"),
        FIRST.replace('["%(topic)s"]', "{lambda: 'msg[5]'}"),
        FIRST.replace("category: logger", "lambda: exit()"),
        FIRST.replace("greater than or equal to: 1", "lambda: exit(value)"),
        FIRST.replace("category: logger", "lambda: int('x' * 100_000)"),
    ],
    ids=["trigger", "condition", "operation", "filter", "exit", "exit later", "long"],
)
def test_a_lambda_that_raises_does_not_match_and_is_warned_of_once(
    daemon: Daemon, broken: str, log: pytest.LogCaptureFixture
) -> None:
    daemon.load(broken=broken, first=FIRST)

    for name in ("alice", "bob", "carol"):
        assert daemon.handle(logged(name, msg_id=f"{name}\nsmith")) == 1

    (line,) = said(log, "WARNING")
    assert line.startswith(
        r'Rule failed, so the message does not match rule=broken.yml:1:1 msg_id="alice\nsmith"'
    )
    assert len(line) < 700
    assert daemon.holders() == {(name, "first") for name in ("alice", "bob", "carol")}


def test_a_question_that_is_too_large_does_not_match(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    """SQLite has its limit within reach; an outage would be waited for, for ever."""
    databases = sqlite_databases(tmp_path)
    daemon = Daemon(databases, make_settings(databases, tmp_path))
    daemon.load(large=NAMED.replace('topics: ["%(topic)s"]', 'contains: "%(msg.many)s"'))
    many = [f"text{number}" for number in range(1_100)]

    assert daemon.handle(make_message("git.receive", {"users": "alice", "many": many})) == 0

    assert "Expression tree is too large" in said(log, "WARNING")[0]


# Awarding


def test_award_is_logged_in_one_line(daemon: Daemon, log: pytest.LogCaptureFixture) -> None:
    daemon.load(first=FIRST)

    daemon.handle(logged(msg_id="2026-1"))

    (line,) = said(log, "INFO")
    assert re.fullmatch(
        r"Awarded badge badge=first user=alice msg_id=2026-1"
        r" topic=org\.fedoraproject\.dev\.logger\.log ms_since_sent=-?\d+ ms_since_received=\d+",
        line,
    )


def test_log_line_of_an_award_says_how_long_it_took(
    daemon: Daemon, log: pytest.LogCaptureFixture
) -> None:
    daemon.load(first=FIRST)
    message = logged()
    message = logged(timestamp=message.body["timestamp"] - 3600)

    daemon.handle(message)

    found = re.search(r"ms_since_sent=(\d+) ms_since_received=(\d+)", said(log, "INFO")[0])
    assert found is not None
    assert 3_600_000 <= int(found[1]) < 3_700_000
    assert 0 <= int(found[2]) < 60_000


def test_a_message_cannot_write_lines_of_its_own_into_the_log(
    daemon: Daemon, log: pytest.LogCaptureFixture
) -> None:
    forged = "x\nAwarded everything to mallory\r\x1b[2J\u2028"
    daemon.load(
        first=FIRST,
        named=NAMED,
        broken=FIRST.replace("category: logger", "lambda: msg[msg['msg_id']]"),
    )

    daemon.handle(logged(msg_id=forged, topic=f"org.fedoraproject.dev.logger.{forged}"))
    daemon.handle(logged(forged, msg_id=forged))
    daemon.handle(received([forged, {forged: forged}], msg_id=forged))

    assert log.records
    for record in log.records:
        assert record.getMessage().isprintable()


def test_the_award_links_to_the_message(daemon: Daemon, shared_database: Databases) -> None:
    daemon.load(first=FIRST)

    daemon.handle(logged(msg_id="2026-a&b=c/é"))

    with database_engine(daemon.settings.tahrir_url).connect() as connection:
        assert connection.scalar(sa.select(Assertion.issued_for)) == (
            "https://datagrepper.example.org/id?id=2026-a%26b%3Dc%2F%C3%A9"
            "&is_raw=true&size=extra-large"
        )


@pytest.mark.parametrize("msg_id", [None, "x" * 250, "é" * 100, "x" * 1000])
def test_award_has_no_link_where_none_fits(daemon: Daemon, msg_id: str | None) -> None:
    daemon.load(first=FIRST)

    assert daemon.handle(logged(msg_id=msg_id)) == 1
    with database_engine(daemon.settings.tahrir_url).connect() as connection:
        assert connection.scalar(sa.select(Assertion.issued_for)) is None


def test_on_award_is_called_after_the_commit(daemon: Daemon, shared_database: Databases) -> None:
    daemon.load(first=FIRST)
    seen: list[dict[str, str]] = []
    daemon.engine._on_award = lambda given: seen.append(badges(shared_database, "alice"))

    daemon.handle(logged())

    assert [list(each) for each in seen] == [["first"]]


def test_award_that_fails_does_not_cost_the_others(daemon: Daemon) -> None:
    daemon.load(one=FIRST, two=FIRST, three=FIRST)
    with database_engine(daemon.settings.tahrir_url).begin() as connection:
        connection.execute(sa.text("UPDATE badges SET legacy = true WHERE id = 'two'"))

    with pytest.raises(ValueError, match="'two' is a legacy badge"):
        daemon.handle(logged())

    assert daemon.holders() == {("alice", "one"), ("alice", "three")}


def test_badge_that_was_awarded_meanwhile_is_not_awarded_again(
    daemon: Daemon, log: pytest.LogCaptureFixture
) -> None:
    daemon.load(first=FIRST)
    message = logged()
    daemon.history.record(message, [], [])
    case = candidates_of(daemon.engine, message)
    assert case is not None
    daemon.tahrir.award([Award("first", "alice")])

    assert daemon.engine.decide(case) == 0

    assert daemon.given == []
    assert said(log, "INFO") == []


def test_outage_while_awarding_can_be_retried(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.load(one=FIRST, two=FIRST)
    message = logged()
    daemon.history.record(message, [], [])
    case = candidates_of(daemon.engine, message)
    assert case is not None

    def away(awards: object, rules: object) -> None:
        raise Unavailable("tahrir: away")

    with monkeypatch.context() as outage:
        outage.setattr(daemon.tahrir, "award", away)
        with pytest.raises(Unavailable):
            daemon.engine.decide(case)
    assert daemon.engine.decide(case) == 2

    assert daemon.holders() == {("alice", "one"), ("alice", "two")}
    assert len(daemon.given) == 2


def test_rules_may_be_replaced_between_messages(daemon: Daemon) -> None:
    daemon.load(first=FIRST)
    daemon.handle(logged())

    daemon.load(second=FIRST)
    daemon.handle(logged())

    assert daemon.holders() == {("alice", "first"), ("alice", "second")}
