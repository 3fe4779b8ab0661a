"""Cached folds equal those over all messages, and read each message once."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.builders import make_message, make_settings, statements
from support.cached_history import DISTANCE, Past, of, operation, outcome
from support.databases import Databases
from support.optimisations import needs
from support.sizes import size

from fedbadges.history import fold_cache, folds
from fedbadges.history.recent_window import RecentWindow
from fedbadges.messages import Position

pytestmark = needs("keep_counts")

NUMBERS = operation("len({m.msg['n'] for m in query.all()})")

EXPRESSIONS = [
    NUMBERS,
    operation("sum(m.msg['n'] for m in query.all() if m.users)"),
    operation("sum(m.msg['n'] / 10 for m in query.all())"),
    operation("max([m.msg['n'] for m in query.all() if m.msg['n'] > 2])"),
    operation("any(m.msg['n'] == 7 for m in query)"),
    operation("all(1 / (m.msg['n'] - 3) for m in query)"),
    operation("len(set('a' * 200 if m.msg['n'] % 2 else m.msg['n'] for m in query))"),
]


@pytest.fixture
def past(database: Databases, tmp_path: Path) -> Past:
    return Past(make_settings(database, tmp_path))


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("store"),
            st.sampled_from(["ann", "bea"]),
            st.one_of(st.floats(0, DISTANCE - 1), st.floats(0, 20 * DISTANCE)),
            st.integers(0, 9),
            # Which of the numbers of transactions that are not committed it has, if any.
            st.none() | st.integers(0, 3),
        ),
        st.tuples(st.just("begin"), st.integers(1, 3)),
        st.tuples(st.just("pass"), st.floats(-DISTANCE, 3 * DISTANCE)),
        st.tuples(st.just("begin anew")),
        st.tuples(st.just("ask"), st.sampled_from(["ann", "bea"]), st.integers(0, 30)),
    ),
    max_size=25,
)


@pytest.mark.thorough
@given(history=steps, chosen=st.sets(st.sampled_from(range(len(EXPRESSIONS))), min_size=2))
@examples(
    max_examples=size(15, 400),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_cached_folds_equal_those_over_all_messages(
    past: Past, history: list[tuple[Any, ...]], chosen: set[int]
) -> None:
    """Whatever is stored late, or committed in another order than it was numbered."""
    topic = past.topic()
    past.begun.clear()
    positions: list[Position] = []
    for step, *about in history:
        if step == "store":
            user, age, number, begun = about
            positions.append(past.store(topic, user, age, begun=begun, n=number))
        elif step == "begin":
            past.begin(*about)
        elif step == "pass":
            past.clock.now += about[0]
        elif step == "begin anew":  # as on another connection
            past.cached.window = RecentWindow(DISTANCE)
        for number in chosen:
            if step == "ask" and positions:
                until = positions[about[1] % len(positions)]
                past.compare_fold(of(topic, about[0]), EXPRESSIONS[number], until)
            past.compare_fold(of(topic), EXPRESSIONS[number])


@pytest.mark.parametrize(
    ("text", "numbers", "expected"),
    [
        # What comes late belongs before what raises.
        ("any(m.msg['n'] / (m.msg['n'] - 3) for m in query)", (3, 1), "True"),
        ("sum(m.msg['n'] / 10 for m in query)", (3, 2, 1), "0.6"),
        ("max(m.msg['n'] for m in query)", ("a", 3), "TypeError"),
    ],
)
def test_a_late_message_is_added_where_it_belongs(
    past: Past, text: str, numbers: tuple[object, ...], expected: str
) -> None:
    topic, expression = past.topic(), operation(text)
    for late, n in enumerate(numbers):
        past.store(topic, "ann", 500 + late, n=n)
        for _ in range(3):
            past.compare_fold(of(topic), expression)

    found = outcome(past.cached.fold, expression, of(topic), make_message(), None, {})
    assert found.startswith(expected)


def asked(past: Past, topic: str, text: str = "len({m.msg['n'] for m in query.all()})") -> Any:
    return past.cached.fold(operation(text), of(topic, "ann"), make_message(), None, {})


def test_only_messages_since_the_cached_fold_are_read(past: Past) -> None:
    topic = past.topic()
    for age in (500, 400, 50):
        past.store(topic, "ann", age, n=age)
    for _ in range(2):
        assert asked(past, topic) == 3
    past.store(topic, "ann", n=1)

    with statements(past.url) as sent:
        assert asked(past, topic) == 4
    # What is new, and the content of that.
    assert len(sent) == 2
    with statements(past.url) as sent:
        assert asked(past, topic) == 4
    assert len(sent) == 1


def test_a_fold_that_is_not_kept_is_evaluated_over_all_messages(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folds, "MOST_DISTINCT", 2)
    topic = past.topic()
    for age in (500, 400, 300, 0):
        past.store(topic, "ann", age, n=age)
        past.compare_fold(of(topic, "ann"), NUMBERS)

    assert asked(past, topic) == 4


def test_the_folds_that_were_not_asked_for_longest_are_dropped(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold_cache, "_MOST_VALUES", 5)
    topics = [past.topic() for _ in range(3)]
    for topic in topics:
        for n in (1, 2):
            past.store(topic, "ann", 500, n=n)
        for _ in range(3):
            assert asked(past, topic) == 2

    folds = past.cached.folds
    assert folds is not None
    sizes = [each.running.size for each in folds._cached.values()]
    assert sizes == [2, 2]
    assert folds._size == 4


def test_folds_are_forgotten_with_the_history(past: Past) -> None:
    topic = past.topic()
    past.store(topic, "ann", 500, n=1)
    assert asked(past, topic) == 1

    past.cached.forget()
    past.store(topic, "ann", 400, n=2)

    assert asked(past, topic) == 2
