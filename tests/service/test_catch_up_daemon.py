"""Daemons that are started one after the other handle what datanommer has stored."""

import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.daemon_restarts import (
    FIRST,
    HOUR,
    Start,
    after_first_pass,
    checkpoint,
    fail,
    held,
    sent,
    store_message,
    unavailable,
    write_checkpoint,
)
from support.databases import Databases
from support.rules import write_rules
from support.waiting import eventually

from fedbadges.databases.connections import engine
from fedbadges.errors import CannotStart

on_sqlite = pytest.mark.sqlite


def test_message_that_the_bus_did_not_deliver_earns_its_badge(
    start: Start, database: Databases
) -> None:
    start()

    store_message(database, sent("alice"))

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_message_that_was_sent_while_the_daemon_was_down_earns_its_badge(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    start().stop()
    write_checkpoint(tmp_path, HOUR)
    store_message(database, sent("alice", HOUR / 2))
    store_message(database, sent("bob", 2 * HOUR))

    start()

    eventually(lambda: held(database, "alice") == [True], "the badge")
    assert held(database, "bob") == [False]


@on_sqlite
def test_users_are_those_whom_datanommer_has_for_the_message(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    """Where no plugin names anybody: not everything that was in the message is stored."""
    text = FIRST.replace('recipient: "%(msg.user)s"', "")
    daemon = start()
    write_rules(tmp_path / "rules", {"first": text})
    daemon.reload_rules()

    store_message(database, sent("alice"))

    eventually(lambda: held(database, "alice") == [True], "the badge")


@on_sqlite
@pytest.mark.parametrize("kept", [True, False])
def test_message_stored_while_the_first_start_waits_for_the_databases_is_caught_up(
    start: Start, database: Databases, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """Also if it has long since been followed by others, and without a state directory."""
    monkeypatch.setattr("fedbadges.service.catch_up_reader._COMMIT_ROWS", 0)
    with monkeypatch.context() as away:
        away.setattr("fedbadges.service.startup.prepare_databases", unavailable)
        start(**({} if kept else {"state_directory": None}))
        store_message(database, sent("alice"))
        time.sleep(0.1)

    eventually(lambda: held(database, "alice") == [True], "the badge")


@on_sqlite
def test_start_that_is_impossible_writes_no_checkpoint(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedbadges.service.startup.prepare_databases", fail)

    with pytest.raises(CannotStart):
        start()

    assert checkpoint(tmp_path) is None


@on_sqlite
def test_retry_of_dead_letters_writes_no_checkpoint(start: Start, tmp_path: Path) -> None:
    assert start(retry=True).retry_dead_letters() == []

    assert checkpoint(tmp_path) is None


@on_sqlite
def test_message_that_was_decided_before_it_was_stored_is_decided_again(
    start: Start, database: Databases
) -> None:
    daemon = start(consume_delay=0)
    late = sent("alice")
    daemon.handle(late)
    eventually(lambda: not len(daemon._parts.delay_queue), "a decision without the message")
    assert held(database, "alice") == [False]

    store_message(database, late)

    eventually(lambda: held(database, "alice") == [True], "the badge")


@on_sqlite
def test_report_tells_how_far_catching_up_got(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    start().stop()
    write_checkpoint(tmp_path, HOUR)
    store_message(database, sent("alice", HOUR / 2))
    began = time.time()

    daemon = start()

    eventually(lambda: (daemon.report()["catch_up"]["until"] or 0) > began, "a sweep")
    report = daemon.report()
    assert (report["handled"], report["in_hand"]) == (1, 0)
    assert report["catch_up"] | {"until": 0} == {
        "whole": True,
        "until": 0,
        "running": False,
        "done": 0,
        "count": 0,
        "seconds_left": None,
        "trouble": None,
    }


@on_sqlite
def test_checkpoint_is_written_at_the_stop(start: Start, tmp_path: Path) -> None:
    daemon = after_first_pass(start(sweep_interval=HOUR))
    before = checkpoint(tmp_path)

    daemon.stop()

    assert (before or 0) <= (checkpoint(tmp_path) or 0) <= time.time()


@on_sqlite
def test_message_in_an_outage_at_the_stop_is_handled_by_the_next_start(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    """Even if the daemon stops long after others were handled."""
    daemon = after_first_pass(start(keep_counts_distance=0))
    message = sent("alice")
    rename(database, "assertions", "elsewhere")
    store_message(database, message)
    worker = threading.Thread(target=daemon.handle, args=(message,))
    worker.start()
    eventually(lambda: daemon.report()["waiting_for"], "an outage")
    time.sleep(1.5)

    daemon.stop()
    worker.join()
    assert (checkpoint(tmp_path) or 0) <= message["timestamp"] + 0.001
    rename(database, "elsewhere", "assertions")
    start(keep_counts_distance=0)

    eventually(lambda: held(database, "alice") == [True], "the badge")


@on_sqlite
def test_report_tells_what_an_outage_is_of_until_it_ends(start: Start, database: Databases) -> None:
    daemon = after_first_pass(start())
    rename(database, "messages", "elsewhere", of="datanommer")

    outage = eventually(lambda: daemon.report()["waiting_for"], "an outage")
    assert outage is not None
    assert "messages" in outage["reason"]

    rename(database, "elsewhere", "messages", of="datanommer")
    eventually(lambda: daemon.report()["waiting_for"] is None, "an answer")


def rename(database: Databases, old: str, new: str, of: str = "tahrir") -> None:
    url = database.tahrir_url if of == "tahrir" else database.datanommer_url
    with engine(url).begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {old} RENAME TO {new}"))
