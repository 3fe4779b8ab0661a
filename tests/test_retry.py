"""Going on through an outage."""

import logging
import threading
from collections.abc import Callable

import pytest
from support.waiting import eventually

from fedbadges.errors import Stopped, Unavailable
from fedbadges.retry import OutageRetry, retry_failures


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "fedbadges")
    return caplog


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that are made; they take no time."""
    made: list[float] = []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            made.append(timeout or 0)
            return self.is_set()

    monkeypatch.setattr("fedbadges.retry.threading.Event", Stopping)
    monkeypatch.setattr("fedbadges.retry.random.uniform", lambda low, high: 1)
    return made


def failing(times: int) -> Callable[[], str]:
    """Returns a question that is answered after so many failures."""
    left = [Unavailable("tahrir: the server is away")] * times

    def ask() -> str:
        if left:
            raise left.pop()
        return "answer"

    return ask


def test_an_answer_is_given_at_once(pauses: list[float], log: pytest.LogCaptureFixture) -> None:
    assert OutageRetry().call(failing(0)) == "answer"

    assert pauses == []
    assert log.messages == []


def test_it_asks_until_there_is_an_answer_with_growing_pauses(pauses: list[float]) -> None:
    assert OutageRetry().call(failing(10)) == "answer"

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_once_it_is_stopped_what_fails_is_given_up_without_a_word(
    log: pytest.LogCaptureFixture,
) -> None:
    patience = OutageRetry()
    patience.stop()

    with pytest.raises(Stopped):
        patience.call(failing(1))
    assert log.messages == []


def test_an_outage_and_its_end_are_each_said_once(
    pauses: list[float], log: pytest.LogCaptureFixture
) -> None:
    OutageRetry().call(failing(5))

    assert [record.levelname for record in log.records] == ["WARNING", "INFO"]
    assert log.messages[0].startswith("Waiting, and trying again: tahrir: the server is away.")


def test_every_outage_is_said(pauses: list[float], log: pytest.LogCaptureFixture) -> None:
    patience = OutageRetry()

    patience.call(failing(2))
    patience.call(failing(2))

    assert [record.levelname for record in log.records] == ["WARNING", "INFO"] * 2


def test_a_connection_that_was_cut_is_no_outage(
    pauses: list[float], log: pytest.LogCaptureFixture
) -> None:
    assert OutageRetry().call(failing(1)) == "answer"

    assert pauses == []
    assert log.messages == []


def test_what_fails_for_another_reason_is_tried_three_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fedbadges.retry._PAUSE", 0)
    tries: list[int] = []

    def work(succeed: int) -> str:
        tries.append(1)
        if len(tries) < succeed:
            raise ValueError(f"try {len(tries)}")
        return "done"

    assert retry_failures(lambda: work(3)) == "done"
    tries.clear()
    with pytest.raises(ValueError, match="try 3"):
        retry_failures(lambda: work(4))


def test_an_outage_is_tried_once_here_and_again_by_who_is_patient() -> None:
    tries: list[int] = []

    def away() -> None:
        tries.append(1)
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        retry_failures(away)
    assert len(tries) == 1


def test_what_is_no_outage_is_raised(pauses: list[float]) -> None:
    def ask() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        OutageRetry().call(ask)
    assert pauses == []


def test_an_answer_to_somebody_else_does_not_end_the_outage(
    log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One database may be away while the other answers."""
    monkeypatch.setattr("fedbadges.retry._SHORTEST_PAUSE", 0.001)
    monkeypatch.setattr("fedbadges.retry._LONGEST_PAUSE", 0.001)
    patience = OutageRetry()
    back = threading.Event()
    tries: list[int] = []

    def ask() -> None:
        tries.append(1)
        if not back.is_set():
            raise Unavailable("datanommer: away")

    thread = threading.Thread(target=lambda: patience.call(ask))
    thread.start()
    eventually(lambda: len(tries) > 2, "several tries")
    for _ in range(3):
        patience.call(failing(0))
    patience.call(failing(2))
    seen = len(tries)
    eventually(lambda: len(tries) > seen + 1, "another try")
    assert [record.levelname for record in log.records] == ["WARNING"]

    back.set()
    thread.join()
    assert [record.levelname for record in log.records] == ["WARNING", "INFO"]


def test_who_waits_is_stopped() -> None:
    patience = OutageRetry()
    tried = threading.Event()
    raised: list[Exception] = []

    def ask() -> None:
        tried.set()
        raise Unavailable("away")

    def work() -> None:
        try:
            patience.call(ask)
        except Stopped as stopped:
            raised.append(stopped)

    thread = threading.Thread(target=work)
    thread.start()
    tried.wait()
    patience.stop()
    thread.join(20)

    assert len(raised) == 1


def test_after_the_stop_each_question_has_one_try() -> None:
    patience = OutageRetry()
    patience.stop()

    assert patience.call(failing(0)) == "answer"
    with pytest.raises(Stopped):
        patience.call(failing(1))


def test_a_stop_is_no_end_of_the_outage(pauses: list[float], log: pytest.LogCaptureFixture) -> None:
    patience = OutageRetry()

    def ask() -> None:
        if pauses:
            patience.stop()
        raise Unavailable("tahrir: the server is away")

    with pytest.raises(Stopped):
        patience.call(ask)

    assert [record.levelname for record in log.records] == ["WARNING"]
