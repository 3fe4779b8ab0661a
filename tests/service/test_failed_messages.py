"""Messages that fail for good are set aside as dead letters, and can be retried."""

import json
import time
from pathlib import Path

import pytest
from support.bus import fedmsg_body
from support.daemon_restarts import (
    FIRST,
    Start,
    after_first_pass,
    checkpoint,
    fail,
    held,
    sent,
    store_message,
)
from support.databases import Databases, spoil, unspoil
from support.rules import write_rules
from support.waiting import eventually

from fedbadges.errors import CannotStart, Unavailable

pytestmark = pytest.mark.sqlite


def set_aside(directory: Path) -> list[Path]:
    return list((directory / "state" / "failed").glob("*.json"))


def test_message_that_fails_is_set_aside_and_retried_until_it_succeeds(
    start: Start, database: Databases, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    daemon = start()
    spoil(database.tahrir_url, "assertions")
    bad = sent("alice")

    store_message(database, bad)
    daemon.handle(bad)

    (path,) = set_aside(tmp_path)
    (line,) = [record.getMessage() for record in log.records if record.levelname == "ERROR"]
    assert bad["msg_id"] in line
    assert str(path) in line

    assert [again for again, _ in start(retry=True).retry_dead_letters()] == [path]
    unspoil(database.tahrir_url, "assertions")
    assert start(retry=True).retry_dead_letters() == []
    assert held(database, "alice") == [True]
    assert not path.exists()


def test_message_that_datanommer_does_not_have_stays_set_aside_while_it_fails(
    start: Start, database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = sent("alice")
    with monkeypatch.context() as broken:
        broken.setattr("fedbadges.engine.engine.BadgeEngine.judge", fail)
        daemon = start()
        daemon.handle(message)
        eventually(lambda: set_aside(tmp_path), "a dead letter")
        (path,) = set_aside(tmp_path)

        assert start(retry=True).retry_dead_letters() == [(path, "ValueError('no')")]
        assert path.exists()

    store_message(database, message)
    assert start(retry=True).retry_dead_letters() == []
    assert held(database, "alice") == [True]
    assert not path.exists()


def test_users_whom_datanommer_had_for_a_message_are_set_aside_with_it(
    start: Start, database: Databases, tmp_path: Path
) -> None:
    unnamed = FIRST.partition("recipient")[0].replace("logger.first", "git.first")
    write_rules(tmp_path / "rules", {"first": unnamed})
    daemon = start()
    spoil(database.tahrir_url, "assertions")
    store_message(database, fedmsg_body("git.first", {"user": "alice"}))
    eventually(lambda: set_aside(tmp_path), "a dead letter")
    daemon.stop()
    unspoil(database.tahrir_url, "assertions")

    assert start(retry=True).retry_dead_letters() == []

    assert held(database, "alice") == [True]


def test_file_that_is_no_message_stays_set_aside(start: Start, tmp_path: Path) -> None:
    start().stop()
    path = tmp_path / "state" / "failed" / "odd.json"
    path.write_text(json.dumps({"message": {"msg": {}}}))

    assert start(retry=True).retry_dead_letters() == [(path, "it is no message with a topic")]
    assert path.exists()


def test_message_that_cannot_be_set_aside_is_handled_by_the_next_start(
    start: Start, database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = after_first_pass(start(keep_counts_distance=0))
    monkeypatch.setattr("fedbadges.service.state.dead_letters.MAX_COUNT", 0)
    message = sent("alice")
    store_message(database, message)
    with monkeypatch.context() as broken:
        broken.setattr("fedbadges.tahrir.database.Tahrir.award", fail)
        daemon.handle(message)
    time.sleep(1.5)
    daemon.stop()
    assert (checkpoint(tmp_path) or 0) <= message["timestamp"] + 0.001
    assert held(database, "alice") == [False]

    start(keep_counts_distance=0)

    eventually(lambda: held(database, "alice") == [True], "the badge")


def test_messages_are_not_set_aside_if_the_daemon_cannot_start(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """As in a hub that has others to run, and goes on."""
    outcomes = iter([Unavailable("away")] * 3)

    def prepare(*arguments: object) -> None:
        raise next(outcomes, ValueError("no"))

    monkeypatch.setattr("fedbadges.service.startup.prepare_databases", prepare)
    daemon = start()
    eventually(lambda: daemon.started.done(), "the start to fail")

    daemon.handle(sent("alice"))

    assert set_aside(tmp_path) == []
    assert [each.levelname for each in log.records].count("ERROR") == 0


def test_dead_letters_are_not_retried_if_the_daemon_cannot_start(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    daemon = start(retry=True, state_directory=str(tmp_path / "file" / "state"))

    with pytest.raises(CannotStart, match="Not a directory"):
        daemon.retry_dead_letters()
    daemon.stop()
