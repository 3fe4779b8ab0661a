"""What an explanation says is what the daemon's engine then does."""

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.builders import candidates_of, make_message, make_rule, make_settings, statements, wipe
from support.databases import Databases
from support.sizes import size
from tahrir_api.model import Assertion, Person

from fedbadges.accounts.usernames import FedmsgUsernames
from fedbadges.config.settings import Settings
from fedbadges.criteria.datanommer import FILTER
from fedbadges.databases.connections import engine as database_engine
from fedbadges.engine.engine import BadgeEngine
from fedbadges.engine.explanation import (
    Counted,
    Explainer,
    Explanation,
    RuleExplanation,
    Verdict,
    count_of,
    without_count_cache,
)
from fedbadges.engine.recipients import RecipientFinder
from fedbadges.errors import Unavailable
from fedbadges.history.history import History
from fedbadges.messages import Message
from fedbadges.rules.index import RuleSet
from fedbadges.rules.recipients import BANNED, MOST_CANDIDATES, Everybody
from fedbadges.rules.rule import Rule
from fedbadges.tahrir.awarding import Award
from fedbadges.tahrir.database import Tahrir

pytestmark = pytest.mark.sqlite

PUSHED = """
trigger: {topic: git.receive}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(recipient)s"]}
  operation: count
  condition: {greater than or equal to: 3}
recipient: "%(msg.users)s"
"""
ANY_PUSH = PUSHED.replace("%(recipient)s", "%(username)s")


class Some(Everybody):
    """Accounts of whose names some are missing."""

    missing = frozenset(["ghost"])
    away = False

    def exists(self, username: str) -> bool:
        if self.away:
            raise Unavailable("accounts: away")
        return username not in self.missing


class Desk:
    """The daemon's engine, and inquiries of the same rules."""

    def __init__(self, databases: Databases, settings: Settings) -> None:
        self.databases = databases
        self.settings = settings
        self.history = History(settings)
        self.tahrir = Tahrir(settings)
        self.accounts = Some()
        self.usernames = FedmsgUsernames(settings.fedmsg)
        self.rules: list[Rule] = []

    def load(self, *bodies: str) -> None:
        """Makes these the rules; the badges are rule-0, rule-1 and so on."""
        self.rules = [
            make_rule(self.settings, f"rule-{number}", body) for number, body in enumerate(bodies)
        ]
        self.tahrir.publish_badges(rule.badge for rule in self.rules)

    def store(self, user: str, times: int = 1, topic: str = "git.receive") -> None:
        for _ in range(times):
            self.history.record(make_message(topic), [user], [])

    def explain(
        self, message: Message, user: str | None = None, *, full: bool = False
    ) -> Explanation:
        explainer = Explainer(
            without_count_cache(self.settings), self.rules, self.usernames, accounts=self.accounts
        )
        return explainer.explain(message, user, full=full)

    def account(self, message: Message, user: str | None = None) -> RuleExplanation:
        """Returns the account of the only rule."""
        (account,) = self.explain(message, user, full=True).rules
        return account

    def handle(self, message: Message) -> set[tuple[str, str]]:
        """Has the daemon's engine decide; returns who then holds what they did not hold."""
        engine = BadgeEngine(
            self.settings,
            self.tahrir,
            RecipientFinder(self.settings, self.usernames, self.accounts),
            RuleSet(self.rules),
        )
        before = self.holders()
        case = candidates_of(engine, message)
        if case is not None:
            engine.decide(case)
        return self.holders() - before

    def holders(self) -> set[tuple[str, str]]:
        held = sa.select(Person.nickname, Assertion.badge_id).join(Person.assertions)
        with database_engine(self.settings.tahrir_url).connect() as connection:
            return {(row.nickname, row.badge_id) for row in connection.execute(held)}

    def opt_out(self, nickname: str) -> None:
        self.tahrir.award([Award("rule-0", nickname)])
        with database_engine(self.settings.tahrir_url).begin() as connection:
            opted_out = sa.update(Person).where(Person.nickname == nickname).values(opt_out=True)
            connection.execute(opted_out)
            connection.execute(sa.delete(Assertion))


@pytest.fixture
def desk(shared_database: Databases, tmp_path: Path) -> Desk:
    wipe(shared_database)
    return Desk(
        shared_database, make_settings(shared_database, tmp_path, banned_usernames=["robot"])
    )


def pushed(*users: Any, **envelope: Any) -> Message:
    return make_message("git.receive", {"users": list(users)}, **envelope)


def verdicts(account: RuleExplanation) -> dict[str, Verdict]:
    return {candidate.name: candidate.verdict for candidate in account.candidates}


# What it says


def test_each_candidate_has_the_verdict_that_the_engine_comes_to(desk: Desk) -> None:
    desk.load(PUSHED)
    desk.opt_out("carol")
    desk.tahrir.award([Award("rule-0", "bob")])
    for name in ("alice", "bob", "carol", "ghost"):
        desk.store(name, 3)

    account = desk.account(pushed("alice", "bob", "carol", "dan", "ghost"))

    assert verdicts(account) == {
        "alice": Verdict.AWARD,
        "bob": Verdict.HELD,
        "carol": Verdict.OPTED_OUT,
        "dan": Verdict.CRITERIA,
        "ghost": Verdict.NO_ACCOUNT,
    }
    since = {candidate.name: candidate.since for candidate in account.candidates}
    assert since.pop("bob").date() == datetime.datetime.now(datetime.timezone.utc).date()
    assert set(since.values()) == {None}


def test_explanation_says_why_each_name_is_dropped(desk: Desk) -> None:
    desk.load(PUSHED)

    account = desk.account(pushed("Alice", "10.0.0.1", "Robot", 5))

    assert [(each.raw, each.name, each.dropped) for each in account.found or ()] == [
        ("Alice", "alice", ""),
        ("10.0.0.1", None, "is an IP address"),
        ("Robot", None, BANNED),
        (5, None, "is not text"),
    ]


def test_explanation_says_what_the_message_lacks_to_name_anybody(desk: Desk) -> None:
    desk.load(PUSHED)

    account = desk.account(make_message("git.receive", {}))

    assert account.found == ()
    assert str(account.error) == "the message has no msg.users"


def test_explanation_passes_over_people_after_the_limit(desk: Desk) -> None:
    desk.load(PUSHED)
    names = [f"user{number}" for number in range(MOST_CANDIDATES + 1)]

    found = verdicts(desk.account(pushed(*names)))

    assert found[names[-2]] is Verdict.CRITERIA
    assert found[names[-1]] is Verdict.PASSED_OVER


def test_a_count_is_the_real_one_as_far_as_it_was_counted(desk: Desk) -> None:
    desk.load(PUSHED)
    desk.store("alice", 2)
    desk.store("bob", 4)

    alice, bob = desk.account(pushed("alice", "bob")).candidates

    assert alice.criteria is not None
    assert bob.criteria is not None
    assert count_of(alice.criteria) == Counted(2, 3)
    assert str(count_of(bob.criteria)) == "at least 3 of 3"
    assert dict(alice.criteria.details[FILTER].lists) == {
        "topics": ("org.fedoraproject.dev.git.receive",),
        "users": ("alice",),
    }


def test_a_series_shares_its_count(desk: Desk) -> None:
    desk.load(PUSHED, PUSHED.replace("equal to: 3", "equal to: 10"))
    desk.store("alice", 7)

    few, many = desk.explain(pushed("alice")).rules

    for account, counted in ((few, Counted(7, 3)), (many, Counted(7, 10))):
        (candidate,) = account.candidates
        assert candidate.criteria is not None
        assert count_of(candidate.criteria) == counted


def test_rules_of_other_topics_are_counted_unless_all_are_explained(desk: Desk) -> None:
    desk.load(PUSHED, PUSHED.replace("git.receive", "wiki.edit"))
    message = pushed("alice")

    assert [each.rule.badge.id for each in desk.explain(message).rules] == ["rule-0"]
    assert desk.explain(message).others == 1
    _, other = desk.explain(message, full=True).rules
    assert other.trigger is not None
    assert other.trigger.answer is False
    assert other.found is None


def test_a_rule_that_the_daemon_would_not_have_in_force_awards_nothing(desk: Desk) -> None:
    desk.load(PUSHED)
    desk.store("alice", 3)
    with database_engine(desk.settings.tahrir_url).begin() as connection:
        connection.execute(sa.text("UPDATE badges SET legacy = true"))

    explanation = desk.explain(pushed("alice"))

    assert explanation.awards == ()
    assert [account.unawardable for account in explanation.rules] == [
        "tahrir has it as a legacy badge"
    ]


def test_explanation_for_one_user_is_about_that_user_only(desk: Desk) -> None:
    desk.load(PUSHED)
    desk.store("bob", 3)
    message = pushed("alice", "bob", "carol")

    with statements(desk.settings.history_url) as sent:
        assert verdicts(desk.account(message, "bob")) == {"bob": Verdict.AWARD}

    assert len([statement for statement in sent if "count(" in statement]) == 1
    assert desk.account(message, "dan").candidates == ()


@pytest.mark.parametrize("stored", [True, False])
def test_explanation_says_whether_datanommer_has_the_message(desk: Desk, stored: bool) -> None:
    desk.load(PUSHED)
    message = pushed("alice")
    if stored:
        desk.history.record(message, ["alice"], [])

    assert desk.explain(message).stored is stored


def test_explanation_without_history_does_not_ask_datanommer(desk: Desk) -> None:
    desk.load(PUSHED)

    assert desk.explain(make_message("git.receive", {})).stored is None


def test_outage_leaves_verdicts_unknown(desk: Desk) -> None:
    desk.load(PUSHED)
    desk.store("alice", 3)
    desk.accounts.away = True

    explanation = desk.explain(pushed("alice", "bob"))

    assert explanation.interrupted == "accounts: away"
    assert verdicts(explanation.rules[0]) == {"alice": Verdict.UNKNOWN, "bob": Verdict.CRITERIA}


def test_criteria_are_judged_once_where_they_do_not_name_the_candidate(desk: Desk) -> None:
    desk.load(ANY_PUSH)

    first, second = desk.account(pushed("alice", "bob")).candidates

    assert first.criteria is not None
    assert first.criteria is second.criteria


def test_explanation_writes_nothing(desk: Desk) -> None:
    desk.load(PUSHED)
    desk.store("alice", 3)
    message = pushed("alice", "newcomer")

    for url in (desk.settings.tahrir_url, desk.settings.history_url):
        with statements(url) as sent:
            assert desk.explain(message).awards == (("alice", "rule-0"),)

        assert sent
        assert {statement.split()[0] for statement in sent} <= {"SELECT", "EXECUTE", "PRAGMA"}
    assert desk.holders() == set()


# What it says is what happens

NAMES = ["alice", "bob", "carol", "ghost", "robot"]
TOPICS = ["git.receive", "git.branch", "wiki.edit"]

LEAVES = st.sampled_from(
    [
        *({"topic": topic} for topic in TOPICS),
        *({"category": "git"}, {"category": "wiki"}, {"lambda": "msg['msg']['users']"}) * 2,
        {"lambda": "'x' in msg['msg']"},
        {"lambda": "1 / 0"},
    ]
)


def combined(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda parts: st.one_of(
            st.lists(parts, min_size=1, max_size=3).map(lambda each: {"all": each}),
            st.lists(parts, min_size=1, max_size=3).map(lambda each: {"any": each}),
            parts.map(lambda each: {"not": each}),
        ),
        max_leaves=4,
    )


FILTERS = [
    *({"users": ["%(recipient)s"]}, {"categories": ["git", "wiki"], "users": "%(msg.users)s"}) * 2,
    *({"users": ["%(recipient)s"], "topics": ["%(topic)s"]}, {"topics": ["%(topic)s"]}) * 2,
    {"users": ["%(msg.nobody)s"]},
]
OPERATIONS = [
    *["count"] * 3,
    {"lambda": "len([m for m in query.all() if 'git' in m.topic])"},
    {"lambda": "len(set(m.topic for m in query))"},
    {"lambda": "query.nothing()"},
]
CONDITIONS = [
    *({"greater than": 0}, {"greater than or equal to": 1}, {"greater than or equal to": 2}) * 2,
    *({"less than": 3}, {"is not": 2}, {"lambda": "value % 2"}, {"lambda": "value['x']"}),
]
QUESTIONS = st.fixed_dictionaries(
    {
        "filter": st.sampled_from(FILTERS),
        "operation": st.sampled_from(OPERATIONS),
        "condition": st.sampled_from(CONDITIONS),
    }
)
RECIPIENTS = ["%(msg.users)s", "%(msg.users)s", "%(username)s", "%(msg.user)s", None]
RULES = st.fixed_dictionaries(
    {
        "trigger": combined(LEAVES),
        "criteria": combined(QUESTIONS),
        "recipient": st.sampled_from(RECIPIENTS),
    }
)
PAST = st.lists(
    st.tuples(st.sampled_from(TOPICS), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3)),
    min_size=4,
    max_size=12,
)
USERS = st.lists(st.sampled_from([*NAMES, "Alice", "::1", 3]), min_size=1, max_size=4)
SENT = st.tuples(
    st.sampled_from(TOPICS),
    st.one_of(*[USERS.map(lambda users: {"users": users})] * 4, st.just({})),
)


def as_yaml(rule: dict[str, Any]) -> str:
    """Returns the text of a rule: JSON is YAML."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in rule.items() if value)


@pytest.mark.thorough
def test_explained_awards_are_those_that_the_daemon_gives(desk: Desk) -> None:
    awarded: list[tuple[str, str]] = []

    @hypothesis_settings(
        max_examples=size(15, 80), deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        rules=st.lists(RULES, min_size=2, max_size=5),
        past=PAST,
        sent=st.lists(SENT, min_size=3, max_size=5),
        held=st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        out=st.sampled_from([None, None, "bob"]),
    )
    def check(
        rules: list[dict[str, Any]],
        past: list[tuple[str, list[str]]],
        sent: list[tuple[str, dict[str, Any]]],
        held: list[str],
        out: str | None,
    ) -> None:
        wipe(desk.databases)
        desk.load(*map(as_yaml, rules))
        if out is not None:
            desk.opt_out(out)
        for name in held:
            desk.tahrir.award([Award("rule-0", name)])
        for topic, users in past:
            desk.history.record(make_message(topic), users, [])
        for topic, msg in sent:
            message = make_message(topic, msg, username="alice")

            full = desk.explain(message, full=True)
            single = {pair for name in NAMES for pair in desk.explain(message, name).awards}

            check_consistent(full)
            assert desk.handle(message) == set(full.awards) == single
            awarded.extend(full.awards)

    check()

    assert len(awarded) > 3, "messages like these say nothing"


def check_consistent(explanation: Explanation) -> None:
    """Checks that every verdict has what it needs for a reason."""
    assert not explanation.interrupted
    for account in explanation.rules:
        assert account.trigger is not None
        assert account.trigger.asked
        for candidate in account.candidates:
            assert account.trigger.answer
            assert candidate.verdict is not Verdict.UNKNOWN
            if candidate.verdict in (Verdict.AWARD, Verdict.CRITERIA):
                assert candidate.criteria is not None
                assert bool(candidate.criteria.answer) == (candidate.verdict is Verdict.AWARD)
