"""Criteria over a real history: what a whole rule answers to a message."""

import datetime

import pytest
from support.databases import store_message
from support.rule_text import backends, load, message

from fedbadges.errors import MissingValue
from fedbadges.messages import Message
from fedbadges.rules.criteria import Question
from fedbadges.rules.rule import Rule

pytestmark = pytest.mark.sqlite

TOPIC = "org.fedoraproject.prod.git.receive"
ODD = "\" or __import__('os').system('x') or \"'; DROP TABLE messages; --%(topic)s"

# number, topic, user, msg
PAST = [
    (1, TOPIC, "alice", {"n": 1, "by": "alice"}),
    (2, TOPIC, "alice", {"n": 2, "by": "alice"}),
    (3, TOPIC, "alice", {"n": 3, "by": "bob"}),
    (4, TOPIC, "bob", {"n": 4, "by": "bob"}),
    (5, "org.fedoraproject.prod.wiki.edit", "alice", {"n": 5, "by": "alice"}),
    (6, TOPIC, ODD, {"n": 6, "by": ODD}),
]


@pytest.fixture(scope="module")
def history(shared_database):
    """A history with a few messages, a day apart each."""
    for number, topic, user, msg in PAST:
        store_message(
            shared_database,
            {
                "i": number,
                "msg_id": f"2023-{number}",
                "topic": topic,
                "timestamp": 1700000000 + number * 86400,
                "msg": msg,
            },
            [user],
        )
    return backends(shared_database.datanommer_url)


@pytest.fixture
def ask(history):
    """Asks criteria, given as YAML, about a message; about a candidate if one is named."""

    def ask(criteria: str, about: Message, recipient: str | None = None) -> bool:
        indented = "\n".join("  " + line for line in criteria.splitlines())
        rule: Rule = load(f"criteria:\n{indented}\n", history)
        return rule.criteria.holds(Question(about, recipient))

    return ask


def now(user: str = "alice", **msg: object) -> Message:
    """The message that comes, ten days after the first."""
    return message(TOPIC, timestamp=1700000000 + 10 * 86400, msg={"user": user, **msg})


def count(filter_: str, condition: str) -> str:
    return f"filter: {{{filter_}}}\noperation: count\ncondition: {{{condition}}}"


def compute(operation: str, condition: str, filter_: str = "topics: ['%(topic)s']") -> str:
    return (
        f"filter: {{{filter_}}}\n"
        f"operation:\n  lambda: |-\n    {operation}\n"
        f"condition:\n  lambda: |-\n    {condition}"
    )


MINE = "topics: ['%(topic)s'], usernames: ['%(msg.user)s']"


def test_the_documented_rule_counts_what_one_person_did(ask):
    assert ask(count(MINE, "greater than or equal to: 3"), now())
    assert not ask(count(MINE, "greater than or equal to: 4"), now())
    assert ask(count(MINE, "equal to: 1"), now("bob"))
    assert ask(count(MINE, "equal to: 0"), now("carol"))


def test_messages_of_a_user_are_counted_whatever_the_case_of_the_name(ask):
    assert ask(count(MINE, "equal to: 3"), now("Alice"))


def test_criteria_may_name_their_backend(ask):
    direct = count(MINE, "equal to: 3")
    named = "datanommer:\n" + "\n".join("  " + line for line in direct.splitlines())
    assert ask(named, now())
    assert not ask(named, now("bob"))


def test_criteria_are_combined_by_operators(ask):
    three = "{datanommer: {filter: {users: ['%(msg.user)s'], topics: ['%(topic)s']}, "
    three += "operation: count, condition: {equal to: 3}}}"
    assert ask(f"all: [{three}, {three}]", now())
    assert not ask(f"all: [{three}, {{not: {three}}}]", now())
    assert ask(f"any: [{{not: {three}}}, {three}]", now())
    assert not ask(f"not: {three}", now())


@pytest.mark.parametrize(
    ("filter_", "number"),
    [
        ("users: [alice]", 4),
        ("users: [alice, bob]", 5),
        ("not_users: [alice]", 2),
        ("categories: [wiki]", 1),
        ("not_topics: ['%(topic)s']", 1),
        ("topics: [git.receive]", 0),
        ("msg_id: 2023-4", 1),
        ('contains: [\'"by": "bob"\']', 2),
        ("start: 7 days ago", 4),
        ("start: 8 days ago, end: 7 days ago", 2),
        ("end: 2023-11-16", 1),
        ("users: [alice], rows_per_page: 2", 4),
        ('users: {lambda: \'[msg["msg"]["user"]]\'}', 4),
    ],
)
def test_a_filter_selects_past_messages(ask, filter_, number):
    assert ask(count(filter_, f"equal to: {number}"), now())


@pytest.mark.parametrize(
    ("operation", "condition"),
    [
        ("query.count()", "value == 5"),
        ("len(query)", "value == 5"),
        ("len(query.all())", "value == 5"),
        ("[m.msg['n'] for m in query]", "value == [1, 2, 3, 4, 6]"),
        ("query.first().msg['n']", "value == 1"),
        ("query.filter_by(msg_id='2023-4').one().users", "value == ['bob']"),
        ("query.filter_by(topic='none').first()", "value is None"),
        ("{m.category for m in query}", "value == {'git'}"),
        ("query.first().timestamp", "value == datetime.datetime(2023, 11, 15, 22, 13, 20)"),
        ("len([m for m in query.all() if m.msg['by'] == '%(msg.user)s'])", "value == 2"),
        ("len([m for m in query.all() if m.msg['by'] == %(msg.user)s])", "value == 2"),
        ("len([m for m in query.all() if m.msg['n'] is 1])", "value == 1"),
        ("len([m for m in query.all() if m.msg['n'] %% 2])", "value == 2"),
        ("sum(m.msg['n'] for m in query)", "value > 15 and math.isfinite(value)"),
    ],
)
def test_a_lambda_computes_over_the_past_messages(ask, operation, condition):
    assert ask(compute(operation, condition), now())
    assert not ask(compute(operation, f"not ({condition})"), now())


def test_a_filter_may_ask_for_a_page_and_an_order(ask):
    numbers = "[m.msg['n'] for m in query]"
    filter_ = "users: [alice], rows_per_page: 3, order: desc, page: {}"
    assert ask(compute(numbers, "value == [5, 3, 2]", filter_.format(1)), now())
    assert ask(compute(numbers, "value == [1]", filter_.format(2)), now())


def test_criteria_that_name_the_recipient_are_judged_for_each_candidate(ask):
    criteria = count("users: ['%(recipient)s'], topics: ['%(topic)s']", "greater than: 2")
    assert ask(criteria, now(), recipient="alice")
    assert not ask(criteria, now(), recipient="bob")


def test_a_username_with_special_characters_is_compared_as_text(ask):
    assert ask(count(MINE, "equal to: 1"), now(ODD))
    assert ask(count("contains: ['%(msg.user)s']", "equal to: 0"), now(ODD))
    for name in ("'%(msg.user)s'", "%(msg.user)s", '"%(msg.user)s"'):
        by_author = f"len([m for m in query if m.msg['by'] == {name}])"
        assert ask(compute(by_author, "value == 1"), now(ODD))


def test_a_message_without_what_a_rule_asks_for_does_not_match(ask):
    with pytest.raises(MissingValue):
        ask(count("users: ['%(msg.lacking)s']", "equal to: 0"), now())
    with pytest.raises(MissingValue):
        ask(compute("len(query) + %(msg.lacking)s", "True"), now())


@pytest.mark.parametrize("value", [[], None, {}, "\x00", "\ud800"], ids=repr)
def test_an_empty_or_impossible_filter_value_never_counts_every_message(ask, value):
    with pytest.raises(MissingValue):
        ask(count("users: '%(msg.odd)s'", "greater than or equal to: 0"), now(odd=value))


def test_start_and_end_of_a_filter_are_compared_in_utc(ask):
    start = datetime.datetime(2023, 11, 19, 22, 13, 20)
    assert ask(count(f"start: {start.isoformat()}Z", "equal to: 2"), now())
    assert ask(count(f"start: {start.isoformat()}+02:00", "equal to: 2"), now())
    assert ask(count(f"start: {start.isoformat()}-00:01", "equal to: 1"), now())
