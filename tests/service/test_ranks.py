"""Ranks are adjusted after awards, for many at once."""

import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from support.builders import make_settings
from support.databases import Databases
from support.waiting import TIMEOUT, eventually

from fedbadges.config.settings import Settings
from fedbadges.errors import Unavailable
from fedbadges.messages import Notice
from fedbadges.service import ranks as module
from fedbadges.service.ranks import Ranks, ranks_turn


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
    monkeypatch.setattr(module, "_RETRY", 0.01)
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


@pytest.fixture
def settings(postgresql_database: Databases, tmp_path: Path) -> Settings:
    return make_settings(postgresql_database, tmp_path)


Make = Callable[..., Ranks]


@pytest.fixture
def make(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Start ranks, each as one of several daemons has them."""
    monkeypatch.setattr(module, "_POLL", 0.01)
    monkeypatch.setattr(module, "_GAP", 0.1)
    made: list[Ranks] = []

    def make_(leaderboard: Leaderboard, interval: float = 3600.0) -> Ranks:
        turn = partial(ranks_turn, settings)
        made.append(Ranks(leaderboard.adjust, lambda notice: None, interval, turn))
        made[-1].start()
        return made[-1]

    yield make_
    for each in made:
        each.stop()


def test_daemons_adjust_ranks_one_at_a_time(make: Make) -> None:
    boards = Leaderboard(), Leaderboard()
    one, other = map(make, boards)
    one.add(1)
    eventually(lambda: boards[0].computed, "the first adjustment")

    other.add(2)
    eventually(lambda: other.report()["waiting"], "the other daemon to wait")
    assert other.report() == {"people": 1, "waiting": True, "trouble": None}
    one.add(3)
    assert not boards[1].tries

    one.stop()
    eventually(lambda: boards[1].computed == [{2}], "the other daemon's turn")
    assert boards[0].computed == [{1}, {3}]
    assert other.report() == {"people": 0, "waiting": False, "trouble": None}


def test_daemon_that_always_has_awards_leaves_others_their_turn(make: Make) -> None:
    boards = Leaderboard(), Leaderboard()
    busy, other = (make(board, 0.3) for board in boards)
    busy.add(1)
    eventually(lambda: boards[0].computed, "the first adjustment")
    other.add(2)

    def turn() -> bool:
        busy.add(1)
        return bool(boards[1].computed)

    eventually(turn, "the other daemon's turn")


#: Importing no more than this takes, which is quicker.
_HOLD = """
import sys, time, psycopg2
with psycopg2.connect(sys.argv[1]) as connection, connection.cursor() as cursor:
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int(sys.argv[2])])
    print(*cursor.fetchone(), flush=True)
    time.sleep(3600)
"""


def test_another_daemon_adjusts_ranks_when_the_one_whose_turn_it_is_was_killed(
    make: Make, leaderboard: Leaderboard, postgresql_database: Databases
) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-c", _HOLD, postgresql_database.tahrir_url, str(module._LOCK)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "True\n"
        ranks = make(leaderboard)
        ranks.add(1)
        eventually(lambda: ranks.report()["waiting"], "the daemon to wait")
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait(TIMEOUT)

    eventually(lambda: leaderboard.computed == [{1}], "its turn")


def test_turn_that_cannot_be_taken_is_tried_again(
    leaderboard: Leaderboard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_RETRY", 0.01)
    caplog.set_level(logging.INFO, "fedbadges")
    tries: list[int] = []

    def turn() -> AbstractContextManager[bool]:
        tries.append(1)
        raise Unavailable("tahrir: away")

    ranks = Ranks(leaderboard.adjust, lambda notice: None, 0, turn)
    ranks.start()
    ranks.add(1)
    eventually(lambda: len(tries) > 2, "several tries")
    assert ranks.report() == {"people": 1, "waiting": False, "trouble": "tahrir: away"}
    ranks.stop()

    assert leaderboard.computed == [{1}]
    assert caplog.messages == [
        'Cannot adjust ranks, trying again later error="tahrir: away"',
        "Ranks are adjusted again",
    ]


def test_old_rank_is_that_before_the_first_award(leaderboard: Leaderboard) -> None:
    noted: list[dict[int, int | None]] = []
    ranks = Ranks(lambda people: noted.append(dict(people)) or [], lambda notice: None, 0)
    for rank in (3, 2):
        ranks.add(1, rank)
    ranks.add(2, None)
    ranks.start()
    ranks.stop()

    assert noted == [{1: 3, 2: None}]
