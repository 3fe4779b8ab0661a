"""Messages wait until datanommer has them, and not for one another."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future

import pytest
from support.builders import make_message
from support.waiting import TIMEOUT, eventually

from fedbadges.errors import Unavailable
from fedbadges.messages import Message, Position
from fedbadges.service.delay_queue import DelayQueue

NEVER = 3600.0


class Datanommer:
    """Tells what is stored; can be away."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.asked = 0
        self.failure: Exception | None = None

    def positions(self, messages: Iterable[Message]) -> dict[Message, Position]:
        self.asked += 1
        if self.failure:
            raise self.failure
        return {each: (each.sent, 1) for each in messages if each.msg_id in self.ids}


class Resumed:
    """Remembers which messages went on, and whether each was stored; can be made to block."""

    def __init__(self) -> None:
        self.made: list[tuple[str, bool]] = []
        self.blocked: dict[str, threading.Event] = {}

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.made]

    def add(self, queue: DelayQueue, msg_id: str) -> Future[bool]:
        """Adds a message; what it returns becomes done when the message has gone on."""
        done: Future[bool] = Future()

        def resume(position: Position | None) -> None:
            stored = position is not None
            if msg_id in self.blocked:
                self.blocked[msg_id].wait()
            self.made.append((msg_id, stored))
            done.set_result(stored)

        queue.add(make_message(msg_id=msg_id), resume)
        return done


Create = Callable[..., DelayQueue]


@pytest.fixture
def datanommer() -> Datanommer:
    return Datanommer()


@pytest.fixture
def resumed() -> Resumed:
    return Resumed()


@pytest.fixture
def create(datanommer: Datanommer) -> Iterator[Create]:
    queues: list[DelayQueue] = []

    def create_(
        delay: float = NEVER,
        limit: int = 100,
        backlog: Callable[[], int] = lambda: 0,
        workers: int = 1,
    ) -> DelayQueue:
        queue = DelayQueue(
            datanommer.positions, delay=delay, limit=limit, backlog=backlog, workers=workers
        )
        queue.start()
        queues.append(queue)
        return queue

    yield create_
    for queue in queues:
        queue.stop()


def asked_again(datanommer: Datanommer) -> None:
    """Waits until datanommer was asked for all that wait."""
    before = datanommer.asked
    eventually(lambda: datanommer.asked > before + 1, "another look")


def test_message_goes_on_when_it_is_stored(
    create: Create, datanommer: Datanommer, resumed: Resumed
) -> None:
    queue = create()
    done = resumed.add(queue, "a")
    asked_again(datanommer)
    assert resumed.made == []
    assert len(queue) == queue.unfinished == 1

    datanommer.ids.add("a")

    assert done.result(TIMEOUT) is True
    assert len(queue) == 0
    eventually(lambda: queue.unfinished == 0, "the end")


def test_message_does_not_wait_for_those_before_it(
    create: Create, datanommer: Datanommer, resumed: Resumed
) -> None:
    queue = create()
    resumed.add(queue, "late")
    datanommer.ids.add("stored")

    resumed.add(queue, "stored").result(TIMEOUT)

    assert resumed.names == ["stored"]


def test_messages_that_are_stored_together_go_on_in_their_order(
    create: Create, datanommer: Datanommer, resumed: Resumed
) -> None:
    queue = create()
    names = [str(number) for number in range(50)]
    waiting = [resumed.add(queue, name) for name in names]
    datanommer.ids.update(names)

    for each in waiting:
        each.result(TIMEOUT)

    assert resumed.names == names


def test_slow_message_holds_up_no_other_with_several_workers(
    create: Create, datanommer: Datanommer, resumed: Resumed
) -> None:
    queue = create(workers=2)
    resumed.blocked["slow"] = threading.Event()
    datanommer.ids |= {"slow", "quick"}
    slow = resumed.add(queue, "slow")

    resumed.add(queue, "quick").result(TIMEOUT)

    assert not slow.done()
    assert queue.unfinished >= 1
    resumed.blocked["slow"].set()
    slow.result(TIMEOUT)


def test_messages_go_on_after_the_delay_and_the_first_is_logged(
    create: Create, resumed: Resumed, log: pytest.LogCaptureFixture
) -> None:
    queue = create(delay=0.05)

    for name in ("a", "b\nc"):
        assert resumed.add(queue, name).result(TIMEOUT) is False

    assert log.messages == [
        "Datanommer is late, continuing without the message msg_id=a seconds=0.05"
    ]


def test_end_of_the_delays_is_logged_once(
    create: Create, datanommer: Datanommer, resumed: Resumed, log: pytest.LogCaptureFixture
) -> None:
    queue = create(delay=0.05)
    resumed.add(queue, "a").result(TIMEOUT)
    datanommer.ids.add("b")

    for _ in range(2):
        resumed.add(queue, "b").result(TIMEOUT)

    assert [record.levelname for record in log.records] == ["WARNING", "INFO"]
    assert log.messages[1] == "Datanommer is in time again"


def test_no_message_waits_above_the_limit(
    create: Create, resumed: Resumed, log: pytest.LogCaptureFixture
) -> None:
    queue = create(limit=3)
    waiting = [resumed.add(queue, str(number)) for number in range(3)]
    assert not any(each.done() for each in waiting)

    waiting.append(resumed.add(queue, "3"))

    for each in waiting:
        each.result(TIMEOUT)
    assert resumed.names == ["0", "1", "2", "3"]
    assert log.messages == []


def test_backlog_counts_towards_the_limit(
    create: Create, datanommer: Datanommer, resumed: Resumed
) -> None:
    backlog = 3
    queue = create(limit=3, backlog=lambda: backlog)

    resumed.add(queue, "a").result(TIMEOUT)
    backlog = 2
    resumed.add(queue, "b")
    asked_again(datanommer)

    assert resumed.names == ["a"]


def test_no_message_waits_with_a_limit_of_0(create: Create, resumed: Resumed) -> None:
    resumed.add(create(limit=0), "a").result(TIMEOUT)

    assert resumed.names == ["a"]


@pytest.mark.parametrize("failure", [Unavailable("away"), ValueError("permission denied")])
def test_messages_go_on_after_the_delay_if_datanommer_cannot_be_asked(
    create: Create, datanommer: Datanommer, resumed: Resumed, failure: Exception
) -> None:
    queue = create(delay=0.05)
    datanommer.failure = failure

    resumed.add(queue, "a").result(TIMEOUT)
    resumed.add(queue, "b").result(TIMEOUT)

    assert resumed.names == ["a", "b"]


def test_nothing_is_logged_with_a_delay_of_0(
    create: Create, resumed: Resumed, log: pytest.LogCaptureFixture
) -> None:
    resumed.add(create(delay=0), "a").result(TIMEOUT)

    assert log.messages == []


def test_stop_lets_all_messages_go_on(create: Create, resumed: Resumed) -> None:
    queue = create()
    waiting = [resumed.add(queue, str(number)) for number in range(5)]

    queue.stop()

    assert all(each.done() for each in waiting)
    assert resumed.made == [(str(number), False) for number in range(5)]


def test_no_message_waits_after_a_drain(create: Create, resumed: Resumed) -> None:
    queue = create()
    before = resumed.add(queue, "before")

    queue.drain()

    before.result(TIMEOUT)
    assert resumed.add(queue, "after").result(TIMEOUT) is False


def test_message_that_comes_after_the_stop_goes_on_at_once(
    create: Create, resumed: Resumed
) -> None:
    queue = create()
    queue.stop()

    assert resumed.add(queue, "late").done()


@pytest.mark.parametrize("attempt", range(20))
def test_no_message_is_lost_that_comes_during_the_stop(
    create: Create, resumed: Resumed, attempt: int
) -> None:
    queue = create()
    start = threading.Barrier(3)
    waiting: list[Future[bool]] = []

    def come() -> None:
        start.wait()
        waiting.extend(resumed.add(queue, str(number)) for number in range(20))

    threads = [threading.Thread(target=come) for _ in range(2)]
    for thread in threads:
        thread.start()
    start.wait()
    queue.stop()
    for thread in threads:
        thread.join()

    for each in waiting:
        each.result(TIMEOUT)
    assert len(resumed.made) == 40
    assert queue.unfinished == 0
