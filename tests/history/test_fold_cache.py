"""Cached folds equal those over all messages, and read each message once."""

from pathlib import Path
from typing import Any

import pytest
from support.builders import make_message, make_settings, statements
from support.cached_history import Past, of, operation, outcome
from support.databases import Databases
from support.optimisations import needs

from fedbadges.history import fold_cache, fold_values

pytestmark = needs("keep_counts")

NUMBERS = operation("len({m.msg['n'] for m in query.all()})")


@pytest.fixture
def past(database: Databases, tmp_path: Path) -> Past:
    return Past(make_settings(database, tmp_path))


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
    monkeypatch.setattr(fold_values, "MOST_DISTINCT", 2)
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


def test_fold_that_is_computed_while_the_history_is_replaced_is_not_cached(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = past.topic()
    past.store(topic, "ann", 500, n=1)
    add = fold_cache._add

    def replaced(*about: Any) -> Any:
        past.cached.forget()
        return add(*about)

    with monkeypatch.context() as patched:
        patched.setattr(fold_cache, "_add", replaced)
        assert asked(past, topic) == 1

    assert past.cached.folds is not None
    assert not past.cached.folds._cached


def test_row_with_the_number_of_one_that_was_lost_is_read_anew(past: Past) -> None:
    topic, total = past.topic(), operation("sum(m.msg['n'] for m in query)")
    past.store(topic, "ann", 500, n=1)
    for n in (2, 3):
        position = past.store(topic, "ann", n=n)
        for _ in range(3):
            past.compare_fold(of(topic), total)
        past.lose(position[1])
        past.cached.forget()
