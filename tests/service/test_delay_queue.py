"""Cases wait until datanommer has their message, and not for one another."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest
from support.builders import make_message
from support.waiting import eventually

from fedbadges.engine.engine import Candidates
from fedbadges.errors import Unavailable
from fedbadges.service.delay_queue import DelayQueue

NEVER = 3600.0


class Datanommer:
    """Tells what is stored; can be away."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.asked = 0
        self.failure: Exception | None = None

    def stored(self, msg_ids: Iterable[str]) -> set[str]:
        self.asked += 1
        if self.failure:
            raise self.failure
        return self.ids & set(msg_ids)


class Decisions:
    """Remembers which messages were decided on; can be made to wait, or to fail."""

    def __init__(self) -> None:
        self.made: list[str | None] = []
        self.blocked: dict[str, threading.Event] = {}

    def decide(self, case: Candidates) -> None:
        event = self.blocked.get(str(case.message.msg_id))
        if event:
            event.wait()
        if case.message.msg_id == "bad":
            raise ValueError("bad")
        self.made.append(case.message.msg_id)


def case(msg_id: str | None) -> Candidates:
    return Candidates(make_message(msg_id=msg_id), ())


Open = Callable[..., DelayQueue]


@pytest.fixture
def datanommer() -> Datanommer:
    return Datanommer()


@pytest.fixture
def decisions() -> Decisions:
    return Decisions()


@pytest.fixture
def open_room(datanommer: Datanommer, decisions: Decisions) -> Iterator[Open]:
    rooms: list[DelayQueue] = []

    def open_(
        delay: float = NEVER,
        limit: int = 100,
        backlog: Callable[[], int] = lambda: 0,
        workers: int = 1,
    ) -> DelayQueue:
        room = DelayQueue(
            datanommer.stored,
            decisions.decide,
            delay=delay,
            limit=limit,
            backlog=backlog,
            workers=workers,
        )
        room.start()
        rooms.append(room)
        return room

    yield open_
    for room in rooms:
        room.stop()


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "fedbadges")
    return caplog


def asked_again(datanommer: Datanommer) -> None:
    """Waits until everybody who is there was asked for."""
    before = datanommer.asked
    eventually(lambda: datanommer.asked > before + 1, "another look")


def test_a_case_is_decided_when_its_message_is_stored(
    open_room: Open, datanommer: Datanommer, decisions: Decisions
) -> None:
    room = open_room()
    decided = room.admit(case("a"))
    asked_again(datanommer)
    assert decisions.made == []
    assert len(room) == 1

    datanommer.ids.add("a")

    decided.result(20)
    assert decisions.made == ["a"]
    assert len(room) == 0


def test_a_case_does_not_wait_for_those_before_it(
    open_room: Open, datanommer: Datanommer, decisions: Decisions
) -> None:
    room = open_room()
    room.admit(case("late"))
    datanommer.ids.add("stored")

    room.admit(case("stored")).result(20)

    assert decisions.made == ["stored"]


def test_cases_that_are_stored_together_are_decided_in_their_order(
    open_room: Open, datanommer: Datanommer, decisions: Decisions
) -> None:
    room = open_room()
    names = [str(number) for number in range(50)]
    waiting = [room.admit(case(name)) for name in names]
    datanommer.ids.update(names)

    for each in waiting:
        each.result(20)

    assert decisions.made == names


def test_with_several_workers_a_slow_decision_holds_up_nobody(
    open_room: Open, datanommer: Datanommer, decisions: Decisions
) -> None:
    room = open_room(workers=2)
    decisions.blocked["slow"] = threading.Event()
    datanommer.ids |= {"slow", "quick"}
    slow = room.admit(case("slow"))

    room.admit(case("quick")).result(20)

    assert not slow.done()
    decisions.blocked["slow"].set()
    slow.result(20)


def test_after_the_delay_it_goes_on_and_says_so_once(
    open_room: Open, decisions: Decisions, log: pytest.LogCaptureFixture
) -> None:
    room = open_room(delay=0.05)

    for name in ("a", "b\nc"):
        room.admit(case(name)).result(20)

    assert decisions.made == ["a", "b\nc"]
    (line,) = log.messages
    assert line.startswith("datanommer had not stored 'a' within 0.05 s; going on without")


def test_that_it_is_in_time_again_is_said_too(
    open_room: Open, datanommer: Datanommer, log: pytest.LogCaptureFixture
) -> None:
    room = open_room(delay=0.05)
    room.admit(case("a")).result(20)
    datanommer.ids.add("b")

    for _ in range(2):
        room.admit(case("b")).result(20)

    assert [record.levelname for record in log.records] == ["WARNING", "INFO"]
    assert log.messages[1] == "datanommer stores messages in time again"


def test_above_the_limit_nobody_waits(
    open_room: Open, decisions: Decisions, log: pytest.LogCaptureFixture
) -> None:
    room = open_room(limit=3)
    waiting = [room.admit(case(str(number))) for number in range(3)]
    assert not any(each.done() for each in waiting)

    waiting.append(room.admit(case("3")))

    for each in waiting:
        each.result(20)
    assert decisions.made == ["0", "1", "2", "3"]
    assert log.messages == []


def test_messages_that_the_hub_still_has_count_too(
    open_room: Open, datanommer: Datanommer, decisions: Decisions
) -> None:
    backlog = 3
    room = open_room(limit=3, backlog=lambda: backlog)

    room.admit(case("a")).result(20)
    backlog = 2
    room.admit(case("b"))
    asked_again(datanommer)

    assert decisions.made == ["a"]


def test_a_limit_of_nothing_means_that_nobody_ever_waits(
    open_room: Open, decisions: Decisions
) -> None:
    open_room(limit=0).admit(case("a")).result(20)

    assert decisions.made == ["a"]


@pytest.mark.parametrize("failure", [Unavailable("away"), ValueError("permission denied")])
def test_who_cannot_be_asked_for_waits_no_longer_than_others(
    open_room: Open, datanommer: Datanommer, decisions: Decisions, failure: Exception
) -> None:
    room = open_room(delay=0.05)
    datanommer.failure = failure

    room.admit(case("a")).result(20)
    room.admit(case("b")).result(20)

    assert decisions.made == ["a", "b"]


def test_a_decision_that_fails_is_told_to_who_waits_for_it_and_costs_nobody_else(
    open_room: Open, datanommer: Datanommer, decisions: Decisions, log: pytest.LogCaptureFixture
) -> None:
    room = open_room()
    datanommer.ids |= {"bad", "good"}
    bad, good = room.admit(case("bad")), room.admit(case("good"))

    with pytest.raises(ValueError, match="bad"):
        bad.result(20)
    good.result(20)

    assert decisions.made == ["good"]
    assert log.messages == []


def test_the_stop_has_everybody_decided_without_further_waiting(
    open_room: Open, decisions: Decisions, log: pytest.LogCaptureFixture
) -> None:
    room = open_room()
    waiting = [room.admit(case(str(number))) for number in range(5)]

    room.stop()

    assert all(each.done() for each in waiting)
    assert decisions.made == ["0", "1", "2", "3", "4"]
    (line,) = log.messages
    assert line.startswith("Stopping: did not wait for datanommer to store 5 messages")
    assert line.endswith(": '0', '1', '2', '3', '4'")


def test_of_very_many_who_were_not_waited_for_some_are_named(
    open_room: Open, log: pytest.LogCaptureFixture
) -> None:
    room = open_room(limit=1000)
    for number in range(500):
        room.admit(case(str(number)))

    room.stop()

    (line,) = log.messages
    assert "500 messages" in line
    assert line.endswith("'8', '9' …")


def test_who_is_stored_as_it_stops_was_not_decided_in_a_hurry(
    open_room: Open, datanommer: Datanommer, log: pytest.LogCaptureFixture
) -> None:
    room = open_room()
    datanommer.ids.add("a")
    room.admit(case("a")).result(20)

    room.stop()

    assert log.messages == []


def test_after_a_hurry_nobody_waits(
    open_room: Open, decisions: Decisions, log: pytest.LogCaptureFixture
) -> None:
    room = open_room()
    before = room.admit(case("before"))

    room.hurry()

    before.result(20)
    room.admit(case("after")).result(20)
    assert sorted(map(str, decisions.made)) == ["after", "before"]
    assert log.messages == []
    room.stop()
    assert "2 messages" in log.messages[0]


def test_where_nobody_is_to_wait_nothing_is_said_of_it(
    open_room: Open, log: pytest.LogCaptureFixture
) -> None:
    open_room(delay=0).admit(case("a")).result(20)

    assert log.messages == []


def test_who_comes_after_the_stop_is_decided_at_once(open_room: Open, decisions: Decisions) -> None:
    room = open_room()
    room.stop()

    assert room.admit(case("late")).done()
    assert decisions.made == ["late"]


@pytest.mark.parametrize("attempt", range(20))
def test_nobody_is_forgotten_who_comes_as_it_stops(
    open_room: Open, decisions: Decisions, attempt: int
) -> None:
    room = open_room()
    start = threading.Barrier(3)
    waiting: list = []

    def come() -> None:
        start.wait()
        waiting.extend(room.admit(case(str(number))) for number in range(20))

    threads = [threading.Thread(target=come) for _ in range(2)]
    for thread in threads:
        thread.start()
    start.wait()
    room.stop()
    for thread in threads:
        thread.join()

    for each in waiting:
        each.result(20)
    assert len(decisions.made) == 40
