"""``fedbadges revoke``: what an operator takes away, and what comes back."""

import datetime
import json
import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.award_deployment import WHY, Place
from support.bus import Bus, fedmsg_body
from support.databases import Databases, awards, store_message, tahrir
from support.waiting import eventually
from tahrir_api.model import Person

from fedbadges.cli import change
from fedbadges.databases.connections import engine
from fedbadges.tahrir.own_tables import OWN, REVOCATIONS

LATER = "A later message that earns it gives it again; --for-good prevents that\n"
NOTICE = "fedbadges.badge.revoke"


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> Place:
    return Place(sqlite_database, tmp_path)


@pytest.fixture
def any_deployment(database: Databases, tmp_path: Path) -> Place:
    """Return the same on each kind of database, for tests of SQL."""
    return Place(database, tmp_path)


@pytest.fixture(autouse=True)
def audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody but the test read what is logged, as by root."""
    monkeypatch.setattr(change, "SYSTEM_LOG", tmp_path / "log")
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.delenv("SUDO_USER", raising=False)


def test_revoke_takes_one_badge_and_adjusts_the_ranks(any_deployment: Place) -> None:
    any_deployment.award("alice", "speaker")
    any_deployment.award("alice", "first-step")
    any_deployment.award("bob", "speaker")

    done = any_deployment.revoke("alice", "speaker")

    assert (done.exit_code, done.stdout) == (0, "alice no longer has speaker\n")
    assert done.stderr == (
        'Revoked badge badge=speaker user=alice operator=root reason="spoke at the conference"\n'
        + LATER
    )
    assert awards(any_deployment.databases) == [("alice", "first-step"), ("bob", "speaker")]
    assert (any_deployment.rank("alice"), any_deployment.rank("bob")) == (1, 1)


def test_revoke_of_the_last_badge_removes_the_rank(deployment: Place) -> None:
    deployment.award("alice", "speaker")
    deployment.award("bob", "speaker")
    deployment.award("bob", "first-step")

    deployment.revoke("bob", "first-step")
    deployment.revoke("bob", "speaker")

    assert (deployment.rank("alice"), deployment.rank("bob")) == (1, None)


def test_revoked_badge_can_be_awarded_again(deployment: Place) -> None:
    deployment.award("alice", "speaker")
    deployment.revoke("alice", "speaker")

    assert deployment.award("alice", "speaker").exit_code == 0
    assert awards(deployment.databases) == [("alice", "speaker")]


@pytest.mark.parametrize("known", [True, False])
def test_revoke_changes_nothing_for_who_does_not_hold_the_badge(
    deployment: Place, known: bool
) -> None:
    deployment.award("alice" if known else "bob", "first-step")

    done = deployment.revoke("alice", "speaker")

    assert (done.exit_code, done.stdout, done.stderr) == (1, "alice does not have speaker\n", "")


def test_revoke_dry_run_changes_nothing(deployment: Place) -> None:
    deployment.award("alice", "speaker")

    would, would_not = (
        deployment.revoke(name, "speaker", "--dry-run") for name in ("alice", "bob")
    )

    assert (would.exit_code, would.stdout, would.stderr) == (
        0,
        "alice would lose speaker\n",
        LATER,
    )
    assert (would_not.exit_code, would_not.stdout) == (1, "bob does not have speaker\n")
    assert awards(deployment.databases) == [("alice", "speaker")]


def test_revoke_takes_a_badge_from_somebody_who_opted_out(deployment: Place) -> None:
    deployment.award("alice", "speaker")
    with tahrir(deployment.databases) as database:
        database.session.execute(sa.update(Person).values(opt_out=True))
        database.session.commit()

    assert deployment.revoke("alice", "speaker").exit_code == 0
    assert awards(deployment.databases) == []


def test_revoke_refuses_an_unknown_badge_and_suggests_one(deployment: Place) -> None:
    done = deployment.revoke("alice", "speeker")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "tahrir has no badge 'speeker'; did you mean 'speaker'?\n"


def test_revoke_for_good_says_nothing_of_later_messages(deployment: Place) -> None:
    deployment.award("alice", "speaker")

    done = deployment.revoke("alice", "speaker", "--for-good")

    assert (done.exit_code, done.stdout) == (0, "alice no longer has speaker\n")
    assert done.stderr == (
        "Revoked badge for good badge=speaker user=alice operator=root "
        'reason="spoke at the conference"\n'
    )


def test_revoke_for_good_bars_who_does_not_hold_the_badge(deployment: Place) -> None:
    deployment.award("alice", "first-step")

    done = deployment.revoke("alice", "speaker", "--for-good")
    again = deployment.revoke("alice", "speaker", "--for-good", "--format", "json")

    assert (done.exit_code, done.stdout) == (
        0,
        "alice does not have speaker and no message gives it\n",
    )
    assert done.stderr.startswith("Revoked badge for good badge=speaker user=alice")
    assert (again.exit_code, json.loads(again.stdout)) == (
        0,
        {
            "user": "alice",
            "badge": "speaker",
            "outcome": "barred",
            "reason": WHY[1],
            "dry_run": False,
            "on_bus": False,
            "for_good": True,
        },
    )


def test_revoke_for_good_dry_run_records_nothing(deployment: Place) -> None:
    deployment.award("alice", "first-step")

    done = deployment.revoke("alice", "speaker", "--for-good", "--dry-run")

    assert (done.exit_code, done.stdout) == (0, "alice would not get speaker by a message\n")
    assert (
        json.loads(deployment.award("alice", "speaker", "--format", "json").stdout)["revoked"]
        is None
    )


def test_revoke_for_good_of_somebody_unknown_to_tahrir_takes_create(deployment: Place) -> None:
    deployment.award("alice", "first-step")

    refused = deployment.revoke("alcie", "speaker", "--for-good")
    created = deployment.revoke("alcie", "speaker", "--for-good", "--create")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == (
        "tahrir does not know 'alcie'; did you mean 'alice'? --create creates the person\n"
    )
    assert created.exit_code == 0
    assert "was revoked for good" in deployment.award("alcie", "speaker", "--dry-run").stdout


def test_award_says_that_the_badge_was_revoked_and_lifts_that(any_deployment: Place) -> None:
    any_deployment.award("alice", "speaker")
    any_deployment.revoke("alice", "speaker", "--for-good")
    text = rf", which was revoked for good on {datetime.date.today():%Y-%m-%d} .* by root: {WHY[1]}"

    would = any_deployment.award("alice", "speaker", "--dry-run")
    done = any_deployment.award("alice", "speaker", "--format", "json")
    any_deployment.revoke("alice", "speaker")
    again = any_deployment.award("alice", "speaker")

    assert re.fullmatch(f"alice would get speaker{text}\n", would.stdout)
    assert json.loads(done.stdout)["revoked"]["for_good"] is True
    assert json.loads(done.stdout)["revoked"]["operator"] == "root"
    assert re.fullmatch(f"alice now has speaker{text}\n".replace(" for good", ""), again.stdout)


def test_award_from_a_table_says_which_badges_were_revoked(deployment: Place) -> None:
    deployment.award("alice", "speaker")
    deployment.revoke("alice", "speaker")
    table = deployment.write_table("user", "alice", "bob")

    done = deployment.award("--from", table, "speaker", "--dry-run")

    alice, bob = done.stdout.splitlines()
    assert "alice would get speaker, which was revoked on" in alice
    assert bob.endswith("bob would get speaker")


def test_revoke_without_the_table_says_that_the_badge_may_come_back(deployment: Place) -> None:
    deployment.award("alice", "speaker")
    OWN.drop_all(engine(deployment.settings.tahrir_url))

    done = deployment.revoke("alice", "speaker")

    assert (done.exit_code, done.stdout) == (0, "alice no longer has speaker\n")
    assert "It may come back: tahrir's database lacks the table" in done.stderr
    assert "'badges.create_tables': True" in done.stderr


@pytest.mark.parametrize("stored", [0, 3])
def test_revoke_records_the_highest_row_number_of_datanommer(
    any_deployment: Place, stored: int
) -> None:
    any_deployment.award("alice", "speaker")
    for _ in range(stored):
        store_message(any_deployment.databases, fedmsg_body("logger.first", {}))

    any_deployment.revoke("alice", "speaker")

    assert last_number(any_deployment) == stored


def test_revoke_goes_by_the_time_alone_where_datanommer_does_not_answer(
    deployment: Place,
) -> None:
    deployment.award("alice", "speaker")
    nobody = "postgresql://localhost:1/datanommer"

    done = deployment.revoke("alice", "speaker", "--history-url", nobody)

    assert (done.exit_code, done.stdout) == (0, "alice no longer has speaker\n")
    (line,) = [each for each in done.stderr.splitlines() if each.startswith("What counts is only")]
    assert "by the clocks of their senders: datanommer: " in line
    assert last_number(deployment) is None


def test_revoke_for_good_asks_datanommer_nothing(deployment: Place) -> None:
    deployment.award("alice", "speaker")
    nobody = "postgresql://localhost:1/datanommer"

    done = deployment.revoke("alice", "speaker", "--for-good", "--history-url", nobody)

    assert done.exit_code == 0
    assert "What counts" not in done.stderr


def last_number(place: Place) -> int | None:
    """Return the row number that was recorded with the only revocation."""
    with engine(place.settings.tahrir_url).connect() as connection:
        (found,) = connection.scalars(sa.select(REVOCATIONS.c.last_number))
        return found


def test_revoke_for_good_without_the_table_changes_nothing(deployment: Place) -> None:
    deployment.award("alice", "speaker")
    OWN.drop_all(engine(deployment.settings.tahrir_url))

    done = deployment.revoke("alice", "speaker", "--for-good")

    assert (done.exit_code, done.stdout) == (2, "")
    assert "--for-good cannot be recorded" in done.stderr
    assert awards(deployment.databases) == [("alice", "speaker")]


@pytest.mark.parametrize("keys", [{}, {"zmq_enabled": False}])
def test_revoke_takes_a_badge_where_nothing_can_be_published(
    deployment: Place, keys: dict[str, bool]
) -> None:
    deployment.award("alice", "speaker")
    deployment.configure(**keys)

    done = deployment.call("revoke", "alice", "speaker", *WHY)

    assert (done.exit_code, done.stdout) == (0, "alice no longer has speaker\n")
    assert "Left to the daemon to publish. " in done.stderr
    assert awards(deployment.databases) == []


def test_revoke_publishes_a_notice_with_who_did_it_and_why(deployment: Place) -> None:
    deployment.award("alice", "speaker")
    bus = Bus()
    deployment.configure(endpoints=bus.endpoints, environment="dev")

    done = deployment.call("revoke", "alice", "speaker", *WHY, "--format", "json")

    # It was sent when the command had ended.
    eventually(lambda: bus.heard(NOTICE), "the notice")
    (notice,) = bus.heard(NOTICE)
    bus.close()
    assert (done.exit_code, json.loads(done.stdout)["on_bus"]) == (0, True)
    assert notice["topic"] == f"org.fedoraproject.dev.{NOTICE}"
    assert notice["msg"]["badge"]["badge_id"] == "speaker"
    assert notice["msg"]["user"]["username"] == "alice"
    assert notice["msg"]["by_hand"] == {"operator": "root", "reason": WHY[1], "for_good": False}


def test_revoke_creates_people_for_good_only(deployment: Place) -> None:
    done = deployment.revoke("alice", "speaker", "--create")

    assert (done.exit_code, done.stdout) == (2, "")
    assert "--create goes with --for-good" in done.stderr
