"""Counts that are kept equal counts that are not."""

import datetime
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from support.builders import make_message, make_settings, statements
from support.databases import Databases, create_schemas

from fedbadges.config.settings import Settings, read_settings
from fedbadges.errors import Unavailable
from fedbadges.history.count_cache import EXPIRY, CountCache, CountResult
from fedbadges.history.history import History
from fedbadges.rules.filters import FilledFilter
from fedbadges.util.caching import make_cache_region

DISTANCE = 100.0
START = 1_700_000_000.0


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class Past:
    """A history whose counts are kept by a clock of its own, beside one that keeps none."""

    def __init__(self, settings: Settings) -> None:
        self.clock = Clock()
        self.url = settings.history_url
        self.kept = History(settings)
        self.plain = History(replace(settings, keep_counts=False))
        region = make_cache_region("dogpile.cache.memory", {})
        self.kept._counts = CountCache(region, DISTANCE, self.clock)
        self._numbers = itertools.count()

    def store(self, topic: str, user: str, age: float = 0.0, **msg: Any) -> None:
        """Stores a message that was sent ``age`` seconds ago."""
        message = make_message(topic, msg, timestamp=self.clock.now - age)
        self.kept.record(message, [user], [])

    def topic(self) -> str:
        """Returns a topic that nobody has used."""
        return f"logger.t{next(self._numbers)}"


@pytest.fixture
def past(database: Databases, tmp_path: Path) -> Past:
    create_schemas(database)
    return Past(make_settings(database, tmp_path))


def of(topic: str, *users: str) -> FilledFilter:
    lists = [("topics", (f"org.fedoraproject.dev.{topic}",))]
    return FilledFilter((*lists, ("users", users)) if users else tuple(lists))


def odd(message: Any) -> bool:
    return message.msg["n"] % 2 == 1


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("store"),
            st.sampled_from(["ann", "bea"]),
            st.floats(0, DISTANCE - 1),
            st.integers(0, 9),
        ),
        st.tuples(st.just("pass"), st.floats(0, 3 * DISTANCE)),
        st.tuples(
            st.just("ask"),
            st.sampled_from([(), ("ann",), ("ann", "bea")]),
            st.sampled_from([None, 1, 2, 3, 50]),
            st.booleans(),
        ),
    ),
    max_size=25,
)


@given(history=steps)
@examples(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_what_is_kept_changes_no_answer(past: Past, history: list[tuple[Any, ...]]) -> None:
    topic = past.topic()
    for step, *about in history:
        if step == "store":
            user, age, number = about
            past.store(topic, user, age, n=number)
        elif step == "pass":
            past.clock.now += about[0]
        else:
            users, enough, tested = about
            filled = of(topic, *users)
            if tested:
                kept = past.kept.count_where(filled, odd, ("odd",), enough)
                plain = past.plain.count_where(filled, odd, ("odd",))
            else:
                kept, plain = past.kept.count(filled, enough), past.plain.count(filled)
            # Where there are enough, how many more there are is nobody's question.
            assert kept == plain or (enough is not None and kept >= enough and plain >= enough)


def test_only_what_came_since_is_asked_for(past: Past) -> None:
    topic = past.topic()
    for age in (500, 400, 50):
        past.store(topic, "ann", age)
    for _ in range(2):
        past.kept.count(of(topic, "ann"))

    with statements(past.url) as sent:
        assert past.kept.count(of(topic, "ann")) == 3
    assert len(sent) == 1
    assert "mark" in sent[0] or "messages.id >" in sent[0]


def test_no_more_is_counted_than_decides_the_condition(past: Past) -> None:
    topic = past.topic()
    for age in (500, 400, 300):
        past.store(topic, "ann", age)

    assert past.kept.count(of(topic, "ann"), enough=2) == 2
    assert past.plain.count(of(topic, "ann"), enough=2) == 2


@pytest.mark.parametrize("enough", [None, 3, 4])
def test_once_there_were_enough_nothing_is_asked(past: Past, enough: int | None) -> None:
    topic = past.topic()
    for age in (500, 400, 300, 0):
        past.store(topic, "ann", age)
    past.kept.count(of(topic, "ann"), enough)

    with statements(past.url) as sent:
        assert past.kept.count(of(topic, "ann"), enough=3) >= 3
    assert sent == []


def test_what_is_later_than_the_distance_counts_within_a_day(past: Past) -> None:
    topic = past.topic()
    past.store(topic, "ann", 500)
    past.kept.count(of(topic))
    past.store(topic, "ann", 400)

    past.clock.now += EXPIRY
    assert past.kept.count(of(topic)) == 2


def test_each_message_is_tested_once(past: Past) -> None:
    topic, tested = past.topic(), []

    def test(message: Any) -> bool:
        tested.append(message.msg["n"])
        return True

    past.store(topic, "ann", 500, n=1)
    past.kept.count_where(of(topic), test, ("all",))
    past.store(topic, "ann", 0, n=2)
    assert past.kept.count_where(of(topic), test, ("all",)) == 2
    assert tested == [1, 2]


def test_a_message_that_the_test_stumbles_over_does_not_count(
    past: Past, caplog: pytest.LogCaptureFixture
) -> None:
    topic = past.topic()
    past.store(topic, "ann", 500)
    for _ in range(3):
        past.store(topic, "ann", 400, n=1)

    for history in (past.kept, past.plain):
        assert history.count_where(of(topic), odd, ("odd",)) == 3
    assert (
        caplog.messages
        == ["Could not test a past message, it does not count operation=odd error=KeyError('n')"]
        * 2
    )


def test_different_questions_are_kept_apart(past: Past) -> None:
    topic = past.topic()
    past.store(topic, "ann", 500, n=1)
    past.store(topic, "bea", 500, n=2)

    assert past.kept.count(of(topic)) == 2
    assert past.kept.count(of(topic, "ann")) == 1
    assert past.kept.count_where(of(topic), odd, ("odd",)) == 1
    assert past.kept.count_where(of(topic), lambda message: True, ("all",)) == 2


def test_a_sliding_question_is_not_kept(past: Past) -> None:
    topic = past.topic()
    past.store(topic, "ann", 500)
    since = datetime.datetime(2000, 1, 1)
    sliding = replace(of(topic), start=since, end=datetime.datetime(9999, 1, 1), sliding=True)
    past.kept.count(sliding)
    past.store(topic, "ann", 400)

    assert past.kept.count(sliding) == 2


class Failing:
    """A region whose server is away."""

    def get(self, key: str) -> Any:
        raise ConnectionError("refused")

    def set(self, key: str, value: Any) -> None:
        raise ConnectionError("refused")


def tally(total: int) -> Callable[..., CountResult]:
    return lambda after, cutoff, limit: CountResult(total, total, True)


def test_without_its_cache_it_counts_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    counts = CountCache(Failing(), DISTANCE)  # type: ignore[arg-type]

    assert [counts.count("q", tally(7)) for _ in range(3)] == [7, 7, 7]
    assert caplog.messages == [
        "Could not use the cache, counting without it is slower error=ConnectionError('refused')"
    ]


@pytest.mark.parametrize("error", [Unavailable("datanommer"), RuntimeError("canceled")])
def test_what_goes_wrong_is_not_kept(error: Exception) -> None:
    def away(after: Any, cutoff: Any, limit: Any) -> CountResult:
        raise error

    counts = CountCache(make_cache_region("dogpile.cache.memory", {}), DISTANCE)
    with pytest.raises(type(error)):
        counts.count("q", away)
    assert counts.count("q", tally(1)) == 1


def test_a_file_keeps_counts_over_a_restart(tmp_path: Path) -> None:
    arguments = {"filename": str(tmp_path / "counts")}
    before = CountCache(make_cache_region("dogpile.cache.dbm", arguments), DISTANCE)
    before.count("q", tally(7))

    after = CountCache(make_cache_region("dogpile.cache.dbm", arguments), DISTANCE)
    assert after.count("q", tally(0)) == 7


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedbadges.util.caching._MAX_ENTRIES", 3)
    counts = CountCache(make_cache_region("dogpile.cache.memory", {}), DISTANCE)
    for number in range(5):
        counts.count(str(number), tally(1))

    assert [counts.count(str(number), tally(0)) for number in (4, 3, 2, 1, 0)] == [1, 1, 1, 0, 0]


def test_a_cache_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    from support.builders import make_config

    databases = Databases("sqlite", f"sqlite:///{tmp_path}/t.db", f"sqlite:///{tmp_path}/d.db")
    config = make_config(databases, tmp_path) | {"badges.cache": {"backend": "dogpile.cache.none"}}
    with pytest.raises(Exception, match=r"malformed key 'badges\.cache'"):
        read_settings(config)
