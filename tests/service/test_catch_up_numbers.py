"""Catching up by row numbers, whatever clocks say; and past rows that cannot be read."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.daemon_restarts import (
    FIRST,
    HOUR,
    Start,
    after_first_pass,
    checkpoint,
    held,
    sent,
    store_message,
    unavailable,
    write_checkpoint,
)
from support.damage import store_damaged_rows
from support.databases import Databases
from support.rules import write_rules
from support.waiting import eventually

from fedbadges.databases.connections import engine
from fedbadges.service.catch_up_reader import CatchUpReader

on_sqlite = pytest.mark.sqlite

SKIPPED = "Could not parse a message of the history, skipping it"


def content(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "state" / "checkpoint").read_text())
    return found


def number(directory: Path) -> int | None:
    found: int | None = content(directory).get("number")
    return found


def write(directory: Path, age: float, number: int) -> None:
    saved = json.dumps({"until": time.time() - age, "number": number})
    (directory / "state").mkdir(exist_ok=True)
    (directory / "state" / "checkpoint").write_text(saved)


def execute(database: Databases, statement: str) -> None:
    with engine(database.datanommer_url).begin() as connection:
        connection.execute(sa.text(statement))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rows count as committed after a moment."""
    monkeypatch.setattr("fedbadges.service.catch_up_reader._COMMIT_SECONDS", 0.2)


def test_damaged_rows_are_passed_over_with_a_line_each_and_the_checkpoint_moves(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    write_checkpoint(tmp_path, 100)
    store_message(database, sent("alice", 70))
    damaged = store_damaged_rows(database)
    store_message(database, sent("bob", 50))
    began = time.time()

    start()

    eventually(lambda: held(database, "alice", "bob") == [True, True], "the badges")
    eventually(lambda: (checkpoint(tmp_path) or 0) > began, "a checkpoint after that")
    eventually(lambda: number(tmp_path) == max(damaged) + 1, "its number")
    lines = [line for line in log.messages if line.startswith(SKIPPED)]
    assert {int(line.split(" row=")[1].split()[0]) for line in lines} == set(damaged)
    assert len(lines) == len(damaged)
    assert not any("Cannot catch up" in line for line in log.messages)


def test_damaged_rows_that_are_stored_while_it_runs_stop_no_sweep(
    start: Start, database: Databases
) -> None:
    after_first_pass(start())
    store_damaged_rows(database)

    store_message(database, sent("alice"))

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_message_of_a_slow_clock_that_was_stored_while_no_daemon_ran_is_handled(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    store_message(database, sent("old", 20 * HOUR))
    daemon = start()
    store_message(database, sent("alice"))
    eventually(lambda: held(database, "alice") == [True], "the badge")
    eventually(lambda: number(tmp_path) == 2, "the number")
    daemon.stop()
    store_message(database, sent("bob", 20 * HOUR))

    start()

    eventually(lambda: held(database, "bob") == [True], "the badge")
    assert held(database, "old") == [False]


@on_sqlite
def test_message_of_a_slow_clock_is_handled_though_the_first_daemon_came_to_no_sweep(
    start: Start, database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_message(database, sent("old", 20 * HOUR))
    with monkeypatch.context() as ending:
        ending.setattr(CatchUpReader, "stored_since_last_sweep", unavailable)
        daemon = start()
        eventually(lambda: number(tmp_path) == 1, "the number")
        daemon.stop()
    store_message(database, sent("bob", 20 * HOUR))
    store_message(database, sent("carol"))

    start()

    eventually(lambda: held(database, "bob", "carol") == [True, True], "the badges")
    assert held(database, "old") == [False]


@on_sqlite
@pytest.mark.parametrize("ahead", [10, 2 * HOUR, 1_000 * HOUR])
def test_what_was_sent_while_our_clock_was_fast_is_handled_once_it_is_right(
    start: Start, database: Databases, tmp_path: Path, ahead: float
) -> None:
    """The checkpoint says that more is done than there was; its number knows better."""
    store_message(database, sent("old", 30 * HOUR))
    store_message(database, sent("alice", 20 * HOUR))
    write(tmp_path, -ahead, 1)

    start()

    eventually(lambda: held(database, "alice") == [True], "the badge")


@on_sqlite
def test_message_from_the_future_is_handled_and_takes_the_checkpoint_nowhere(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    store_message(database, sent("alice", -1_000 * HOUR))
    daemon = start()
    eventually(lambda: held(database, "alice") == [True], "the badge")
    eventually(lambda: number(tmp_path) == 1, "the number")
    daemon.stop()
    assert (checkpoint(tmp_path) or 0) <= time.time()
    store_message(database, sent("bob", 20 * HOUR))
    store_message(database, sent("carol"))

    start()

    eventually(lambda: held(database, "bob", "carol") == [True, True], "the badges")


@on_sqlite
def test_limit_holds_for_row_numbers_as_well_and_is_logged(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, 3 * HOUR, 0)
    store_message(database, sent("alice", 2 * HOUR))
    store_message(database, sent("bob", HOUR / 2))

    start(catchup_limit=HOUR)

    eventually(lambda: held(database, "bob") == [True], "the badge")
    eventually(lambda: number(tmp_path) == 2, "the number")
    assert held(database, "alice") == [False]
    assert any("Not catching up messages beyond the limit" in line for line in log.messages)


@on_sqlite
def test_numbers_that_have_gone_back_are_logged_and_the_time_counts(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, HOUR, 1_000)
    store_message(database, sent("old", 20 * HOUR))
    store_message(database, sent("alice", HOUR / 2))

    start()

    eventually(lambda: held(database, "alice") == [True], "the badge")
    eventually(lambda: number(tmp_path) == 2, "the number")
    assert held(database, "old") == [False]
    assert len([line for line in log.messages if "gone back in time" in line]) == 1


THREE = FIRST.replace("equal to: 1", "equal to: 3")


@on_sqlite
def test_restored_backup_is_noticed_though_it_has_as_many_rows_as_before(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    write_rules(tmp_path / "rules", {"first": THREE})
    store_message(database, sent("carol"))
    daemon = after_first_pass(start())
    lost = [sent("alice", 1) for _ in range(2)]
    for each in lost:
        store_message(database, each)
        daemon.handle(each)
    eventually(lambda: number(tmp_path) == 3, "the number")

    with engine(database.datanommer_url).begin() as connection:
        for table, column in (("users_messages", "msg_id"), ("messages", "id")):
            connection.execute(sa.text(f"DELETE FROM {table} WHERE {column} > 1"))  # noqa: S608
        connection.execute(sa.text("DELETE FROM users WHERE name = 'alice'"))
        # Within the transaction, so that nobody sees that there were fewer.
        connection.execute(
            sa.text(
                "INSERT INTO messages (i, topic, timestamp, category, msg)"
                " VALUES (1, 'a.b.c.d', '2026-01-01 00:00:00.000000', 'd', '{}'),"
                " (1, 'a.b.c.d', '2026-01-01 00:00:00.000000', 'd', '{}')"
            )
        )
    eventually(lambda: any("gone back in time" in line for line in log.messages), "a line")
    after_first_pass(daemon)
    for name in ("bob", "alice"):
        store_message(database, sent(name))
        store_message(database, sent(name))

    store_message(database, sent("bob"))

    eventually(lambda: held(database, "bob") == [True], "the badge")
    assert held(database, "alice") == [False]


@on_sqlite
def test_huge_gap_of_numbers_hides_nothing(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    write(tmp_path, 0, 1)
    store_message(database, sent("old", 20 * HOUR))
    store_message(database, sent("alice", 10 * HOUR))
    execute(database, "UPDATE messages SET id = 2147483646 WHERE id = 2")
    execute(database, "UPDATE users_messages SET msg_id = 2147483646 WHERE msg_id = 2")
    store_message(database, sent("bob", 10 * HOUR))

    start()

    eventually(lambda: held(database, "alice", "bob") == [True, True], "the badges")
    eventually(lambda: (number(tmp_path) or 0) >= 2**31 - 1, "the number")
    assert held(database, "old") == [False]


@on_sqlite
def test_checkpoint_of_an_older_version_has_no_number_and_works(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, HOUR)
    store_message(database, sent("old", 20 * HOUR))
    store_message(database, sent("alice", HOUR / 2))

    start()

    eventually(lambda: held(database, "alice") == [True], "the badge")
    eventually(lambda: number(tmp_path) == 2, "the number")
    assert held(database, "old") == [False]


@on_sqlite
@pytest.mark.parametrize("msg_id", [None, "", "x" * 300])
def test_rows_without_a_usable_id_are_handled_once(
    start: Start, database: Databases, tmp_path: Path, msg_id: str | None
) -> None:
    daemon = after_first_pass(start())
    store_message(database, sent("alice") | {"msg_id": msg_id})
    store_message(database, sent("bob") | {"msg_id": msg_id})

    eventually(lambda: held(database, "alice", "bob") == [True, True], "the badges")
    eventually(lambda: number(tmp_path) == 2, "some sweeps")

    assert daemon.report()["handled"] == 2
