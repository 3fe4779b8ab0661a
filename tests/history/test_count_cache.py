"""Cached counts equal uncached ones."""

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import make_settings, statements
from support.cached_history import DISTANCE, Past, of, passing
from support.databases import Databases
from support.optimisations import needs

from fedbadges.config.settings import read_settings
from fedbadges.databases.connections import engine
from fedbadges.errors import Unavailable
from fedbadges.history import counting
from fedbadges.history.count_cache import CountCache, CountResult
from fedbadges.history.horizon import Base, Horizon
from fedbadges.history.sql import FilterQuery
from fedbadges.history.window.recent_window import RecentWindow
from fedbadges.messages import Position
from fedbadges.util.caching import make_cache_region

pytestmark = needs("keep_counts")


@pytest.fixture
def past(sqlite_database: Databases, tmp_path: Path) -> Past:
    return Past(make_settings(sqlite_database, tmp_path))


@pytest.fixture
def sql_past(database: Databases, tmp_path: Path) -> Past:
    """The same, for tests of the SQL, on each kind of database."""
    return Past(make_settings(database, tmp_path))


ODD = passing("odd", lambda message: message.msg["n"] % 2 == 1)
ALL = passing("all", lambda message: True)


def test_only_messages_since_the_cached_count_are_read(sql_past: Past) -> None:
    topic = sql_past.topic()
    for age in (500, 400, 50):
        sql_past.store(topic, "ann", age)
    for _ in range(2):
        sql_past.cached.count(of(topic, "ann"))

    with statements(sql_past.url) as sent:
        assert sql_past.cached.count(of(topic, "ann")) == 3
    assert len(sent) == 1
    assert "mark" in sent[0] or "messages.id >" in sent[0]


def test_counting_stops_when_the_condition_is_decided(past: Past) -> None:
    topic = past.topic()
    for age in (500, 400, 300):
        past.store(topic, "ann", age)

    assert past.cached.count(of(topic, "ann"), enough=2) == 2
    assert past.plain.count(of(topic, "ann"), enough=2) == 2
    # What was left out then counts now.
    assert [past.cached.count(of(topic, "ann")) for _ in range(2)] == [3, 3]


@pytest.mark.parametrize("enough", [None, 3, 4])
def test_a_count_that_reached_the_limit_is_not_asked_again(past: Past, enough: int | None) -> None:
    topic = past.topic()
    for age in (500, 400, 300, 0):
        past.store(topic, "ann", age)
    past.cached.count(of(topic, "ann"), enough)

    with statements(past.url) as sent:
        assert past.cached.count(of(topic, "ann"), enough=3) >= 3
    assert sent == []


def test_backlog_asks_about_each_message_only_where_there_are_enough_by_now(past: Past) -> None:
    topic = past.topic()
    old = [past.store(topic, "ann", age) for age in (5 * DISTANCE, 4 * DISTANCE, 3 * DISTANCE)]
    past.cached.count(of(topic, "ann"))

    with statements(past.url) as sent:
        few = [past.cached.count(of(topic, "ann"), until=each, needed=4) for each in old]
    enough = [past.cached.count(of(topic, "ann"), until=each, needed=2) for each in old]

    assert max(few) < 4
    assert all("messages.id >" in each for each in sent), "only what is new is read"
    assert enough[0] < 2 <= min(enough[1:])


def test_count_that_is_enough_is_not_asked_again_after_a_backlog(past: Past) -> None:
    topic = past.topic()
    old = [past.store(topic, "ann", age) for age in (5 * DISTANCE, 4 * DISTANCE, 3 * DISTANCE)]
    new = past.store(topic, "ann", 0)
    past.cached.count(of(topic, "ann"), 3, until=old[0], needed=3)
    past.cached.count(of(topic, "ann"), 3, until=new, needed=3)

    with statements(past.url) as sent:
        assert past.cached.count(of(topic, "ann"), 3, until=new, needed=3) >= 3
    assert sent == []


def test_backlog_is_answered_from_the_cache_though_more_was_counted_for_a_later_message(
    past: Past,
) -> None:
    topic = past.topic()
    ages = (5 * DISTANCE, 4 * DISTANCE, 3 * DISTANCE, 2 * DISTANCE)
    *old, new = [past.store(topic, "ann", age) for age in ages]
    # Neither count goes on to the end, so there is no base.
    past.cached.count(of(topic, "ann"), 4, until=new)
    past.cached.count(of(topic, "ann"), 2, until=old[1])

    with statements(past.url) as sent:
        assert past.cached.count(of(topic, "ann"), 2, until=old[2]) >= 2
        assert past.cached.count(of(topic, "ann"), 4, until=new) >= 4
    assert sent == []


def test_base_with_more_than_enough_answers_without_a_query(sql_past: Past) -> None:
    """Also for a message from before the last one that was judged."""
    topic = sql_past.topic()
    for age in (500, 400, 300):
        sql_past.store(topic, "ann", age)
    earlier = sql_past.store(topic, "ann", 20)
    later = sql_past.store(topic, "ann", 10)
    # What messages contain is not in memory.
    filled = replace(of(topic), lists=(("contains", ("{}",)), *of(topic).lists))
    assert sql_past.cached.count(filled, 100, until=later) == 5

    with statements(sql_past.url) as sent:
        assert sql_past.cached.count(filled, 2, until=earlier) >= 2
    assert sent == []


@pytest.mark.parametrize("enough", [0, -1])
def test_nothing_is_counted_where_nothing_is_needed(sql_past: Past, enough: int) -> None:
    topic = sql_past.topic()
    sql_past.store(topic, "ann", 500)

    with statements(sql_past.url) as sent:
        for history in (sql_past.cached, sql_past.plain):
            assert history.count(of(topic, "ann"), enough) >= enough
    assert sent == []


def test_message_stored_long_after_it_was_sent_counts_at_once(sql_past: Past) -> None:
    topic = sql_past.topic()
    sql_past.store(topic, "ann", 500)
    sql_past.cached.count(of(topic))
    for age in (400, 100_000):
        sql_past.store(topic, "ann", age)

    with statements(sql_past.url) as sent:
        assert [sql_past.cached.count(of(topic)) for _ in range(3)] == [3, 3, 3]
    assert len(sent) == 3


def test_messages_are_counted_once_when_the_clock_steps_back(past: Past) -> None:
    topic = past.topic()
    past.cached.count(of(topic))
    past.clock.now += 500
    past.store(topic, "ann", age=DISTANCE + 50)
    assert past.cached.count(of(topic)) == 1

    # The cutoff is before the message again, and the cached count goes further.
    past.clock.now -= 200
    assert [past.cached.count(of(topic)) for _ in range(3)] == [1, 1, 1]


def test_an_operation_tests_each_message_once(past: Past) -> None:
    topic, tested = past.topic(), []

    def test(message: Any) -> bool:
        tested.append(message.msg["n"])
        return True

    past.store(topic, "ann", 500, n=1)
    past.cached.count(of(topic), expression=passing("all", test))
    past.store(topic, "ann", 0, n=2)
    assert past.cached.count(of(topic), expression=passing("all", test)) == 2
    assert tested == [1, 2]


def test_no_more_late_messages_are_held_than_are_few(
    sql_past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by an import: there may be millions, and they are streamed."""
    held: list[int] = []
    read = FilterQuery.messages

    def messages(query: FilterQuery, connection: Any) -> Any:
        rows = read(query, connection)
        if "stream_results" in connection.get_execution_options():
            return rows
        rows = list(rows)
        held.append(len(rows))
        return rows

    topic = sql_past.topic()
    sql_past.store(topic, "ann", 500, n=1)
    sql_past.compare(of(topic), expression=ODD)
    sql_past.cached.window = RecentWindow(DISTANCE)
    monkeypatch.setattr(counting, "_FEW", 3)
    monkeypatch.setattr(FilterQuery, "messages", messages)
    for age in range(400, 410):
        sql_past.store(topic, "ann", age, n=age)

    sql_past.compare(of(topic), expression=ODD)

    assert max(held) == 3


def test_a_message_for_which_the_test_raises_does_not_count(
    past: Past, caplog: pytest.LogCaptureFixture
) -> None:
    topic = past.topic()
    past.store(topic, "ann", 500)
    for _ in range(3):
        past.store(topic, "ann", 400, n=1)

    for history in (past.cached, past.plain):
        assert history.count(of(topic), expression=ODD) == 3
    assert (
        caplog.messages
        == ["Could not test a past message, it does not count operation=odd error=KeyError('n')"]
        * 2
    )


def test_different_questions_are_cached_separately(past: Past) -> None:
    topic = past.topic()
    past.store(topic, "ann", 500, n=1)
    past.store(topic, "bea", 500, n=2)

    assert past.cached.count(of(topic)) == 2
    assert past.cached.count(of(topic, "ann")) == 1
    assert past.cached.count(of(topic), expression=ODD) == 1
    assert past.cached.count(of(topic), expression=ALL) == 2


def test_a_sliding_count_is_not_cached(past: Past) -> None:
    topic = past.topic()
    past.store(topic, "ann", 500)
    since = datetime.datetime(2000, 1, 1)
    sliding = replace(of(topic), start=since, end=datetime.datetime(9999, 1, 1), sliding=True)
    past.cached.count(sliding)
    past.store(topic, "ann", 400)

    assert past.cached.count(sliding) == 2


class Failing:
    """A region whose server is away."""

    def get(self, key: str) -> Any:
        raise ConnectionError("refused")

    def set(self, key: str, value: Any) -> None:
        raise ConnectionError("refused")


def tally(total: int) -> Callable[..., CountResult]:
    return lambda base, cutoff, limit: CountResult(total, total, Base(cutoff, Horizon(0)))


def lose(past: Past, *lost: Position) -> None:
    """Delete the last rows, as by restoring a backup."""
    with engine(past.url).begin() as connection:
        for _, number in lost:
            for table, column in (("users_messages", "msg_id"), ("messages", "id")):
                connection.execute(
                    sa.text(f"DELETE FROM {table} WHERE {column} = :number"),  # noqa: S608
                    {"number": number},
                )


def test_count_is_made_anew_when_its_last_rows_are_gone(past: Past) -> None:
    topic = past.topic()
    past.store(topic, "ann", 500)
    lost = [past.store(topic, "ann", 400) for _ in range(3)]
    assert past.cached.count(of(topic)) == 4
    lose(past, *lost)
    past.cached.window = RecentWindow(DISTANCE)  # as on a new connection

    assert [past.cached.count(of(topic)) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("age", [10.0, 400.0])
def test_nothing_is_known_of_a_history_that_was_replaced_by_one_that_is_as_long(
    past: Past, age: float
) -> None:
    topic = past.topic()
    lost = [past.store(topic, "ann", age, n=1) for _ in range(3)]
    for _ in range(2):
        assert past.cached.count(of(topic)) == 3
        assert past.cached.count(of(topic), enough=3) == 3
        assert past.cached.count(of(topic), expression=ODD) == 3
    lose(past, *lost)
    for number in (1, 2, 2):
        past.store(past.topic() if number == 1 else topic, "bea", age, n=number)

    past.cached.forget()

    for _ in range(2):
        assert past.cached.count(of(topic)) == 2
        assert past.cached.count(of(topic), enough=3) == 2
        assert past.cached.count(of(topic), expression=ODD) == 0


def test_count_that_is_made_while_the_history_is_replaced_is_not_cached(past: Past) -> None:
    counts = past.cached.counts

    def replaced(base: Any, cutoff: Any, limit: Any) -> CountResult:
        counts.forget()
        return tally(7)(base, cutoff, limit)

    assert counts.count("q", replaced) == 7
    assert counts.count("q", tally(1)) == 1


def test_what_is_tested_while_the_history_is_replaced_is_forgotten(past: Past) -> None:
    topic = past.topic()
    past.cached.count(of(topic), expression=ODD)
    position = past.store(topic, "ann", 1, n=1)

    def replaced(message: Any) -> bool:
        past.cached.forget()
        return bool(message.msg["n"] % 2 == 1)

    assert past.cached.count(of(topic), expression=passing(ODD.text, replaced)) == 1
    past.lose(position[1])
    past.cached.count(of(topic), expression=ODD)
    past.store(topic, "ann", 1, n=2)

    assert past.cached.count(of(topic), expression=ODD) == 0


def test_counts_are_right_while_the_cache_is_away(caplog: pytest.LogCaptureFixture) -> None:
    counts = CountCache(Failing(), DISTANCE)  # type: ignore[arg-type]

    assert [counts.count("q", tally(7)) for _ in range(3)] == [7, 7, 7]
    assert caplog.messages == [
        "Could not use the cache, counting without it is slower error=ConnectionError('refused')"
    ]


def test_offer_to_a_cache_that_is_away_fails_so_that_it_is_made_again() -> None:
    counts = CountCache(Failing(), DISTANCE)  # type: ignore[arg-type]
    base = Base(datetime.datetime(2025, 1, 1), Horizon(1))

    with pytest.raises(ConnectionError, match="refused"):
        counts.offer("", "q", base, 7)


@pytest.mark.parametrize("error", [Unavailable("datanommer"), RuntimeError("canceled")])
def test_an_error_is_not_cached(error: Exception) -> None:
    def away(after: Any, cutoff: Any, limit: Any) -> CountResult:
        raise error

    counts = CountCache(make_cache_region("dogpile.cache.memory", {}), DISTANCE)
    with pytest.raises(type(error)):
        counts.count("q", away)
    assert counts.count("q", tally(1)) == 1


def test_a_cache_in_a_file_survives_a_restart(tmp_path: Path) -> None:
    arguments = {"filename": str(tmp_path / "counts")}
    before = CountCache(make_cache_region("dogpile.cache.dbm", arguments), DISTANCE)
    before.count("q", tally(7))

    after = CountCache(make_cache_region("dogpile.cache.dbm", arguments), DISTANCE)
    assert after.count("q", tally(0)) == 7


def test_a_cache_in_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedbadges.util.caching._MAX_ENTRIES", 3)
    counts = CountCache(make_cache_region("dogpile.cache.memory", {}), DISTANCE)
    for number in range(5):
        counts.count(str(number), tally(1))

    assert [counts.count(str(number), tally(0)) for number in (4, 3, 2, 1, 0)] == [1, 1, 1, 0, 0]


def test_an_unknown_cache_backend_is_a_configuration_mistake(tmp_path: Path) -> None:
    from support.builders import make_config

    databases = Databases("sqlite", f"sqlite:///{tmp_path}/t.db", f"sqlite:///{tmp_path}/d.db")
    config = make_config(databases, tmp_path) | {"badges.cache": {"backend": "dogpile.cache.none"}}
    with pytest.raises(Exception, match=r"malformed key 'badges\.cache'"):
        read_settings(config)


def test_row_that_another_process_has_counted_already_counts_once(
    sqlite_database: Databases, tmp_path: Path
) -> None:
    """This one has seen no more than that the number of the row was missing."""
    region = make_cache_region("dogpile.cache.memory", {})
    settings = make_settings(sqlite_database, tmp_path, cache={"backend": "dogpile.cache.memory"})
    past, other = Past(settings, region), Past(settings, region)
    topic = past.topic()
    past.begin(1)
    for each in (past, other):
        each.compare(of(topic))
    past.store(topic, "ann", 2 * DISTANCE, begun=0)
    question = of(topic, contains="{")
    other.compare(of(topic))
    other.compare(question)

    for _ in range(3):
        past.compare(question)


@pytest.mark.parametrize("tick", [-1e-6, 0.0, 1e-6])
def test_messages_at_the_very_end_of_a_base_count_once(past: Past, tick: float) -> None:
    topic = past.topic()
    positions = [past.store(topic, "ann", DISTANCE + tick) for _ in range(2)]
    for _ in range(3):
        past.compare(of(topic, "ann"))
        for until in (*positions, None):
            past.compare(of(topic), until=until)


def test_message_that_is_stored_late_at_the_very_end_of_a_base_counts_once(past: Past) -> None:
    topic = past.topic()
    past.store(topic, "ann", 2 * DISTANCE)
    for _ in range(2):
        past.compare(of(topic))
    past.store(topic, "ann", DISTANCE)

    for _ in range(2):
        past.compare(of(topic))
