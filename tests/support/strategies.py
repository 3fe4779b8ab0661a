"""Strategies of hypothesis: rules of every kind, and histories that they count."""

from datetime import datetime, timedelta
from typing import Any

import yaml
from hypothesis import strategies as st

from support.histories import PREFIX, PastMessage
from support.rules import rule

TOPICS = ("git.receive", "wiki.edit", "wiki.upload")
NAMES = ("alice", "bob", "carol")
START = datetime(2024, 1, 1)

names = st.sampled_from(NAMES)
spelled = st.sampled_from((*NAMES, "Alice"))
topics = st.sampled_from(TOPICS)


@st.composite
def _messages(draw: Any, number: int) -> PastMessage:
    return PastMessage(
        number,
        # Some at the very same time, some out of the order of their numbers.
        START + timedelta(hours=draw(st.integers(0, 60))),
        draw(topics),
        {
            "user": draw(spelled),
            "other": draw(names),
            "all": draw(st.lists(names, max_size=3)),
            "n": draw(st.integers(0, 3)),
            "pkg": draw(st.sampled_from(("bash", "vim"))),
            "topic": PREFIX + draw(topics),
            "since": draw(st.sampled_from(("2024-01-01T12:00:00", "2 hours ago", None))),
        },
        tuple(draw(st.sets(spelled, max_size=3))),
        tuple(draw(st.sets(st.sampled_from(("bash", "vim")), max_size=2))),
        draw(st.none() | spelled),
        draw(st.none() | st.just("2024-twice")) if number < 3 else None,
    )


@st.composite
def histories(draw: Any) -> list[PastMessage]:
    """Yield messages in any order."""
    count = draw(st.integers(1, 14))
    made = [draw(_messages(number)) for number in range(1, count + 1)]
    # What has the same id has another time.
    twice = {(message.id, message.sent): message for message in made}
    return draw(st.permutations(list(twice.values())))


_USERS = st.sampled_from(
    (
        ["%(recipient)s"],
        ["%(msg.user)s"],
        ["%(msg.user)s", "%(msg.other)s"],
        ["alice"],
        ["alice", "%(msg.other)s"],
        ["alice", "bob"],
        "%(msg.all)s",
        {"lambda": "msg['msg']['all']"},
    )
)
_PACKAGES = st.sampled_from((["%(msg.pkg)s"], ["bash"], ["bash", "vim"]))
_TOPICS = st.sampled_from(
    (
        ["%(topic)s"],
        ["%(msg.topic)s"],
        ["%(topic)s", "%(msg.topic)s"],
        [PREFIX + TOPICS[0]],
        [PREFIX + TOPICS[1], PREFIX + TOPICS[2]],
        {"lambda": "[msg['topic']]"},
    )
)
_CATEGORIES = st.sampled_from((["wiki"], ["git", "wiki"]))
_KEYS: dict[str, Any] = {
    "topics": _TOPICS,
    "not_topics": _TOPICS,
    "users": _USERS,
    "not_users": _USERS,
    "packages": _PACKAGES,
    "not_packages": _PACKAGES,
    "categories": _CATEGORIES,
    "not_categories": st.just(["git"]),
    "agents": _USERS,
    "not_agents": _USERS,
    "contains": st.sampled_from(
        (['"user": "%(msg.user)s"'], ["%(msg.pkg)s"], ["bash"], ["alice", "%(msg.user)s"], ["_"])
    ),
    "fields": st.sampled_from(
        (
            {"msg.n": {"greater than": 0}},
            {"msg.n": "%(msg.n)s"},
            {"msg.user": "%(msg.user)s", "msg.pkg": "bash"},
            {"msg.other": {"is not": "%(recipient)s"}},
            {"msg.other": "%(recipient)s", "msg.n": {"any": [0, "%(msg.n)s"]}},
            {"msg.all": {"length": {"greater than": 1}, "contains": "%(msg.other)s"}},
            {"msg.nothing": {"exists": False}, "msg.user": {"not": "alice"}},
        )
    ),
    "msg_id": st.sampled_from(("%(msg_id)s", "2024-1", "2024-twice")),
    "start": st.sampled_from(
        ("2 hours ago", "1 day ago", datetime(2024, 1, 2), "%(msg.since)s", "9999 years ago")
    ),
    "end": st.sampled_from(("1 hour ago", datetime(2024, 1, 2), datetime(2024, 1, 4))),
}
_COMMON = ("topics", "users")
_WITH_FIELDS = ("topics", "fields")

filters = st.one_of(
    st.fixed_dictionaries({key: _KEYS[key] for key in _COMMON}),
    st.fixed_dictionaries(
        {key: _KEYS[key] for key in _WITH_FIELDS},
        optional={"users": _USERS, "start": _KEYS["start"]},
    ),
    st.fixed_dictionaries({"users": _USERS, "start": _KEYS["start"]}, optional={"topics": _TOPICS}),
    st.fixed_dictionaries({"contains": _KEYS["contains"]}, optional={"start": _KEYS["start"]}),
    st.fixed_dictionaries({"msg_id": _KEYS["msg_id"]}, optional={"users": _USERS}),
    st.lists(st.sampled_from(list(_KEYS)), min_size=1, max_size=3, unique=True).flatmap(
        lambda keys: st.fixed_dictionaries({key: _KEYS[key] for key in keys})
    ),
)

operations = st.one_of(
    st.just("count"),
    st.sampled_from(
        (
            "count distinct days",
            "longest streak of days",
            {"count distinct": "msg.user"},
            {"sum": "msg.n"},
            {"largest": "msg.n"},
            {"smallest": "msg.since"},
        )
    ),
    st.sampled_from(
        (
            "len([m for m in query.all() if m.msg['n'] % 2])",
            "sum(1 for m in query if 'alice' in m.users and m.packages)",
            "len([m for m in query.all() if m.msg['n'] == %(msg.n)s])",
            "len([m for m in query.all() if 1 / m.msg['n'] < 1])",
            "sum(1 for m in query if 1 / m.msg['n'] < 1 and m.msg['user'] == '%(msg.user)s')",
            "len([m for m in query if '%(msg.other)s' == m.msg['user'] if m.msg['n'] == 1])",
            "len({m.msg['user'] for m in query.all()})",
            "len(set(m.msg['n'] / m.msg['n'] for m in query if m.users))",
            "sum(m.msg['n'] for m in query.all())",
            "max([m.msg['n'] for m in query.all()])",
            "sum(m.msg['n'] == %(msg.n)s for m in query)",
            "len({m.msg['n'] for m in query if m.msg['user'] == '%(msg.user)s'})",
            "query.count()",
            "[m.msg['n'] for m in query.all()][0]",
        )
    ).map(lambda text: {"lambda": text}),
)

conditions = st.one_of(
    st.tuples(
        st.sampled_from(("greater than or equal to", "equal to", "less than", "is not")),
        st.integers(0, 4),
    ).map(lambda pair: dict([pair])),
    st.just({"lambda": "value in (1, 3)"}),
)


def question(chosen: Any, operation: Any, condition: Any) -> dict[str, Any]:
    """Return criteria, which count where the operation is a lambda, as that does not see fields."""
    if "fields" in chosen and "lambda" in operation:
        operation = "count"
    return {"datanommer": {"filter": chosen, "operation": operation, "condition": condition}}


questions = st.builds(
    question,
    filters,
    operations,
    conditions,
)

criteria = st.one_of(
    questions,
    st.builds(
        lambda word, parts: {word: parts},
        st.sampled_from(("all", "any")),
        st.lists(questions, min_size=2, max_size=2),
    ),
    questions.map(lambda part: {"not": part}),
)

triggers = st.sampled_from(
    (
        {"topic": TOPICS[0]},
        {"topic": TOPICS[1]},
        {"category": "wiki"},
        {"any": [{"topic": TOPICS[0]}, {"topic": TOPICS[2]}]},
        {"lambda": "msg['msg']['n'] > 0"},
        {"fields": {"msg.user": {"is not": "%(msg.other)s"}, "msg.n": {"any": [0, 1, 2]}}},
        {"all": [{"category": "wiki"}, {"lambda": "msg['msg']['n'] != 1"}]},
    )
)

recipients = st.sampled_from(
    (
        None,
        "%(msg.user)s",
        "%(msg.all)s",
        "%(msg.other)s",
        {"any": ["%(msg.nobody)s", "%(msg.all)s", "%(msg.other)s"]},
    )
)
excepted = st.sampled_from((None, None, "%(msg.other)s", ["%(msg.user)s", "%(msg.other)s"]))


@st.composite
def rule_texts(draw: Any) -> str:
    """Yield a rule without its name's number."""
    keys = {
        "trigger": draw(triggers),
        "criteria": draw(criteria | st.none()),
        "recipient": draw(recipients),
        "except": draw(excepted),
    }
    body = {key: value for key, value in keys.items() if value is not None}
    return rule(
        "Badge {number}",
        yaml.safe_dump(body, sort_keys=False).replace("{", "{{").replace("}", "}}"),
    )
