"""A badge that was revoked, and a daemon that handles messages from before again."""

from pathlib import Path

import pytest
from support.builders import make_config, make_settings
from support.command import fedbadges
from support.daemon_restarts import (
    HOUR,
    Start,
    after_first_pass,
    held,
    sent,
    store_message,
    write_checkpoint,
)
from support.databases import Databases
from support.tahrir import award, revoke
from support.waiting import eventually

from fedbadges.tahrir.database import Tahrir


@pytest.fixture
def tahrir(database: Databases, tmp_path: Path) -> Tahrir:
    return Tahrir(make_settings(database, tmp_path))


#: How fast the clock of a sender is, in seconds.
MINUTES = 600.0


def revoke_by_command(database: Databases, directory: Path, username: str) -> None:
    """Revoke the badge as an operator does, by the row numbers of datanommer as well."""
    config = directory / "config.py"
    keys = make_config(database, directory / "rules") | {"endpoints": {}}
    config.write_text(f"config = {keys!r}\n")
    done = fedbadges(
        *("revoke", "--config", str(config), "--no-publish", "--reason", "no"), username, "first"
    )
    assert done.exit_code == 0, done.output


def wait_until_caught_up(database: Databases, name: str = "zoe") -> None:
    """Wait until all that was stored until now is handled."""
    store_message(database, sent(name))
    eventually(lambda: held(database, name) == [True], "the badge of a later message")


def test_message_that_gave_a_badge_does_not_bring_it_back_at_the_next_start(
    start: Start, database: Databases, tahrir: Tahrir, tmp_path: Path
) -> None:
    start()
    store_message(database, sent("alice"))
    store_message(database, sent("bob"))
    eventually(lambda: held(database, "alice", "bob") == [True, True], "the badges")
    revoke(tahrir, "first", "alice")

    start().stop()
    write_checkpoint(tmp_path, HOUR)
    after_first_pass(start())

    wait_until_caught_up(database)
    assert held(database, "alice", "bob") == [False, True]


def test_message_of_a_fast_clock_does_not_bring_a_badge_back_at_the_next_start(
    start: Start, database: Databases, tahrir: Tahrir, tmp_path: Path
) -> None:
    start()
    store_message(database, sent("alice", -MINUTES))
    store_message(database, sent("bob"))
    eventually(lambda: held(database, "alice", "bob") == [True, True], "the badges")
    revoke_by_command(database, tmp_path, "alice")

    start().stop()
    write_checkpoint(tmp_path, HOUR)
    after_first_pass(start())

    wait_until_caught_up(database)
    assert held(database, "alice", "bob") == [False, True]


def test_message_of_a_fast_clock_gives_a_revoked_badge_after_a_backup_was_restored(
    start: Start, database: Databases, tahrir: Tahrir
) -> None:
    """It has a number that another message had when the badge was revoked."""
    start().stop()
    award(tahrir, "first", "alice")
    revoke(tahrir, "first", "alice", last_number=1_000)
    daemon = after_first_pass(start(remember_holdings=0))

    store_message(database, sent("alice", -MINUTES))

    eventually(lambda: held(database, "alice") == [True], "the badge again")
    assert daemon.report()["set_aside"] == 0


def test_message_that_was_in_flight_when_the_badge_was_revoked_gives_nothing(
    start: Start, database: Databases, tahrir: Tahrir
) -> None:
    start()
    in_flight = sent("alice")
    store_message(database, sent("alice", 1))
    eventually(lambda: held(database, "alice") == [True], "the badge")
    revoke(tahrir, "first", "alice")

    store_message(database, in_flight)

    wait_until_caught_up(database)
    assert held(database, "alice") == [False]


def test_later_message_gives_a_revoked_badge_again(
    start: Start, database: Databases, tahrir: Tahrir
) -> None:
    start(remember_holdings=0)
    store_message(database, sent("alice"))
    eventually(lambda: held(database, "alice") == [True], "the badge")
    revoke(tahrir, "first", "alice")

    store_message(database, sent("alice", -90))

    eventually(lambda: held(database, "alice") == [True], "the badge again")


def test_badge_revoked_for_good_comes_back_by_an_award_by_hand_alone(
    start: Start, database: Databases, tahrir: Tahrir
) -> None:
    start()
    store_message(database, sent("alice"))
    eventually(lambda: held(database, "alice") == [True], "the badge")
    revoke(tahrir, "first", "alice", for_good=True)

    store_message(database, sent("alice"))
    wait_until_caught_up(database)
    assert held(database, "alice") == [False]

    assert award(tahrir, "first", "alice") is not None


def test_badge_revoked_for_good_before_it_was_earned_is_not_given(
    start: Start, database: Databases, tahrir: Tahrir
) -> None:
    start()
    revoke(tahrir, "first", "alice", for_good=True, create=True)

    store_message(database, sent("alice"))

    wait_until_caught_up(database)
    assert held(database, "alice") == [False]


@pytest.mark.sqlite
def test_dead_letter_from_before_does_not_bring_a_badge_back(
    start: Start, database: Databases, tahrir: Tahrir, monkeypatch: pytest.MonkeyPatch
) -> None:
    award_all = Tahrir.award

    def fail(*arguments: object) -> None:
        raise ValueError("no")

    daemon = after_first_pass(start())
    monkeypatch.setattr(Tahrir, "award", fail)
    store_message(database, sent("alice"))
    eventually(lambda: daemon.report()["set_aside"] == 1, "a dead letter")
    monkeypatch.setattr(Tahrir, "award", award_all)
    award(tahrir, "first", "alice")
    revoke(tahrir, "first", "alice")

    assert start(retry=True).retry_dead_letters() == []

    assert held(database, "alice") == [False]


def test_daemon_without_the_table_awards_and_revokes_as_ever(
    start: Start, database: Databases
) -> None:
    """The badge may come back, which its start says."""
    from fedbadges.databases.connections import engine
    from fedbadges.tahrir.own_tables import OWN

    OWN.drop_all(engine(database.tahrir_url))
    start()
    store_message(database, sent("alice"))

    eventually(lambda: held(database, "alice") == [True], "the badge")
