"""Rows that are committed late, or in another order than they were numbered, count exactly once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import make_settings, statements
from support.cached_history import DISTANCE, Past, of, passing
from support.databases import Databases
from support.optimisations import needs

from fedbadges.databases.connections import engine, reader
from fedbadges.history.window import late_messages, recent_window
from fedbadges.history.window import reader as window_reader
from fedbadges.history.window.recent_window import RecentWindow

pytestmark = needs("keep_counts")

#: Messages sent after the cutoff, in the window before it, and before the window.
AGES = [0.0, DISTANCE + 50, 50 * DISTANCE]

ALL = passing("all", lambda message: True)


@pytest.fixture
def past(database: Databases, tmp_path: Path) -> Iterator[Past]:
    made = Past(make_settings(database, tmp_path))
    # A new connection would make the window be read anew.
    with reader(made.url).connect():
        made.cached.count(of("none"))
    yield made
    for each in (engine(made.url), reader(made.url)):
        each.dispose()


@pytest.fixture
def sqlite_past(sqlite_database: Databases, tmp_path: Path) -> Past:
    return Past(make_settings(sqlite_database, tmp_path))


def counts(past: Past, topic: str, times: int = 3) -> list[int]:
    """Ask a few times, as what is read twice must not count twice."""
    return [past.cached.count(of(topic, "ann")) for _ in range(times)]


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize("seen", ["before the window was read", "since the window was read"])
def test_row_with_a_lower_number_than_others_that_were_seen_counts_once(
    past: Past, age: float, seen: str
) -> None:
    topic = past.topic()
    if seen == "before the window was read":
        past.begin(2)
        past.cached.window = RecentWindow(DISTANCE)
    past.store(topic, "ann", 5 * DISTANCE)
    assert counts(past, topic) == [1, 1, 1]
    if seen == "since the window was read":
        past.begin(2)
        assert counts(past, topic) == [1, 1, 1]

    past.store(topic, "ann", age, begun=1)
    assert counts(past, topic) == [2, 2, 2]
    past.store(topic, "ann", age, begun=0)
    assert counts(past, topic) == [3, 3, 3]

    past.clock.now += 2 * DISTANCE
    assert counts(past, topic) == [3, 3, 3]


@pytest.mark.parametrize("age", AGES)
def test_row_that_fills_a_gap_counts_once_for_a_test_of_each_message(
    past: Past, age: float
) -> None:
    topic = past.topic()
    past.store(topic, "ann", 5 * DISTANCE, n=1)
    past.begin(1)
    assert past.cached.count(of(topic), expression=ALL) == 1

    past.store(topic, "ann", age, begun=0, n=2)

    assert [past.cached.count(of(topic), expression=ALL) for _ in range(3)] == [2, 2, 2]


@pytest.mark.parametrize("age", AGES)
def test_late_row_counts_once_without_a_window(past: Past, age: float) -> None:
    """As where too many messages come for a window, or another thread loads it."""
    topic = past.topic()
    past.store(topic, "ann", 5 * DISTANCE)
    past.begin(1)
    assert counts(past, topic) == [1, 1, 1]

    past.cached.window = RecentWindow(DISTANCE)
    past.cached.window._resume = float("inf")
    assert counts(past, topic) == [1, 1, 1]
    past.store(topic, "ann", age, begun=0)
    past.store(topic, "ann", age)
    assert counts(past, topic) == [3, 3, 3]

    past.cached.window = RecentWindow(DISTANCE)
    assert counts(past, topic) == [3, 3, 3]


@pytest.mark.parametrize("age", AGES)
def test_late_rows_count_for_the_cached_counts_of_another_process(past: Past, age: float) -> None:
    """Its window knows of other late rows than this one's."""
    topic = past.topic()
    past.store(topic, "ann", 5 * DISTANCE)
    past.begin(1)
    assert counts(past, topic) == [1, 1, 1]
    past.store(topic, "ann", age, begun=0)
    past.store(topic, "ann", age)

    past.cached.window = RecentWindow(DISTANCE)

    assert counts(past, topic) == [3, 3, 3]
    past.store(topic, "ann", age)
    assert counts(past, topic) == [4, 4, 4]


@pytest.mark.parametrize("age", AGES)
def test_late_rows_count_once_though_there_are_too_many_to_hold(
    past: Past, age: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_messages, "_MOST", 2)
    topic, other = past.topic(), past.topic()
    past.store(topic, "ann", 5 * DISTANCE)
    past.store(other, "ann", 5 * DISTANCE)
    for number in range(2, 7):
        past.store(topic, "ann", age)
        assert counts(past, topic) == [number] * 3
        assert len(past.cached.window._late) <= 2

    assert counts(past, other) == [1, 1, 1]
    past.store(other, "ann", age)
    assert counts(past, other) == [2, 2, 2]


def test_late_row_counts_once_for_a_count_from_before_the_window(past: Past) -> None:
    topic, other = past.topic(), past.topic()
    past.store(topic, "ann", 5 * DISTANCE)
    assert counts(past, topic) == [1, 1, 1]
    past.clock.now += 20 * DISTANCE
    past.store(other, "ann")
    assert counts(past, other) == [1, 1, 1]

    past.store(topic, "ann", 30 * DISTANCE)

    assert counts(past, topic) == [2, 2, 2]


def test_count_up_to_a_message_has_neither_later_rows_of_its_time_nor_later_times(
    past: Past,
) -> None:
    topic = past.topic()
    positions = [past.store(topic, "ann", age) for age in (150, 150, 150, 140)]
    for _ in range(3):
        assert [past.cached.count(of(topic), until=each) for each in positions] == [1, 2, 3, 4]
    assert counts(past, topic) == [4, 4, 4]


def test_rows_that_are_there_when_the_window_is_read_are_not_late(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = past.topic()
    for age in AGES:
        past.store(topic, "ann", age)
    past.cached.window = RecentWindow(DISTANCE)

    assert counts(past, topic) == [3, 3, 3]

    assert len(past.cached.window._late) == 0


def test_number_is_asked_for_until_its_transaction_must_have_ended(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("fedbadges.history.window.recent_window.time.monotonic", lambda: now)
    topic = past.topic()
    past.begin(1)
    past.cached.window = RecentWindow(DISTANCE)
    assert counts(past, topic) == [0, 0, 0]
    assert past.cached.seen().gaps
    now += DISTANCE - 1
    assert counts(past, topic) == [0, 0, 0]
    assert past.cached.seen().gaps

    now += 2
    assert counts(past, topic) == [0, 0, 0]
    assert not past.cached.seen().gaps


def test_only_the_last_numbers_that_are_missing_are_asked_for(
    past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (recent_window, window_reader):
        monkeypatch.setattr(module, "LOOK_BACK", 5)
    topic = past.topic()
    past.store(topic, "ann")
    assert counts(past, topic) == [1, 1, 1]
    past.begin(3)
    assert counts(past, topic) == [1, 1, 1]
    past.begin(4)

    assert counts(past, topic) == [1, 1, 1]
    assert past.cached.seen().gaps == set(past.begun[-5:])


def test_number_that_appears_is_asked_for_no_longer(past: Past) -> None:
    topic = past.topic()
    past.store(topic, "ann")
    counts(past, topic)
    past.begin(1)
    counts(past, topic)
    past.store(topic, "ann", 0, begun=0)
    counts(past, topic)

    assert past.cached.seen().gaps == frozenset()
    with statements(past.url) as sent:
        counts(past, topic, 1)
    assert len(sent) == 1


@contextmanager
def once_executed(past: Past, part: str, act: Callable[[], object]) -> Iterator[None]:
    """Act once, after a statement that has this part and before what follows it."""
    pending = [act]

    def executed(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if part in statement and pending:
            pending.pop()()

    sa.event.listen(reader(past.url), "after_cursor_execute", executed)
    try:
        yield
    finally:
        sa.event.remove(reader(past.url), "after_cursor_execute", executed)
    assert not pending


@pytest.mark.parametrize("age", AGES[:2])
def test_row_that_is_committed_while_the_window_is_read_counts_once(
    sqlite_past: Past, age: float
) -> None:
    past = sqlite_past
    topic = past.topic()
    past.store(topic, "ann", 5 * DISTANCE)
    past.begin(1)
    counts(past, topic, 1)
    past.cached.window = RecentWindow(DISTANCE)

    with once_executed(past, "max(messages.id)", lambda: past.store(topic, "ann", age, begun=0)):
        past.cached.count(of(topic, "ann"))

    assert counts(past, topic) == [2, 2, 2]


@pytest.mark.parametrize("age", AGES)
def test_what_another_thread_has_read_meanwhile_counts_once(sqlite_past: Past, age: float) -> None:
    """The slow thread read before a gap was filled, and adds it when that was read."""
    past = sqlite_past
    topic = past.topic()
    past.store(topic, "ann", 5 * DISTANCE)
    counts(past, topic)
    past.begin(1)
    past.store(topic, "ann", age)

    def meanwhile() -> None:
        past.store(topic, "ann", age, begun=0)
        past.store(topic, "ann", age)
        with reader(past.url).connect() as connection:
            # As a connection that was in use before.
            connection.info[past.cached.window._known] = True
            with past.cached.window._updated(connection):
                pass
            with past.cached.window._updated(connection):
                pass

    with once_executed(past, "messages.id >", meanwhile):
        past.cached.count(of(topic, "ann"))

    assert counts(past, topic) == [4, 4, 4]
    past.clock.now += 2 * DISTANCE
    assert counts(past, topic) == [4, 4, 4]


def test_late_row_counts_though_there_are_more_new_ones_than_are_read_at_once(
    sqlite_past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_window, "_MOST", 10)
    monkeypatch.setattr(recent_window, "_MANY", 8)
    past, topic = sqlite_past, sqlite_past.topic()
    past.store(topic, "ann", 2 * DISTANCE)
    assert counts(past, topic) == [1, 1, 1]
    with past.plain._engine.begin() as connection:
        connection.execute(
            sa.text(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) "
                "INSERT INTO messages (id, i, topic, category, timestamp, msg) "
                "SELECT 1000 + i, 1, 'a.b', 'a', (SELECT max(timestamp) FROM messages), '{}' FROM n"
            )
        )
    past.store(topic, "ann", 2 * DISTANCE)

    assert counts(past, topic) == [2, 2, 2]
