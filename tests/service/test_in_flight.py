"""Which messages are in flight, which came lately, and for which the checkpoint must wait."""

import time
from dataclasses import replace

from support.builders import make_message

from fedbadges.messages import Message
from fedbadges.service.in_flight import InFlight, Seen


def sent_at(seconds: float, msg_id: str | None = "one") -> Message:
    return make_message(msg_id=msg_id, timestamp=seconds)


def lookup(in_flight: InFlight, message: Message) -> Seen:
    return in_flight.lookup(message.msg_id or "", message.topic)


def test_message_is_in_flight_until_done_and_remembered_afterwards() -> None:
    in_flight, message = InFlight(), sent_at(50)
    assert lookup(in_flight, message) is Seen.NEVER

    in_flight.begin(message)
    assert lookup(in_flight, message) is Seen.IN_FLIGHT
    assert (in_flight.oldest_sent(), len(in_flight)) == (50, 1)

    in_flight.done(message)
    assert lookup(in_flight, message) is Seen.LATELY
    assert (in_flight.oldest_sent(), len(in_flight)) == (None, 0)


def test_message_done_before_it_was_stored_may_come_again() -> None:
    in_flight, message = InFlight(), sent_at(50)
    in_flight.begin(message)

    in_flight.done(message, stored=False)

    assert lookup(in_flight, message) is Seen.NEVER
    assert (in_flight.oldest_sent(), len(in_flight), in_flight.handled) == (None, 0, 1)


def test_size_adds_up_the_messages_in_flight() -> None:
    in_flight = InFlight()
    one, two, three = (replace(sent_at(50, msg_id), size=10) for msg_id in ("one", "two", "three"))
    for message in (one, two, three):
        in_flight.begin(message)
    assert in_flight.size == 30

    in_flight.done(one)
    in_flight.done(one)
    in_flight.requeue(two)
    assert in_flight.size == 10
    in_flight.leave_for_restart(three)
    assert in_flight.size == 0


def test_message_in_flight_for_too_long_is_stuck_until_done() -> None:
    in_flight = InFlight()
    message = replace(sent_at(50), received=time.monotonic() - 5)
    in_flight.begin(message)
    in_flight.begin(sent_at(50, "two"))
    assert in_flight.is_stuck(4)
    assert not in_flight.is_stuck(6)

    in_flight.done(message)
    assert not in_flight.is_stuck(4)


def test_released_message_may_come_again_and_holds_nothing_back() -> None:
    in_flight, message = InFlight(), sent_at(50)
    in_flight.begin(message)

    in_flight.release(message)

    assert (lookup(in_flight, message), in_flight.oldest_sent()) == (Seen.NEVER, None)


def test_requeued_message_holds_the_checkpoint_back_until_it_comes_again() -> None:
    in_flight, message, again = InFlight(), sent_at(50), sent_at(50)
    in_flight.begin(message)

    in_flight.requeue(message)
    assert (lookup(in_flight, message), in_flight.oldest_sent()) == (Seen.NEVER, 50)

    in_flight.begin(again)
    in_flight.done(again)
    assert in_flight.oldest_sent() is None


def test_requeued_messages_expire_by_when_they_were_sent() -> None:
    in_flight = InFlight()
    for seconds, msg_id in ((50, "one"), (70, "two")):
        message = sent_at(seconds, msg_id)
        in_flight.begin(message)
        in_flight.requeue(message)

    in_flight.expire_requeued(60)

    assert in_flight.oldest_sent() == 70


def test_message_left_for_the_restart_holds_the_checkpoint_back_for_ever() -> None:
    in_flight = InFlight()
    for seconds in (70, 50, 60):
        message = sent_at(seconds, str(seconds))
        in_flight.begin(message)
        in_flight.leave_for_restart(message)

    in_flight.expire_requeued(time.time())

    assert (in_flight.oldest_sent(), len(in_flight)) == (50, 0)


def test_message_that_comes_twice_is_in_flight_until_both_are_done() -> None:
    in_flight, first, second = InFlight(), sent_at(50), sent_at(50)
    in_flight.begin(first)
    in_flight.begin(second)

    in_flight.done(first)
    in_flight.done(first)
    assert lookup(in_flight, first) is Seen.IN_FLIGHT

    in_flight.done(second)
    assert lookup(in_flight, first) is Seen.LATELY


def test_messages_without_an_id_hold_the_checkpoint_back_each() -> None:
    in_flight, first, second = InFlight(), sent_at(50, None), sent_at(60, None)
    for message in (first, second):
        in_flight.begin(message)
    in_flight.requeue(second)

    in_flight.done(first)

    assert in_flight.oldest_sent() == 60


def test_requeued_message_without_an_id_is_not_taken_for_another_one() -> None:
    in_flight, first, second = InFlight(), sent_at(50, None), sent_at(60, None)
    in_flight.begin(first)
    in_flight.requeue(first)

    in_flight.begin(second)

    assert in_flight.oldest_sent() == 50


def test_message_without_an_id_is_known_by_its_row_number() -> None:
    in_flight, message = InFlight(), replace(sent_at(50, None), number=7)
    in_flight.begin(message)
    assert in_flight.lookup(None, message.topic, 7) is Seen.IN_FLIGHT

    in_flight.done(message)

    assert in_flight.lookup(None, message.topic, 7) is Seen.LATELY
    assert in_flight.lookup("", message.topic, 7) is Seen.LATELY
    assert in_flight.lookup("x" * 300, message.topic, 7) is Seen.LATELY
    assert in_flight.lookup(None, message.topic, 8) is Seen.NEVER
