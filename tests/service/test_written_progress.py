"""The daemon tells tahrir how far people are, behind the awards."""

import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.builders import make_message, make_rule, make_settings, statements
from support.bus import fedmsg_body
from support.databases import Databases, badges, store_message
from support.publisher import FakePublisher
from support.rules import counting_rule, rule, write_rules
from support.waiting import eventually
from tahrir_api.model import CurrentValue, Person

from fedbadges.config.settings import Settings
from fedbadges.databases.connections import engine
from fedbadges.engine.engine import Triggered
from fedbadges.errors import Unavailable
from fedbadges.service import current_values as module
from fedbadges.service.current_values import CurrentValues
from fedbadges.service.daemon import Daemon

TOPIC = "logger.made"
DAY = 86_400.0

RECENT = """
trigger: {topic: logger.made}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(username)s"], start: 2 days ago}
  operation: count
  condition: {greater than or equal to: 4}
"""
DIFFERENT = """
trigger: {topic: logger.made}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(username)s"]}
  operation:
    lambda: "len(set(m.msg['page'] for m in query.all()))"
  condition: {greater than: 4}
"""
LAST = """
trigger: {topic: logger.made}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(username)s"]}
  operation: count
  condition: {equal to: 7}
"""
RULES = {
    "few": counting_rule("Few", TOPIC, 2),
    "many": counting_rule("Many", TOPIC, 50),
    "recent": rule("Recent", RECENT),
    "different": rule("Different", DIFFERENT),
    "last": rule("Last", LAST),
}


def made(username: str, age: float = 0.0, page: int = 0) -> dict[str, Any]:
    body = fedmsg_body(TOPIC, {"user": username, "page": page}, username)
    return body | {"timestamp": time.time() - age}


def values(databases: Databases) -> dict[tuple[str, str], int]:
    joined = sa.select(Person.nickname, CurrentValue.badge_id, CurrentValue.value).join(
        Person, Person.id == CurrentValue.person_id
    )
    with engine(databases.tahrir_url).connect() as connection:
        return {(row.nickname, row.badge_id): row.value for row in connection.execute(joined)}


def add_person(databases: Databases, name: str) -> None:
    with engine(databases.tahrir_url).begin() as connection:
        connection.execute(
            sa.insert(Person.__table__).values(email=f"{name}@example.org", nickname=name)
        )


Make = Callable[..., Daemon]


@pytest.fixture
def make(database: Databases, tmp_path: Path) -> Iterator[Make]:
    """Start daemons over the same databases, which write when they stop."""
    write_rules(tmp_path / "rules", RULES)
    started: list[Daemon] = []
    add_person(database, "alice")

    def make_(**keys: Any) -> Daemon:
        settings = make_settings(
            database, tmp_path / "rules", record_messages=True, reload=False, **keys
        )
        # A sweep would judge some of the messages again.
        daemon = Daemon(settings, FakePublisher(), redelivered=True)
        started.append(daemon)
        daemon.start()
        assert daemon.started.result(60) is None
        return daemon

    yield make_
    for daemon in started:
        daemon.stop()


def test_value_is_how_many_the_person_has_and_ends_where_the_badge_is_earned(
    make: Make, database: Databases
) -> None:
    daemon = make(progress=True)
    for page in (1, 2, 2):
        daemon.handle_acknowledged(made("alice", page=page))
    daemon.stop()

    assert list(badges(database, "alice")) == ["few"]
    assert values(database) == {
        ("alice", "few"): 2,
        ("alice", "many"): 3,
        ("alice", "recent"): 3,
        ("alice", "different"): 2,
    }


def test_rules_of_a_series_are_counted_as_far_as_each_needs(
    make: Make, database: Databases
) -> None:
    for _ in range(5):
        store_message(database, made("alice", age=DAY), ["alice"])
    daemon = make(progress=True, keep_counts=False)
    daemon.handle_acknowledged(made("alice"))
    daemon.stop()

    assert values(database)["alice", "few"] == 2
    assert values(database)["alice", "many"] == 6


def test_value_falls_with_the_window_of_its_rule(make: Make, database: Databases) -> None:
    daemon = make(progress=True)
    for _ in range(3):
        daemon.handle_acknowledged(made("alice", age=3 * DAY))
    daemon.stop()
    assert values(database)["alice", "recent"] == 3

    daemon = make(progress=True)
    daemon.handle_acknowledged(made("alice"))
    daemon.stop()

    assert values(database)["alice", "recent"] == 1
    assert values(database)["alice", "many"] == 4


def test_message_that_comes_late_does_not_set_a_value_back(make: Make, database: Databases) -> None:
    for age in (0.0, 0.0, 3 * DAY):
        daemon = make(progress=True)
        daemon.handle_acknowledged(made("alice", age=age))
        daemon.stop()

    assert values(database)["alice", "many"] == 2


def test_message_from_the_future_does_not_end_progress(make: Make, database: Databases) -> None:
    for age in (0.0, -3650 * DAY, 0.0, 0.0):
        daemon = make(progress=True)
        daemon.handle_acknowledged(made("alice", age=age))
        daemon.stop()

    assert values(database)["alice", "many"] == 3


def test_nobody_becomes_a_person_of_tahrir_by_a_value(make: Make, database: Databases) -> None:
    daemon = make(progress=True)
    daemon.handle_acknowledged(made("bob"))
    daemon.stop()

    assert values(database) == {}
    with engine(database.tahrir_url).connect() as connection:
        assert connection.scalars(sa.select(Person.nickname)).all() == ["alice"]


def test_nothing_is_written_by_default(make: Make, database: Databases) -> None:
    daemon = make()
    daemon.handle_acknowledged(made("alice"))
    daemon.stop()

    assert values(database) == {}
    assert daemon.report()["progress"]["pending"] == 0


def test_two_daemons_that_hear_all_messages_write_each_value_once(
    make: Make, database: Databases
) -> None:
    if database.kind == "sqlite":
        pytest.skip("has one daemon")
    daemons = [make(progress=True) for _ in range(2)]
    bodies = [made("alice") for _ in range(3)]
    for daemon in daemons:
        for body in bodies:
            daemon.handle_acknowledged(body)
    for daemon in daemons:
        daemon.stop()

    assert values(database) == {
        ("alice", "few"): 2,
        ("alice", "many"): 3,
        ("alice", "recent"): 3,
        ("alice", "different"): 1,
    }
    assert sum(daemon.report()["progress"]["written"] for daemon in daemons) == 4


# The thread alone.


@pytest.fixture
def settings(sqlite_database: Databases, tmp_path: Path) -> Settings:
    return make_settings(sqlite_database, tmp_path)


def judged(settings: Settings, *names: str, age: float = 0.0) -> Triggered:
    message = make_message(TOPIC, timestamp=time.time() - age)
    return Triggered(message, ((make_rule(settings, "Many", RECENT), names),))


def test_pair_is_counted_once_an_interval_as_of_the_latest_message(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[list[tuple[str, datetime.datetime]]] = []

    def write(self: CurrentValues, batch: Any) -> int:
        written.append([(each.username, each.message.sent) for each in batch])
        return len(batch)

    monkeypatch.setattr(CurrentValues, "_write", write)
    kept = CurrentValues(settings, 0.2)
    latest = judged(settings, "alice")
    for each in (judged(settings, "alice", age=9), latest, judged(settings, "alice", age=5)):
        kept.note(each)
    kept.start()
    eventually(lambda: written, "a write")
    kept.stop()

    assert written == [[("alice", latest.message.sent)]]


def test_noting_whom_a_message_is_about_asks_no_database(settings: Settings) -> None:
    kept = CurrentValues(settings)
    each = judged(settings, "alice", "bob")

    with statements(settings.tahrir_url) as of_tahrir, statements(settings.history_url) as of_past:
        kept.note(each)

    assert kept.report()["pending"] == 2
    assert of_tahrir == of_past == []


def test_failure_is_logged_once_and_nobody_is_forgotten(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    tries: list[int] = []

    def write(self: CurrentValues, batch: Any) -> int:
        tries.append(len(batch))
        if len(tries) < 3:
            raise Unavailable("tahrir: away")
        return len(batch)

    monkeypatch.setattr(CurrentValues, "_write", write)
    kept = CurrentValues(settings, 0.01)
    kept.note(judged(settings, "alice", "bob"))
    kept.start()
    eventually(lambda: kept.report()["written"] == 2, "the values")
    kept.stop()

    assert tries == [2, 2, 2]
    assert log.messages == [
        'Cannot write progress, trying again later error="tahrir: away"',
        "Progress is written again",
    ]


def test_value_that_cannot_be_written_keeps_no_other_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    def write(self: CurrentValues, batch: Any) -> int:
        if "mallory" in {each.username for each in batch}:
            raise ValueError("out of range")
        return len(batch)

    monkeypatch.setattr(CurrentValues, "_write", write)
    kept = CurrentValues(settings, 0.01)
    kept.note(judged(settings, "alice", "mallory", "bob"))
    kept.start()
    eventually(lambda: kept.report()["written"] == 2, "the other values")
    kept.stop()

    assert kept.report() == {"pending": 0, "written": 2, "dropped": 1, "trouble": None}
    assert log.messages == ["Cannot write a value badge=many error=\"ValueError('out of range')\""]


def test_nothing_is_written_while_it_is_the_turn_of_another_daemon(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_POLL", 0.01)
    turns: list[bool] = []

    def turn() -> Any:
        turns.append(len(turns) > 3)
        return nullcontext(turns[-1])

    monkeypatch.setattr(CurrentValues, "_write", lambda self, batch: len(batch))
    kept = CurrentValues(settings, 0.01, turn)
    kept.note(judged(settings, "alice"))
    kept.start()
    eventually(lambda: kept.report()["written"], "the value")
    kept.stop()

    assert turns[:5] == [False] * 4 + [True]


def test_number_of_candidates_that_are_remembered_is_bounded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    kept = CurrentValues(settings)
    for number in range(5):
        kept.note(judged(settings, f"person{number}"))

    assert kept.report() == {"pending": 3, "written": 0, "dropped": 2, "trouble": None}


def test_memory_of_the_messages_that_are_remembered_is_bounded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_CHARACTERS", 25)
    kept = CurrentValues(settings)
    for number in range(5):
        each = judged(settings, f"person{number}")
        object.__setattr__(each.message, "size", 10)
        kept.note(each)

    assert kept.report()["pending"] == 2
