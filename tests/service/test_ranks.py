"""Ranks are adjusted after awards, for many at once."""

import logging
import threading
import time
from collections.abc import Iterable, Iterator

import pytest
from support.waiting import eventually

from fedbadges.errors import Unavailable
from fedbadges.messages import Notice
from fedbadges.service.ranks import Ranks


class Leaderboard:
    """Remembers for whom it was computed; can be made to wait, or to fail."""

    def __init__(self) -> None:
        self.computed: list[set[int]] = []
        self.tries: list[float] = []
        self.failure: Exception | None = None
        self.free = threading.Event()
        self.free.set()

    def adjust(self, people: Iterable[int]) -> list[Notice]:
        self.tries.append(time.monotonic())
        if self.failure:
            raise self.failure
        self.computed.append(set(people))
        self.free.wait()
        return [Notice("person.rank.advance", {"id": number}) for number in people]


@pytest.fixture
def leaderboard() -> Leaderboard:
    return Leaderboard()


@pytest.fixture
def published() -> list[Notice]:
    return []


@pytest.fixture
def ranks(leaderboard: Leaderboard, published: list[Notice]) -> Iterator[Ranks]:
    made = Ranks(leaderboard.adjust, published.append, 0)
    made.start()
    yield made
    leaderboard.free.set()
    made.stop()


def test_rank_is_adjusted_and_published_after_an_award(
    ranks: Ranks, leaderboard: Leaderboard, published: list[Notice]
) -> None:
    ranks.add(7)

    eventually(lambda: published, "a notice")
    assert published == [Notice("person.rank.advance", {"id": 7})]
    assert leaderboard.computed == [{7}]


def test_awards_during_an_adjustment_are_adjusted_together(
    ranks: Ranks, leaderboard: Leaderboard
) -> None:
    leaderboard.free.clear()
    ranks.add(1)
    eventually(lambda: leaderboard.computed, "the first adjustment")

    for number in (2, 3, 2):
        ranks.add(number)
    leaderboard.free.set()

    eventually(lambda: len(leaderboard.computed) == 2, "the second adjustment")
    assert leaderboard.computed == [{1}, {2, 3}]


def test_ranks_are_adjusted_at_most_once_an_interval(
    leaderboard: Leaderboard,
) -> None:
    ranks = Ranks(leaderboard.adjust, lambda notice: None, 0.3)
    ranks.start()
    ranks.add(1)
    eventually(lambda: leaderboard.computed, "the first adjustment")
    ranks.add(2)
    ranks.add(3)
    eventually(lambda: len(leaderboard.computed) == 2, "the second adjustment")
    ranks.stop()

    first, second = leaderboard.tries
    assert second - first >= 0.29
    assert leaderboard.computed == [{1}, {2, 3}]


def test_no_rank_is_adjusted_without_an_award(leaderboard: Leaderboard) -> None:
    ranks = Ranks(leaderboard.adjust, lambda notice: None, 0)
    ranks.start()
    ranks.stop()

    assert leaderboard.tries == []


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Unavailable("tahrir: away"), '"tahrir: away"'),
        (ValueError("x\ny"), """\"ValueError('x\\\\ny')\""""),
    ],
)
def test_failure_is_logged_once_and_nobody_is_forgotten(
    ranks: Ranks,
    leaderboard: Leaderboard,
    published: list[Notice],
    failure: Exception,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("fedbadges.service.ranks._RETRY", 0.01)
    caplog.set_level(logging.INFO, "fedbadges")
    leaderboard.failure = failure
    ranks.add(1)
    eventually(lambda: len(leaderboard.tries) > 2, "several tries")
    ranks.add(2)

    leaderboard.failure = None

    eventually(lambda: len(published) == 2, "both notices")
    assert caplog.messages == [
        f"Cannot adjust ranks, trying again later error={words}",
        "Ranks are adjusted again",
    ]


def test_failed_adjustment_is_retried_after_a_pause_even_without_an_interval(
    ranks: Ranks, leaderboard: Leaderboard
) -> None:
    leaderboard.failure = Unavailable("away")
    ranks.add(1)

    eventually(lambda: len(leaderboard.tries) == 2, "the second try")

    first, second = leaderboard.tries
    assert second - first >= 0.99


def test_stop_adjusts_the_ranks_that_are_due(leaderboard: Leaderboard) -> None:
    ranks = Ranks(leaderboard.adjust, lambda notice: None, 3600)
    ranks.start()
    ranks.add(1)
    eventually(lambda: leaderboard.computed, "the first adjustment")
    ranks.add(2)

    ranks.stop()

    assert leaderboard.computed == [{1}, {2}]
