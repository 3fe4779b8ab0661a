"""The states of the daemon, and what is done when one is entered."""

import threading

import pytest
from support.waiting import eventually

from fedbadges.errors import CannotStart, Stopped
from fedbadges.service.lifecycle import Lifecycle, State


def fail() -> None:
    raise RuntimeError("no more threads")


@pytest.fixture
def lifecycle() -> Lifecycle:
    made = Lifecycle()
    made.enter(State.STARTING)
    return made


def test_actions_are_done_in_their_order_when_a_state_is_entered(lifecycle: Lifecycle) -> None:
    done: list[str] = []
    lifecycle.on(State.RUNNING, lambda: done.append("first"), lambda: done.append("second"))
    lifecycle.on(State.RUNNING, lambda: done.append("third"))

    assert lifecycle.enter(State.RUNNING)

    assert done == ["first", "second", "third"]
    assert lifecycle.wait_until_started()


def test_part_that_cannot_start_fails_the_start_and_stops_those_before_it(
    lifecycle: Lifecycle, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    lifecycle.on(State.RUNNING, lambda: done.append("start"), fail, lambda: done.append("never"))
    lifecycle.on(State.FAILED, lambda: done.append("stop"))
    waiters: list[Exception] = []

    def wait() -> None:
        try:
            lifecycle.wait_until_started()
        except CannotStart as error:
            waiters.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    with pytest.raises(CannotStart, match="no more threads"):
        lifecycle.enter(State.RUNNING)
    waiter.join(10)

    assert done == ["start", "stop"]
    assert lifecycle.state is State.FAILED
    assert [str(error) for error in waiters] == ["RuntimeError('no more threads')"]
    assert "Cannot start error=" in caplog.text


def test_part_that_does_not_stop_keeps_no_other_from_stopping(
    lifecycle: Lifecycle, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    lifecycle.on(State.DRAINING, fail, lambda: done.append("drain"))
    lifecycle.on(State.STOPPED, fail, lambda: done.append("stop"))
    lifecycle.enter(State.RUNNING)

    lifecycle.stop()

    assert done == ["drain", "stop"]
    assert lifecycle.stopped.is_set()
    assert caplog.text.count("A part of the daemon did not stop") == 2


def test_second_stop_waits_for_the_first(lifecycle: Lifecycle) -> None:
    stopping, may_end = threading.Event(), threading.Event()
    lifecycle.on(State.STOPPED, stopping.set, may_end.wait)
    lifecycle.enter(State.RUNNING)
    first, second = (threading.Thread(target=lifecycle.stop) for _ in range(2))
    first.start()
    assert stopping.wait(10)

    second.start()
    second.join(0.1)
    assert second.is_alive()
    may_end.set()

    first.join(10)
    second.join(10)
    assert not second.is_alive()


def test_stop_before_the_start_settles_it(lifecycle: Lifecycle) -> None:
    lifecycle.stop()

    assert isinstance(lifecycle.started.exception(0), Stopped)
    assert not lifecycle.wait_until_started()
    assert not lifecycle.enter(State.RUNNING)


def test_failed_daemon_can_be_stopped(lifecycle: Lifecycle) -> None:
    lifecycle.fail(CannotStart("no"))

    stop = threading.Thread(target=lifecycle.stop)
    stop.start()

    eventually(lambda: lifecycle.state is State.STOPPED, "the end")
    stop.join(10)
    with pytest.raises(CannotStart, match="no"):
        lifecycle.wait_until_started()
