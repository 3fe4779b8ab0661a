"""Retry and back-off."""

import logging
import threading
from collections.abc import Callable

import pytest
from support.waiting import TIMEOUT, eventually

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
    return made


def failing(times: int) -> Callable[[], str]:
    """Returns a question that is answered after so many failures."""
    left = [Unavailable("tahrir: the server is away")] * times

    def ask() -> str:
        if left:
            raise left.pop()
        return "answer"

    return ask


def test_answer_is_returned_without_a_pause(
    pauses: list[float], log: pytest.LogCaptureFixture
) -> None:
    assert OutageRetry().call(failing(0)) == "answer"

    assert pauses == []
    assert log.messages == []


def test_outage_is_waited_out_with_exponential_back_off_and_jitter(pauses: list[float]) -> None:
    assert OutageRetry().call(failing(10)) == "answer"

    expected = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert len(pauses) == len(expected)
    for pause, least in zip(pauses, expected, strict=True):
        assert least <= pause <= least + 0.5
    # Several daemons do not ask in step.
    assert len(set(pauses)) == len(pauses)


def test_nothing_is_retried_or_logged_after_the_stop(
    log: pytest.LogCaptureFixture,
) -> None:
    outages = OutageRetry()
    outages.stop()

    with pytest.raises(Stopped):
        outages.call(failing(1))
    assert log.messages == []


def test_begin_and_end_of_an_outage_are_logged_once(
    pauses: list[float], log: pytest.LogCaptureFixture
) -> None:
    OutageRetry().call(failing(5))

    assert [record.levelname for record in log.records] == ["WARNING", "INFO"]
    assert log.messages[0] == ('Waiting for an outage to end error="tahrir: the server is away"')


def test_each_outage_is_logged(pauses: list[float], log: pytest.LogCaptureFixture) -> None:
    outages = OutageRetry()

    outages.call(failing(2))
    outages.call(failing(2))

    assert [record.levelname for record in log.records] == ["WARNING", "INFO"] * 2


def test_connection_that_was_cut_is_no_outage(
    pauses: list[float], log: pytest.LogCaptureFixture
) -> None:
    assert OutageRetry().call(failing(1)) == "answer"

    assert pauses == []
    assert log.messages == []


def test_other_failures_are_tried_three_times(
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


def test_outage_is_not_retried_as_a_failure() -> None:
    tries: list[int] = []

    def away() -> None:
        tries.append(1)
        raise Unavailable("away")

    with pytest.raises(Unavailable):
        retry_failures(away)
    assert len(tries) == 1


def test_other_errors_than_outages_are_raised(pauses: list[float]) -> None:
    def ask() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        OutageRetry().call(ask)
    assert pauses == []


def test_answer_to_another_question_does_not_end_the_outage(
    log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One database may be away while the other answers."""
    monkeypatch.setattr("fedbadges.retry._INITIAL_PAUSE", 0.001)
    monkeypatch.setattr("fedbadges.retry._JITTER", 0)
    outages = OutageRetry()
    back = threading.Event()
    tries: list[int] = []

    def ask() -> None:
        tries.append(1)
        if not back.is_set():
            raise Unavailable("datanommer: away")

    thread = threading.Thread(target=lambda: outages.call(ask))
    thread.start()
    eventually(lambda: len(tries) > 2, "several tries")
    for _ in range(3):
        outages.call(failing(0))
    outages.call(failing(2))
    seen = len(tries)
    eventually(lambda: len(tries) > seen + 1, "another try")
    assert [record.levelname for record in log.records] == ["WARNING"]

    back.set()
    thread.join()
    assert [record.levelname for record in log.records] == ["WARNING", "INFO"]


def test_stop_ends_the_wait() -> None:
    outages = OutageRetry()
    tried = threading.Event()
    raised: list[Exception] = []

    def ask() -> None:
        tried.set()
        raise Unavailable("away")

    def work() -> None:
        try:
            outages.call(ask)
        except Stopped as stopped:
            raised.append(stopped)

    thread = threading.Thread(target=work)
    thread.start()
    tried.wait()
    outages.stop()
    thread.join(TIMEOUT)

    assert len(raised) == 1


def test_each_question_is_tried_once_after_the_stop() -> None:
    outages = OutageRetry()
    outages.stop()

    assert outages.call(failing(0)) == "answer"
    with pytest.raises(Stopped):
        outages.call(failing(1))


def test_stop_is_not_logged_as_the_end_of_an_outage(
    pauses: list[float], log: pytest.LogCaptureFixture
) -> None:
    outages = OutageRetry()

    def ask() -> None:
        if pauses:
            outages.stop()
        raise Unavailable("tahrir: the server is away")

    with pytest.raises(Stopped):
        outages.call(ask)

    assert [record.levelname for record in log.records] == ["WARNING"]
