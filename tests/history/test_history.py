"""Questions to the past messages, on the databases that datanommer may have."""

import datetime
import itertools
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from datanommer.models import Message as Row
from datanommer.models import User
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.exc import MultipleResultsFound, NoResultFound
from support.builders import make_message, make_settings, statements
from support.databases import Databases, sqlite_databases

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.errors import Place, Unavailable
from fedbadges.history.history import History
from fedbadges.history.past_messages import Query
from fedbadges.history.sql import FilterQuery
from fedbadges.rules.expressions import parse_expression
from fedbadges.rules.filters import FilledFilter, Pages
from fedbadges.rules.parsing import Problems
from fedbadges.rules.yaml_document import ScalarNode

DAY = datetime.timedelta(days=1)
START = datetime.datetime(2026, 1, 1)


@pytest.fixture
def settings(database: Databases, tmp_path: Path) -> Iterator[Settings]:
    made = make_settings(database, tmp_path)
    yield made
    engine(made.history_url).dispose()


@pytest.fixture
def history(settings: Settings) -> History:
    return History(settings)


@pytest.fixture(scope="module")
def shared(
    shared_database: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[History]:
    """A history for tests that do not mind one another's messages."""
    made = make_settings(shared_database, tmp_path_factory.mktemp("rules"))
    yield History(made)
    engine(made.history_url).dispose()


def rows(settings: Settings, statement: Any) -> list[Any]:
    with engine(settings.history_url).connect() as connection:
        return list(connection.execute(statement))


def topic(name: str) -> FilledFilter:
    """Returns the filter for messages with this topic."""
    return FilledFilter((("topics", (f"org.fedoraproject.dev.{name}",)),))


def compute(history: History, expression: str, filled: FilledFilter) -> Any:
    """Computes an operation such as ``query.count()``."""
    problems = Problems()
    node = ScalarNode(Place("rule.yml", 1, 1), expression, expression, True)
    parsed = parse_expression(node, "query", problems, templates=True)
    assert parsed is not None, list(problems)
    return history.compute(parsed, filled, make_message())


def sent(day: int) -> float:
    return (START + day * DAY).replace(tzinfo=datetime.timezone.utc).timestamp()


# What is stored, and which of it has been stored


def test_stored_messages_have_the_positions_at_which_they_were_stored(history: History) -> None:
    first, second, third = make_message(), make_message(), make_message(msg_id="x' OR '1'='1")
    position = history.record(first, [], [])

    assert history.positions([first, second, third]) == {first: position}
    assert position[0] == first.sent
    assert history.positions([]) == {}


def test_message_stored_twice_has_the_position_of_its_own_time(history: History) -> None:
    before, message, after = (make_message(msg_id="a", timestamp=sent(day)) for day in range(3))
    found = {each: history.record(each, [], []) for each in (before, message, after)}

    assert history.positions([message]) == {message: found[message]}


def test_position_of_a_message_has_the_time_that_is_stored(history: History) -> None:
    """It may be rounded."""
    position = history.record(make_message(msg_id="a", timestamp=1_000_000.25), [], [])
    message = make_message(msg_id="a", timestamp=1_000_000.2500004)

    assert history.positions([message]) == {message: position}


def test_message_that_is_stored_already_keeps_its_position(history: History) -> None:
    message = make_message()
    position = history.record(message, [], [])
    history.record(make_message(), [], [])

    assert history.record(message, [], []) == position


def test_a_message_is_stored_as_datanommer_stores_it(history: History, settings: Settings) -> None:
    message = make_message("git.receive", {"a": [1, None]}, i=7, timestamp=sent(0))

    history.record(message, ["bob", "alice", "bob"], ["guake"], "bob")

    with sa.orm.Session(engine(settings.history_url)) as session:
        (row,) = session.scalars(sa.select(Row))
        stored = row.as_dict()
        assert row.category == "git"
    assert stored["msg_id"] == message.msg_id
    assert stored["topic"] == message.topic
    assert stored["timestamp"] == START
    assert stored["i"] == 7
    assert stored["msg"] == {"a": [1, None]}
    assert stored["users"] == ["alice", "bob"]
    assert stored["packages"] == ["guake"]
    assert stored["agent_name"] == "bob"
    assert stored["headers"] is None


def test_a_message_is_stored_once(history: History, settings: Settings) -> None:
    message = make_message()

    history.record(message, ["alice"], [])
    history.record(message, ["alice", "bob"], [])

    assert len(rows(settings, sa.select(Row.id))) == 1
    assert rows(settings, sa.select(User.name)) == [("alice",)]


def test_messages_without_an_id_are_each_stored(history: History) -> None:
    for _ in range(2):
        history.record(make_message(msg_id=None), [], [])

    assert history.count(topic("logger.log")) == 2


def test_several_threads_may_store_messages_of_the_same_people(
    history: History, settings: Settings
) -> None:
    names = [f"user{number}" for number in range(12)]
    messages = [make_message() for _ in range(8)]
    errors: list[Exception] = []

    def store(order: int) -> None:
        start.wait()
        try:
            for message in messages:
                history.record(message, names[::order], names[::order])
        except Exception as error:
            errors.append(error)

    start = threading.Barrier(3)
    threads = [threading.Thread(target=store, args=(order,)) for order in (1, -1, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert history.count(topic("logger.log")) == len(messages)
    assert sorted(rows(settings, sa.select(User.name))) == sorted((name,) for name in names)
    assert all(
        history.count(FilledFilter((("users", (name,)), ("packages", (name,))))) == len(messages)
        for name in names
    )


NESTED: Any = []
for _ in range(100):
    NESTED = [NESTED]


@pytest.mark.parametrize(
    "envelope",
    [
        {"msg": None},
        {"msg": "text"},
        {"msg": [1, "two"]},
        {"msg": {"n": float("nan"), "i": float("inf"), "h": 10**300}},
        {"msg": {"a": "\ud800", "b": "\x00", "\x00": "\U0001f600"}},
        {"msg": NESTED},
        {"headers": "text"},
        {"headers": []},
        {"headers": {"a": "\x00"}},
        {"headers": {"\ud800": "b"}},
        {"headers": {"a": float("nan")}},
        {"headers": {"a": NESTED}},
        {"headers": {"a": 2**63}},
        {"headers": {"fedora_messaging_severity": 20, "fedora_messaging_user_alice": True}},
        {"i": -1},
        {"i": 2**31},
        {"i": "1"},
        {"i": True},
        {"i": None},
        {"timestamp": -(10**9)},
        {"timestamp": 1e300},
        {"topic": "a"},
        {"topic": "a..b..c"},
    ],
    ids=str,
)
def test_odd_messages_are_stored(shared: History, envelope: dict[str, Any]) -> None:
    message = make_message("odd", **envelope)

    shared.record(message, ["alice"], [])

    assert list(shared.positions([message])) == [message]


def test_names_that_no_database_can_hold_are_left_out(history: History) -> None:
    message = make_message()
    odd = ["", "a\x00", "\ud800", "x" * 10_000, "ąlice"]

    history.record(message, odd, odd, "\x00")

    (past,) = compute(history, "[(m.users, m.packages) for m in query]", topic("logger.log"))
    assert past == (["ąlice"], ["ąlice"])


def test_headers_are_stored(history: History, settings: Settings) -> None:
    history.record(make_message(headers={"sent-at": "2026"}), [], [])

    assert rows(settings, sa.select(Row.headers)) == [({"sent-at": "2026"},)]


# Counts


@dataclass(frozen=True)
class Past:
    """A past message as Python sees it."""

    topics: str
    categories: str
    users: frozenset[str]
    packages: frozenset[str]
    agents: str | None
    contains: str
    day: int


NAMES = ("alice", "bob", "100%", "a'b")
WORDS = ("Guake", "guake", "x_y", "xzy", "é")
TOPICS = ("git.receive", "git.branch", "infragit.receive", "bodhi.update")
FULL_TOPICS = tuple(f"org.fedoraproject.dev.{name}" for name in TOPICS)


def invent(number: int) -> Past:
    """Makes up the message of that number; each run the same."""
    chance = random.Random(number)
    topic = chance.choice(FULL_TOPICS)
    return Past(
        topics=topic,
        categories=topic.split(".")[3],
        users=frozenset(chance.choices(NAMES, k=chance.randrange(3))),
        packages=frozenset(chance.choices(NAMES, k=chance.randrange(3))),
        agents=chance.choice(NAMES),
        contains=chance.choice(WORDS),
        day=chance.randrange(5),
    )


PAST = tuple(invent(number) for number in range(40))

VALUES = {
    "topics": FULL_TOPICS,
    "categories": ("git", "bodhi", "infragit", "wiki"),
    "users": NAMES,
    "packages": NAMES,
    "agents": NAMES,
}
lists = st.fixed_dictionaries(
    {},
    optional={
        f"{sign}{key}": st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True)
        for key, values in VALUES.items()
        for sign in ("", "not_")
    }
    | {"contains": st.lists(st.sampled_from(("Guake", "xzy", "zz")), min_size=1, max_size=2)},
)
days = st.tuples(st.integers(0, 4), st.integers(0, 4))


def matches(past: Past, key: str, values: list[str]) -> bool:
    """Tells what a filter key means, without a database."""
    if key.startswith("not_"):
        return not matches(past, key.removeprefix("not_"), values)
    value = getattr(past, key)
    if key == "contains":
        return any(text in value for text in values)
    return bool(set(values) & (value if isinstance(value, frozenset) else {value}))


@pytest.fixture(scope="module")
def full(shared: History) -> History:
    """A history with the invented messages."""
    for past in PAST:
        name = past.topics.removeprefix("org.fedoraproject.dev.")
        message = make_message(name, {"text": past.contains}, timestamp=sent(past.day))
        shared.record(message, past.users, past.packages, past.agents)
    return shared


@hypothesis_settings(max_examples=150, deadline=None)
@given(lists, days)
def test_count_equals_counting_in_python(
    full: History, filters: dict[str, list[str]], between: tuple[int, int]
) -> None:
    filled = FilledFilter(
        tuple((key, tuple(values)) for key, values in filters.items()),
        start=START + between[0] * DAY,
        end=START + between[1] * DAY,
    )
    expected = [
        past
        for past in PAST
        if all(matches(past, key, values) for key, values in filters.items())
        and between[0] <= past.day <= between[1]
    ]

    assert full.count(filled) == len(expected)


def test_count_by_message_id(history: History) -> None:
    message = make_message()
    history.record(message, [], [])
    history.record(make_message(), [], [])

    assert history.count(FilledFilter((), msg_id=message.msg_id)) == 1


@pytest.mark.parametrize(
    ("text", "count"), [("a%a", 1), ("a_a", 1), ("aba", 1), ("a\\\\a", 1), ("%", 1), ("_", 1)]
)
def test_contains_has_no_wildcards(history: History, text: str, count: int) -> None:
    for word in ("a%a", "a_a", "aba", "a\\a"):
        history.record(make_message("a", {"w": word}), [], [])
    filled = FilledFilter((("contains", (text,)),))

    assert history.count(filled) == count
    assert compute(history, "len([m for m in query.all()][:])", filled) == count


def test_count_ignores_pages(history: History) -> None:
    for _ in range(3):
        history.record(make_message(), [], [])

    assert history.count(replace(topic("logger.log"), pages=Pages(2, 1, "desc"))) == 3


def test_a_repeated_count_takes_one_statement(history: History, settings: Settings) -> None:
    history.record(make_message(), ["alice"], [])
    filled = FilledFilter((("users", ("alice",)), ("topics", ("a.b.c.d",))))
    for _ in range(2):
        history.count(filled)  # learns alice's number, and what was sent lately

    with statements(settings.history_url) as sent:
        history.count(filled)

    assert len(sent) == 1


def test_a_filter_too_large_for_the_database_is_no_outage(tmp_path: Path) -> None:
    """SQLite has its limit within reach."""
    history = History(make_settings(sqlite_databases(tmp_path), tmp_path))

    with pytest.raises(sa.exc.OperationalError):
        history.count(FilledFilter((("contains", tuple(f"t{n}" for n in range(1_100))),)))


def test_a_database_that_is_away_is_unavailable(tmp_path: Path) -> None:
    away = Databases("sqlite", f"sqlite:///{tmp_path}/a/b.db", f"sqlite:///{tmp_path}/a/b.db")
    history = History(make_settings(away, tmp_path))

    for ask in (
        lambda: history.count(topic("a")),
        lambda: history.positions([make_message()]),
        lambda: history.record(make_message(), [], []),
        lambda: compute(history, "query.all()", topic("a")),
    ):
        with pytest.raises(Unavailable):
            ask()


# The query of an operation


@pytest.fixture(scope="module")
def week(shared: History) -> History:
    """A history with five messages of one topic on five days, not stored in their order."""
    for n in (2, 0, 1, 4, 3):
        message = make_message("week.log", {"n": n}, timestamp=sent(n - 365))
        shared.record(message, ["bob", "alice"], ["guake"])
    return shared


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("query.count()", 5),
        ("len(query)", 5),
        ("len(query.all())", 5),
        ("len([m for m in query])", 5),
        ("[m.msg['n'] for m in query]", [0, 1, 2, 3, 4]),
        ("query.first().msg['n']", 0),
        ("query.first().users", ["alice", "bob"]),
        ("query.first().packages", ["guake"]),
        ("query.first().topic", "org.fedoraproject.dev.week.log"),
        ("query.first().category", "week"),
        ("query.first().timestamp", START - 365 * DAY),
        ("query.filter_by(category='week').count()", 5),
        ("query.filter_by(category='git').count()", 0),
        ("query.filter_by(category='git').first()", None),
        ("query.filter_by(timestamp=query.first().timestamp).one().msg['n']", 0),
        ("len(query.filter_by(category='week', i=1).all())", 5),
        ("sum(m.msg['n'] for m in query.order_by('timestamp').all()[:2])", 1),
        ("len({m.timestamp.date() for m in query.all()})", 5),
        ("len(set(m.msg_id for m in query))", 5),
        ("bool(query.all())", True),
    ],
)
def test_an_operation_over_the_past_messages(week: History, expression: str, value: Any) -> None:
    assert compute(week, expression, topic("week.log")) == value


def test_an_operation_may_put_messages_into_another_order(week: History) -> None:
    filled = topic("week.log")

    assert compute(week, "[m.msg['n'] for m in query.order_by('id')]", filled) == [2, 0, 1, 4, 3]


@pytest.mark.parametrize(
    ("pages", "numbers"),
    [
        (Pages(), [0, 1, 2, 3, 4]),
        (Pages(order="desc"), [4, 3, 2, 1, 0]),
        (Pages(rows_per_page=2), [0, 1]),
        (Pages(page=3, rows_per_page=2), [4]),
        (Pages(page=2, rows_per_page=2, order="desc"), [2, 1]),
        (Pages(page=9, rows_per_page=2), []),
    ],
)
def test_an_operation_sees_the_page_that_the_filter_asks_for(
    week: History, pages: Pages, numbers: list[int]
) -> None:
    filled = replace(topic("week.log"), pages=pages)

    assert compute(week, "[m.msg['n'] for m in query.all()]", filled) == numbers
    assert compute(week, "query.count()", filled) == len(numbers)
    first = compute(week, "query.first() and query.first().msg['n']", filled)
    assert first == (numbers[0] if numbers else None)


@pytest.mark.parametrize(("order", "numbers"), [("asc", [0, 1, 2]), ("desc", [2, 1, 0])])
def test_messages_of_the_same_time_are_in_the_order_of_their_numbers(
    history: History, settings: Settings, order: str, numbers: list[int]
) -> None:
    for n in range(3):
        history.record(make_message("logger.log", {"n": n}, timestamp=sent(0)), [], [])
    with engine(settings.history_url).begin() as connection:
        # PostgreSQL moves it behind the others.
        connection.execute(Row.__table__.update().where(Row.id == 1).values(i=2))
    filled = replace(topic("logger.log"), pages=Pages(order=order))

    assert compute(history, "[m.msg['n'] for m in query]", filled) == numbers
    assert compute(history, "query.first().msg['n']", filled) == numbers[0]


def test_one_message_among_several_or_none_is_an_error(week: History) -> None:
    with pytest.raises(MultipleResultsFound):
        compute(week, "query.one()", topic("week.log"))
    with pytest.raises(NoResultFound):
        compute(week, "query.one()", topic("nothing"))


def test_more_messages_than_are_fetched_at_once(history: History, settings: Settings) -> None:
    with engine(settings.history_url).begin() as connection:
        connection.execute(
            Row.__table__.insert(),
            [
                {
                    "i": 1,
                    "topic": "org.fedoraproject.dev.logger.log",
                    "category": "logger",
                    "timestamp": START,
                    "msg": {"n": n},
                }
                for n in range(1_201)
            ],
        )

    assert compute(history, "sorted(m.msg['n'] for m in query)", topic("logger.log")) == list(
        range(1_201)
    )
    assert compute(history, "[m.users for m in query if not m.msg['n']]", topic("logger.log")) == [
        []
    ]


def test_a_query_is_executed_only_when_its_messages_are_needed(settings: Settings) -> None:
    with sa.orm.Session(engine(settings.history_url)) as session:
        asked = itertools.count()
        sa.event.listen(
            engine(settings.history_url), "before_cursor_execute", lambda *_: next(asked)
        )
        Query.of(session, FilterQuery((), {}), Pages()).filter_by(category="git").order_by("id")

    assert next(asked) == 0
