"""What a daemon knows at its start, so that the first messages cost no more than others."""

from collections.abc import Iterable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from support.daemon_restarts import Start, after_first_pass, held, sent, store_message, unavailable
from support.databases import Databases
from support.waiting import eventually

from fedbadges.service.daemon import Daemon
from fedbadges.tahrir.database import Tahrir


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Whom tahrir was asked about, in each question."""
    questions: list[set[str]] = []
    holdings = Tahrir.holdings

    def note(tahrir: Tahrir, usernames: Iterable[str], badge_ids: Iterable[str]) -> Any:
        questions.append(set(usernames))
        return holdings(tahrir, questions[-1], badge_ids)

    monkeypatch.setattr(Tahrir, "holdings", note)
    return questions


def handle(daemon: Daemon, database: Databases, *messages: dict[str, Any]) -> None:
    """Store messages and hand them to a daemon."""
    for each in messages:
        store_message(database, each)
        daemon.handle(each)


def test_after_a_restart_tahrir_is_asked_once_about_those_who_were_active_lately(
    start: Start, database: Databases, asked: list[set[str]]
) -> None:
    daemon = after_first_pass(start())
    messages = [sent(name, 3.0) for name in ("alice", "bob", "alice", "bob")]
    handle(daemon, database, *messages[:2])
    eventually(lambda: held(database, "alice", "bob") == [True, True], "both badges")
    asked.clear()

    daemon = start()
    handle(daemon, database, *messages[2:])
    eventually(lambda: daemon.report()["in_hand"] == 0, "both messages")

    assert asked == [{"alice", "bob"}]


@pytest.mark.sqlite
def test_tahrir_that_does_not_answer_so_large_a_question_keeps_no_daemon_from_starting(
    start: Start, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle(after_first_pass(start()), database, sent("alice", 3.0))
    eventually(lambda: held(database, "alice") == [True], "the badge")

    def too_slow(*_: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("canceled by the statement timeout"))

    with monkeypatch.context() as patch:
        patch.setattr(Tahrir, "holdings", too_slow)
        assert start().report()["state"] == "running"


@pytest.mark.sqlite
def test_outage_while_tahrir_is_asked_about_them_delays_no_start(
    start: Start, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle(after_first_pass(start()), database, sent("alice", 3.0))
    eventually(lambda: held(database, "alice") == [True], "the badge")

    with monkeypatch.context() as patch:
        patch.setattr(Tahrir, "holdings", unavailable)
        assert start().report()["state"] == "running"
