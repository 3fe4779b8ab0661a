"""Strategies of hypothesis: in which order, how late and by which way messages come to a daemon."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import yaml
from hypothesis import strategies as st

from support.histories import PREFIX, PastMessage, in_order
from support.rules import rule
from support.strategies import TOPICS, names, operations, question, topics, triggers

DISTANCE = 86_400
"""Seconds that datanommer may be late: all that is made here was sent within them."""

START = datetime.fromtimestamp(int(time.time()) - 72_000, timezone.utc).replace(tzinfo=None)
"""Before all messages, which are sent in the 18 hours that follow."""

MIDDLE = START + timedelta(hours=9)


class Way(Enum):
    """How messages come to the daemon."""

    BUS_FIRST = "over the bus, before they are stored"
    STORED_FIRST = "over the bus, when they are stored"
    SHED = "from datanommer alone"
    WHILE_DOWN = "stored while no daemon runs"
    RECORDED = "over the bus, and the daemon stores them"


STORED_BY_DATANOMMER = (Way.BUS_FIRST, Way.STORED_FIRST, Way.SHED, Way.WHILE_DOWN)


class After(Enum):
    """What happens once they came."""

    NOTHING = "nothing"
    SWEEP = "a sweep"
    RESTART = "a stop and a start"
    CRASH = "a start with the checkpoint from before"


@dataclass(frozen=True)
class Arrival:
    """Messages that are stored together; those of the bus come as a batch or one by one."""

    messages: tuple[PastMessage, ...]
    way: Way
    batch: bool
    after: After


@st.composite
def _messages(draw: Any, number: int) -> PastMessage:
    user = draw(names)
    everybody = tuple(sorted({user, *draw(st.sets(names, max_size=2))}))
    content = {
        "user": user,
        "all": list(everybody),
        "other": draw(names),
        "n": draw(st.integers(0, 3)),
        "pkg": draw(st.sampled_from(("bash", "vim"))),
        "topic": PREFIX + draw(topics),
    }
    # Several at the very same time.
    sent = START + timedelta(hours=draw(st.integers(0, 18)))
    return PastMessage(number, sent, draw(topics), content, everybody, (content["pkg"],), user)


@st.composite
def arrivals(
    draw: Any, *, late: bool = False, ways: Sequence[Way] = STORED_BY_DATANOMMER
) -> list[Arrival]:
    """Yield the messages of a history as they come, by some of the ``ways``.

    :param late: they are stored in any order, and perhaps committed in another order than numbered.
    """
    count = draw(st.integers(4, 16))
    made = in_order([draw(_messages(number)) for number in range(1, count + 1)])
    numbers = list(range(1, count + 1))
    if late:
        made = draw(st.permutations(made))
        numbers = draw(st.one_of(st.just(numbers), st.permutations(numbers)))
    left = [replace(each, number=number) for each, number in zip(made, numbers, strict=True)]
    parts: list[Arrival] = []
    while left:
        size = draw(st.integers(1, 6))
        part, left = tuple(left[:size]), left[size:]
        heard = draw(st.permutations(part)) if late or draw(st.booleans()) else part
        way, after = draw(st.sampled_from(list(ways))), draw(st.sampled_from(After))
        parts.append(Arrival(tuple(heard), way, draw(st.booleans()), after))
    return parts


# Of rules whose messages come in order: anything.

_MOMENTS = ("2 hours ago", "5 hours ago", "1 day ago", MIDDLE, "20 years ago")
_LISTS = {
    "topics": (["%(topic)s"], ["%(msg.topic)s"], [PREFIX + TOPICS[0]], [PREFIX + TOPICS[1]]),
    "categories": (["wiki"], ["git", "wiki"]),
    "users": (["%(recipient)s"], ["%(msg.user)s"], ["alice"], "%(msg.all)s", ["%(msg.other)s"]),
    "agents": (["%(msg.user)s"], ["%(recipient)s"]),
    "packages": (["%(msg.pkg)s"], ["bash"]),
    "not_users": (["%(msg.other)s"], ["bob"]),
    "contains": (["%(msg.pkg)s"],),
    "fields": (
        {"msg.n": {"greater than": 0}},
        {"msg.user": {"is not": "%(msg.other)s"}},
        {"msg.all": {"contains": "%(recipient)s", "length": {"less than": 3}}},
    ),
}
_ANY_FILTERS = st.fixed_dictionaries(
    {"users": st.sampled_from(_LISTS["users"])},
    optional={
        **{key: st.sampled_from(values) for key, values in _LISTS.items() if key != "users"},
        "start": st.sampled_from(_MOMENTS),
        "end": st.sampled_from(("1 hour ago", "4 hours ago", MIDDLE)),
    },
)

# Of the result of an operation.
_CONDITIONS = st.one_of(
    st.tuples(
        st.sampled_from(
            (
                "greater than or equal to",
                "greater than",
                "less than",
                "less than or equal to",
                "equal to",
                "is not",
            )
        ),
        st.integers(0, 5),
    ).map(lambda pair: dict([pair])),
    st.sampled_from(("value % 2 == 0", "value % 3 == 0", "value in (2, 4)")).map(
        lambda text: {"lambda": text}
    ),
)
_MONOTONE = st.tuples(
    st.sampled_from(("greater than or equal to", "greater than")), st.integers(0, 5)
).map(lambda pair: dict([pair]))


_ANY_QUESTIONS = st.builds(question, _ANY_FILTERS, operations, _CONDITIONS)


def _combined(parts: st.SearchStrategy[Any], words: Sequence[str]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda word, chosen: {word: chosen},
        st.sampled_from(list(words)),
        st.lists(parts, min_size=2, max_size=2),
    )


_ANY_CRITERIA = st.one_of(
    _ANY_QUESTIONS,
    _ANY_QUESTIONS,
    _combined(_ANY_QUESTIONS, ("all", "any")),
    _ANY_QUESTIONS.map(lambda part: {"not": part}),
)

# Of rules whose messages are stored late: each message that counts triggers the rule for those
# whom it counts for, and the other way round. So whatever is true of some of the messages was or is
# going to be true of all of them, and no badge is given that nobody can take away.

_OWN = (
    ("%(msg.all)s", {"users": ["%(recipient)s"]}),
    ("%(msg.user)s", {"agents": ["%(msg.user)s"]}),
    ("%(msg.user)s", {"agents": ["%(recipient)s"]}),
)
_OWN_TOPICS = (
    ({"topic": TOPICS[0]}, {"topics": ["%(topic)s"]}),
    ({"topic": TOPICS[1]}, {"topics": [PREFIX + TOPICS[1]]}),
    ({"category": "wiki"}, {"categories": ["wiki"]}),
    (
        {"any": [{"topic": TOPICS[0]}, {"topic": TOPICS[2]}]},
        {"topics": [PREFIX + TOPICS[0], PREFIX + TOPICS[2]]},
    ),
)
_OWN_TESTS = (
    (None, "count"),
    (None, {"lambda": "query.count()"}),
    (None, {"lambda": "len({m.msg['n'] for m in query.all()})"}),
    (None, {"lambda": "sum(m.msg['n'] / 2 for m in query)"}),
    ({"msg.n": {"any": [1, 3]}}, "count"),
    ({"msg.n": {"greater than": 0}, "msg.pkg": "bash"}, {"count distinct": "msg.n"}),
    ("msg['msg']['n'] % 2", {"lambda": "len([m for m in query.all() if m.msg['n'] % 2])"}),
    ("msg['msg']['n'] > 0", {"lambda": "sum(1 for m in query if m.msg['n'] > 0)"}),
)
_OWN_WINDOWS = (
    {},
    {"start": "2 hours ago"},
    {"start": "5 hours ago"},
    {"start": MIDDLE},
    {"start": "20 years ago"},
)
_OWN_MONOTONE_WINDOWS = (
    *_OWN_WINDOWS,
    {"start": "9 hours ago", "end": "1 hour ago"},
    {"end": MIDDLE},
    {"start": START + timedelta(hours=3), "end": MIDDLE},
)


@st.composite
def _own_rules(draw: Any) -> dict[str, Any]:
    recipient, people = draw(st.sampled_from(_OWN))
    trigger, messages = draw(st.sampled_from(_OWN_TOPICS))
    test, operation = draw(st.sampled_from(_OWN_TESTS))

    narrowed = {"fields": test} if isinstance(test, dict) else {}

    def questions(windows: Sequence[Any], conditions: Any) -> st.SearchStrategy[Any]:
        filters = st.sampled_from(list(windows)).map(
            lambda window: {**people, **messages, **narrowed, **window}
        )
        return st.builds(question, filters, st.just(operation), conditions)

    single = questions(_OWN_WINDOWS, _CONDITIONS)
    monotone = questions(_OWN_MONOTONE_WINDOWS, _MONOTONE)
    criteria = st.one_of(
        single,
        single,
        single.map(lambda part: {"not": part}),
        _combined(single, ("any",)),
        monotone,
        _combined(monotone, ("all", "any")),
    )
    if test is not None:
        trigger = {"all": [trigger, narrowed or {"lambda": test}]}
    return {"trigger": trigger, "criteria": draw(criteria), "recipient": recipient}


_any_rules = st.fixed_dictionaries(
    {
        "trigger": triggers,
        "criteria": _ANY_CRITERIA,
        "recipient": st.sampled_from(("%(msg.user)s", "%(msg.all)s", "%(msg.other)s")),
    }
)


def _text(body: dict[str, Any], number: int) -> str:
    return rule(f"Badge {number}", yaml.safe_dump(body, sort_keys=False))


def rules(*, late: bool = False) -> st.SearchStrategy[dict[str, str]]:
    """Yield rules as files, by their names.

    :param late: the rules that messages which are stored late do not mislead.
    """
    bodies = st.lists(_own_rules() if late else _any_rules, min_size=4, max_size=12)
    return bodies.map(lambda found: {f"badge-{n}": _text(body, n) for n, body in enumerate(found)})
