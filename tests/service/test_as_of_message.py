"""A message is judged as of its place in the history, however late it is handled."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.bus import fedmsg_body
from support.daemon_restarts import HOUR, Start, after_first_pass, write_checkpoint
from support.databases import Databases, badges, store_message
from support.rules import rule, write_rules
from support.waiting import eventually

from fedbadges.service.daemon import Daemon

DAY = 86_400.0

CRITERIA = """
trigger: {topic: logger.edit}
criteria:
  datanommer:
    filter: {topics: ["%(topic)s"], users: ["%(msg.user)s"] WINDOW}
    operation: OPERATION
    condition: {CONDITION}
recipient: "%(msg.user)s"
"""


def edits(condition: str, operation: str = "count", window: str = "") -> str:
    text = CRITERIA.replace("CONDITION", condition).replace("OPERATION", operation)
    return text.replace(" WINDOW", window)


RULES = {
    "tenth": edits("equal to: 10"),
    "every-tenth": edits("lambda: value % 10 == 0"),
    "first-two": edits("less than: 3"),
    "no-third": edits("is not: 3"),
    "at-most-one": edits("less than or equal to: 1"),
    "ten": edits("greater than or equal to: 10"),
    "different": edits(
        "equal to: 10", "{lambda: \"len({each.msg['number'] for each in query.all()})\"}"
    ),
    "testing": edits(
        "equal to: 5", "{lambda: \"len([each for each in query.all() if each.msg['number'] % 2])\"}"
    ),
    "eager": edits("greater than or equal to: 4", window=", start: 7 days ago"),
}
EARNED = RULES.keys() - {"eager"}
TEXTS = {name: rule(name, body) for name, body in RULES.items()}

KEYS = {"keep_counts_distance": 60, "catchup_limit": 400 * DAY}


def bodies(count: int, apart: float) -> list[dict[str, Any]]:
    """Return the edits of somebody, the last one a second ago."""
    now = time.time() - 1
    return [
        fedmsg_body("logger.edit", {"user": "ann", "number": number}, "ann")
        | {"timestamp": now - (count - 1 - number) * apart}
        for number in range(count)
    ]


def held(database: Databases) -> set[str]:
    return set(badges(database, "ann"))


def stored(database: Databases, sent: list[dict[str, Any]]) -> None:
    for each in sent:
        store_message(database, each, ["ann"])


def caught_up(start: Start, database: Databases, directory: Path, sent: list[Any]) -> Daemon:
    """Store everything before the daemon starts."""
    stored(database, sent)
    write_checkpoint(directory, 100 * DAY)
    return after_first_pass(start(**KEYS))


def delivered_at_once(
    start: Start, database: Databases, directory: Path, sent: list[Any]
) -> Daemon:
    """Store everything before the bus delivers the first message."""
    daemon = after_first_pass(start(**KEYS, sweep_interval=3600))
    stored(database, sent)
    for each in sent:
        daemon.handle(each)
    return daemon


def delivered_one_by_one(
    start: Start, database: Databases, directory: Path, sent: list[Any]
) -> Daemon:
    """Deliver each message as soon as it is stored."""
    daemon = after_first_pass(start(**KEYS, sweep_interval=3600))
    for each in sent:
        stored(database, [each])
        daemon.handle(each)
    return daemon


@pytest.mark.parametrize("way", [caught_up, delivered_at_once, delivered_one_by_one])
def test_every_condition_is_judged_as_of_the_message(
    start: Start, database: Databases, tmp_path: Path, way: Callable[..., Daemon]
) -> None:
    write_rules(tmp_path / "rules", TEXTS)

    way(start, database, tmp_path, bodies(12, 0.01))

    eventually(lambda: held(database) >= EARNED, "the badges")
    assert held(database) == EARNED | {"eager"}


@pytest.mark.parametrize("way", [caught_up, delivered_at_once, delivered_one_by_one])
def test_window_ends_at_the_message_that_is_judged(
    start: Start, database: Databases, tmp_path: Path, way: Callable[..., Daemon]
) -> None:
    write_rules(tmp_path / "rules", TEXTS)

    way(start, database, tmp_path, bodies(12, 4 * DAY))

    eventually(lambda: held(database) >= EARNED, "the badges")
    assert held(database) == EARNED


def delivered(daemon: Daemon, database: Databases, each: dict[str, Any]) -> None:
    stored(database, [each])
    daemon.handle(each)


def test_what_was_judged_before_an_earlier_message_was_stored_is_judged_again(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    write_rules(tmp_path / "rules", {"third": rule("third", edits("equal to: 3"))})
    first, late, last = bodies(3, 1.0)
    daemon = after_first_pass(start(keep_counts_distance=60))
    delivered(daemon, database, first)
    delivered(daemon, database, last)
    assert held(database) == set()

    delivered(daemon, database, late)

    eventually(lambda: held(database) == {"third"}, "the badge")


def test_message_that_is_late_for_the_bus_too_counts_for_what_was_judged_before(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    write_rules(tmp_path / "rules", {"third": rule("third", edits("greater than: 2"))})
    first, late, last = bodies(3, 1.0)
    daemon = after_first_pass(start(keep_counts_distance=60))
    delivered(daemon, database, first)
    delivered(daemon, database, last)

    stored(database, [late])

    eventually(lambda: held(database) == {"third"}, "the badge")


def test_message_that_says_it_is_old_counts_for_itself_and_for_others(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    write_rules(tmp_path / "rules", {"third": rule("third", edits("greater than: 2"))})
    sent = bodies(4, 0.1)
    daemon = after_first_pass(start(keep_counts_distance=5, sweep_interval=3600))
    delivered(daemon, database, sent[0])
    delivered(daemon, database, sent[1])
    assert held(database) == set()

    delivered(daemon, database, sent[2] | {"timestamp": time.time() - HOUR})
    assert held(database) == set()
    delivered(daemon, database, sent[3])

    assert held(database) == {"third"}
