"""What is in hand, what came, and what is owed."""

import time
from dataclasses import replace

from support.builders import make_message

from fedbadges.messages import Message
from fedbadges.service.in_flight import InFlight


def sent_at(seconds: float, msg_id: str | None = "one") -> Message:
    return make_message(msg_id=msg_id, timestamp=seconds)


def look(ledger: InFlight, message: Message) -> tuple[bool, bool]:
    return ledger.look(message.msg_id or "", message.topic)


def test_what_came_is_known_and_in_hand_until_it_is_done() -> None:
    ledger, message = InFlight(), sent_at(50)
    assert look(ledger, message) == (False, False)

    ledger.begin(message)
    assert (look(ledger, message), ledger.oldest(), len(ledger)) == ((True, True), 50, 1)

    ledger.done(message)
    assert (look(ledger, message), ledger.oldest(), len(ledger)) == ((True, False), None, 0)


def test_it_knows_how_large_what_is_in_hand_is() -> None:
    ledger = InFlight()
    one, two, three = (replace(sent_at(50, msg_id), size=10) for msg_id in ("one", "two", "three"))
    for message in (one, two, three):
        ledger.begin(message)
    assert ledger.size == 30

    ledger.done(one)
    ledger.done(one)
    ledger.give_up(two)
    assert ledger.size == 10
    ledger.keep(three)
    assert ledger.size == 0


def test_what_is_in_hand_for_long_is_stuck() -> None:
    ledger = InFlight()
    message = replace(sent_at(50), received=time.monotonic() - 5)
    ledger.begin(message)
    ledger.begin(sent_at(50, "two"))
    assert ledger.stuck(4)
    assert not ledger.stuck(6)

    ledger.done(message)
    assert not ledger.stuck(4)


def test_what_is_forgotten_may_come_again_and_is_not_owed() -> None:
    ledger, message = InFlight(), sent_at(50)
    ledger.begin(message)

    ledger.forget(message)

    assert (look(ledger, message), ledger.oldest()) == ((False, False), None)


def test_what_is_given_up_is_owed_until_it_comes_again() -> None:
    ledger, message, again = InFlight(), sent_at(50), sent_at(50)
    ledger.begin(message)

    ledger.give_up(message)
    assert (look(ledger, message), ledger.oldest()) == ((False, False), 50)

    ledger.begin(again)
    ledger.done(again)
    assert ledger.oldest() is None


def test_what_is_given_up_is_owed_no_more_once_it_is_too_late() -> None:
    ledger = InFlight()
    for seconds, msg_id in ((50, "one"), (70, "two")):
        message = sent_at(seconds, msg_id)
        ledger.begin(message)
        ledger.give_up(message)

    ledger.write_off(60)

    assert ledger.oldest() == 70


def test_what_is_kept_is_owed_for_ever() -> None:
    ledger = InFlight()
    for seconds in (70, 50, 60):
        message = sent_at(seconds, str(seconds))
        ledger.begin(message)
        ledger.keep(message)

    ledger.write_off(time.time())

    assert (ledger.oldest(), len(ledger)) == (50, 0)


def test_a_message_that_comes_twice_is_in_hand_until_both_are_done() -> None:
    ledger, first, second = InFlight(), sent_at(50), sent_at(50)
    ledger.begin(first)
    ledger.begin(second)

    ledger.done(first)
    ledger.done(first)
    assert look(ledger, first) == (True, True)

    ledger.done(second)
    assert look(ledger, first) == (True, False)


def test_messages_without_an_id_are_each_owed() -> None:
    ledger, first, second = InFlight(), sent_at(50, None), sent_at(60, None)
    for message in (first, second):
        ledger.begin(message)
    ledger.give_up(second)

    ledger.done(first)

    assert ledger.oldest() == 60
