"""``fedbadges award``: what an operator changes and what is refused."""

import datetime
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.award_deployment import WHY, Place
from support.bus import HOST, Bus
from support.databases import Databases, awards, badges, tahrir
from support.fasjson import Fasjson, User
from support.waiting import TIMEOUT
from tahrir_api.model import Badge as BadgeRow

from fedbadges.cli import change
from fedbadges.cli.change import operator
from fedbadges.databases.connections import engine
from fedbadges.tahrir.awarding import Award
from fedbadges.tahrir.database import Tahrir
from fedbadges.tahrir.own_tables import OUTBOX


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> Place:
    return Place(sqlite_database, tmp_path)


@pytest.fixture
def any_deployment(database: Databases, tmp_path: Path) -> Place:
    """Return the same on each kind of database, for tests of SQL."""
    return Place(database, tmp_path)


@pytest.fixture(autouse=True)
def system_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Yield the socket of a system log."""
    monkeypatch.setattr(change, "SYSTEM_LOG", tmp_path / "log")
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.delenv("SUDO_USER", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "log"))
        listener.setblocking(False)
        yield listener


# Awards


def test_award_gives_a_badge_with_its_link(any_deployment: Place) -> None:
    done = any_deployment.award("alice", "speaker", "--link", "https://conference.example.org/7")

    assert (done.exit_code, done.stdout) == (0, "alice now has speaker\n")
    assert badges(any_deployment.databases, "alice") == {
        "speaker": "https://conference.example.org/7"
    }
    with tahrir(any_deployment.databases) as database:
        assert database.get_person(nickname="alice").email == "alice@example.org"


def test_award_logs_the_reason_and_the_operator(
    deployment: Place, system_log: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = 'Awarded badge badge=speaker user=alice operator=root reason="spoke at the conference"'

    assert deployment.award("alice", "speaker").stderr == line + "\n"

    # 14 is a user's process at the level INFO.
    assert system_log.recv(1000) == f"<14>fedbadges: {line}".encode()
    monkeypatch.setenv("SUDO_USER", "carol")
    assert "operator=carol " in deployment.award("bob", "speaker").stderr


@pytest.mark.parametrize("name", ["carol\nAwarded badge", "\x1b[31m", "\udcff", "x" * 1_000])
def test_the_name_of_the_operator_is_escaped_and_short(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes into notices and the database, and the environment may say anything."""
    monkeypatch.setenv("SUDO_USER", name)

    assert operator().isprintable()
    assert 0 < len(operator()) <= 64


def test_award_without_a_system_log_logs_on_standard_error(
    deployment: Place, tmp_path: Path
) -> None:
    (tmp_path / "log").unlink()

    done = deployment.award("alice", "speaker")

    assert done.exit_code == 0
    assert done.stderr == (
        'Awarded badge badge=speaker user=alice operator=root reason="spoke at the conference"\n'
    )


def test_award_logs_a_reason_of_several_lines_as_one(deployment: Place) -> None:
    done = deployment.call(
        "award", "alice", "speaker", "--create", "--no-publish", "--reason", "a\nAwarded\x1b[0m"
    )

    assert done.stderr.endswith(' reason="a\\nAwarded\\x1b[0m"\n')


def test_award_adjusts_the_ranks(deployment: Place) -> None:
    deployment.award("alice", "speaker")
    deployment.award("bob", "speaker")
    deployment.award("bob", "first-step")

    assert (deployment.rank("bob"), deployment.rank("alice")) == (1, 2)


def test_award_creates_a_badge_that_only_a_rule_has(deployment: Place) -> None:
    assert deployment.award("alice", "first-step").exit_code == 0

    assert list(badges(deployment.databases, "alice")) == ["first-step"]
    with tahrir(deployment.databases) as database:
        assert database.get_badge("first-step").name == "First Step"


def test_award_stores_names_in_lower_case(deployment: Place) -> None:
    assert deployment.award("Alice", "speaker").stdout == "alice now has speaker\n"

    assert awards(deployment.databases) == [("alice", "speaker")]


def test_award_gives_nothing_to_a_holder(deployment: Place) -> None:
    deployment.award("alice", "speaker")

    done = deployment.award("alice", "speaker")

    assert (done.exit_code, done.stdout, done.stderr) == (1, "alice already has speaker\n", "")
    assert awards(deployment.databases) == [("alice", "speaker")]


def test_award_gives_nothing_to_somebody_who_opted_out(deployment: Place) -> None:
    with tahrir(deployment.databases) as database:
        database.add_person("alice@example.org", nickname="alice")
        database.get_person(nickname="alice").opt_out = True
        database.session.commit()

    done = deployment.award("alice", "speaker")

    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout == "alice has opted out, so speaker is not awarded\n"
    assert awards(deployment.databases) == []


def test_award_dry_run_changes_nothing(deployment: Place) -> None:
    done = deployment.award("alice", "first-step", "--dry-run")

    assert (done.exit_code, done.stdout) == (0, "alice would get first-step\n")
    assert done.stderr == ""
    with tahrir(deployment.databases) as database:
        assert database.get_person(nickname="alice") is None
        assert database.get_badge("first-step") is None


def test_award_dry_run_needs_no_bus(deployment: Place) -> None:
    done = deployment.call("award", "alice", "speaker", *WHY, "--create", "--dry-run")

    assert (done.exit_code, done.stdout) == (0, "alice would get speaker\n")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("alice@example.org", "it has characters that no account name has"),
        ("192.0.2.7", "it is an IP address"),
        ("", "it is empty"),
        ("a" * 65, "it is longer than 64 characters"),
        ("-alice", "it does not begin and end with a letter, a digit or '_'"),
        ("a\x1b[1mlice\n", "it has characters that no account name has"),
    ],
)
def test_award_refuses_what_is_no_account_name(deployment: Place, name: str, why: str) -> None:
    done = deployment.call("award", *WHY, "--create", "--", name, "speaker")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.rstrip("\n").endswith(f"is not an account name: {why}")
    assert done.stderr.rstrip("\n").isprintable()


def test_award_refuses_banned_usernames(deployment: Place) -> None:
    done = deployment.award("koji", "speaker")

    assert (done.exit_code, done.stderr) == (2, "'koji' is among 'badges.banned_usernames'\n")


@pytest.mark.parametrize(
    ("badge", "meant"),
    [
        ("speeker", "; did you mean 'speaker'?"),
        ("Speaker", "; did you mean 'speaker'?"),
        ("First Step", "; did you mean 'first-step'?"),
        ("quux", ""),
        ("", ""),
    ],
)
def test_award_refuses_an_unknown_badge_and_suggests_one(
    deployment: Place, badge: str, meant: str
) -> None:
    done = deployment.award("alice", badge)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"tahrir has no badge '{badge}' and no rule gives it{meant}\n"


def test_award_refuses_a_legacy_badge(deployment: Place) -> None:
    with tahrir(deployment.databases) as database:
        database.session.execute(sa.update(BadgeRow).values(legacy=True))
        database.session.commit()

    done = deployment.award("alice", "speaker")

    assert done.exit_code == 2
    assert done.stderr == "'speaker' is a legacy badge in tahrir, which cannot be awarded\n"


@pytest.mark.parametrize("command", ["award", "revoke"])
def test_award_and_revoke_require_a_reason(deployment: Place, command: str) -> None:
    deployment.add_people("alice")
    without = deployment.call(command, "alice", "speaker")
    assert without.exit_code == 2
    assert "Missing option '--reason'" in without.stderr

    empty = deployment.call(command, "alice", "speaker", "--reason", " ")
    assert empty.exit_code == 2
    assert empty.stderr == "--reason is empty; give one, for the log\n"


@pytest.mark.parametrize("link", ["https://example.org/" + "x" * 240, "", "https://\udcff"])
def test_award_refuses_a_link_that_tahrir_cannot_hold(deployment: Place, link: str) -> None:
    done = deployment.award("alice", "speaker", "--link", link)

    assert (done.exit_code, done.stderr) == (2, "--link is text of 1 to 256 characters\n")


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "example.org/talks/7", "//example.org", "https://a b", " "]
)
def test_award_refuses_a_link_that_is_no_address_of_a_page(deployment: Place, link: str) -> None:
    done = deployment.award("alice", "speaker", "--link", link)

    wrong = "--link is an address that begins with http:// or https://\n"
    assert (done.exit_code, done.stderr) == (2, wrong)


def test_award_as_json_has_the_outcome(deployment: Place) -> None:
    done = deployment.award("alice", "speaker", "--format", "json")

    assert json.loads(done.stdout) == {
        "user": "alice",
        "badge": "speaker",
        "outcome": "awarded",
        "reason": "spoke at the conference",
        "dry_run": False,
        "on_bus": False,
        "revoked": None,
    }
    again = deployment.award("alice", "speaker", "--format", "json")
    assert (again.exit_code, json.loads(again.stdout)["outcome"]) == (1, "held")


def test_award_reports_an_unreachable_database_in_one_line(deployment: Place) -> None:
    done = deployment.award("alice", "speaker", "--tahrir-url", "sqlite:////nowhere/t.db")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "tahrir: unable to open database file\n"


def test_award_leaves_its_notice_to_a_daemon_where_only_a_hub_can_publish(
    any_deployment: Place,
) -> None:
    any_deployment.configure(zmq_enabled=False)

    done = any_deployment.call("award", "alice", "first-step", "--create", *WHY)

    assert (done.exit_code, done.stdout) == (0, "alice now has first-step\n")
    assert "Left to the daemon to publish. 'zmq_enabled' is False" in done.stderr
    with engine(any_deployment.settings.tahrir_url).connect() as connection:
        left = connection.execute(sa.select(OUTBOX.c.topic, OUTBOX.c.leased_until)).all()
    # A daemon need not wait until a lease ends.
    assert left == [("badge.award", None), ("person.rank.advance", None)]


def test_award_without_an_outbox_refuses_a_bus_that_only_a_hub_can_use(deployment: Place) -> None:
    deployment.configure(zmq_enabled=False)
    OUTBOX.drop(engine(deployment.settings.tahrir_url))

    done = deployment.call("award", "alice", "speaker", "--create", *WHY)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "only a hub can publish on such a bus" in done.stderr
    assert awards(deployment.databases) == []


def test_award_changes_nothing_if_no_address_is_free(deployment: Place) -> None:
    bus = Bus()
    one = bus.endpoints[f"fedbadges.{HOST}"][:1]
    with socket.socket() as other:
        other.bind(("", int(one[0].rpartition(":")[2])))
        other.listen()
        deployment.configure(endpoints={f"fedbadges.{HOST}": one})
        done = deployment.call("award", "alice", "first-step", "--create", *WHY)
    bus.close()

    assert (done.exit_code, done.stdout) == (2, "")
    assert "needs an address of its own" in done.stderr
    assert "--no-publish" in done.stderr
    assert awards(deployment.databases) == []
    with tahrir(deployment.databases) as database:
        assert database.get_badge("first-step") is None


def test_award_publishes_the_award_and_the_rank(deployment: Place) -> None:
    bus = Bus()
    deployment.configure(endpoints=bus.endpoints, environment="dev")

    done = deployment.call("award", "alice", "speaker", "--create", *WHY, "--format", "json")

    # It was sent when the command had ended.
    award = bus.wait_for_award("alice", "speaker")
    (rank,) = bus.heard("fedbadges.person.rank.advance")
    bus.close()
    assert (done.exit_code, json.loads(done.stdout)["on_bus"]) == (0, True)
    with tahrir(deployment.databases) as database:
        number = database.get_person(nickname="alice").id
    assert award["msg"] == {
        "badge": {
            "name": "Speaker",
            "description": "Gave a talk",
            "image_url": "https://badges.example.org/pngs/speaker.png",
            "badge_id": "speaker",
        },
        "user": {"username": "alice", "badges_user_id": number},
        "by_hand": {"operator": "root", "reason": "spoke at the conference", "link": None},
    }
    assert (rank["msg"]["person"]["nickname"], rank["msg"]["person"]["rank"]) == ("alice", 1)


def test_ctrl_c_after_an_award_reports_what_was_done(deployment: Place) -> None:
    bus = Bus()
    deployment.configure(endpoints=bus.endpoints, environment="dev")
    command = [Path(sys.executable).with_name("fedbadges"), "award", "alice", "speaker", "--create"]
    running = subprocess.Popen(
        [*command, *WHY, "--config", deployment.directory / "config.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    line = running.stderr.readline()
    # Listeners are given their time now.
    running.send_signal(signal.SIGINT)
    printed, said = running.communicate(timeout=TIMEOUT)
    bus.close()

    assert line.startswith("Awarded badge badge=speaker user=alice ")
    assert (running.returncode, printed) == (2, "")
    assert said == "Stopped; nothing was changed except what is printed above\n"
    assert awards(deployment.databases) == [("alice", "speaker")]


@pytest.mark.slow
def test_award_refuses_a_user_without_an_account(deployment: Place) -> None:
    pytest.importorskip("fasjson_client", reason="make test-slow installs the extra fasjson")
    service = Fasjson(users={"alice": User()})
    deployment.configure(
        **{
            "badges.accounts": "fasjson",
            "badges.fasjson.url": service.url,
            "badges.fasjson.auth": False,
        }
    )
    refused, done = deployment.award("bob", "speaker"), deployment.award("alice", "speaker")
    service.server.stop()

    assert (refused.exit_code, refused.stderr) == (2, "there is no account 'bob'\n")
    assert done.exit_code == 0
    assert awards(deployment.databases) == [("alice", "speaker")]


# People whom tahrir does not know


def test_award_refuses_a_name_that_tahrir_does_not_know(any_deployment: Place) -> None:
    any_deployment.add_people("alice", "Alicia", "bob", "under_score", "underXscore")

    done = any_deployment.call("award", "alcie", "speaker", "--no-publish", *WHY)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "tahrir does not know 'alcie'; did you mean 'alice' or 'alicia'? "
        "--create creates the person\n"
    )
    assert awards(any_deployment.databases) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("galdys", "gladys"),
        ("lgadys", "gladys"),
        ("gladsy", "gladys"),
        ("ladys", "gladys"),
        ("glladys", "gladys"),
        ("gladyss", "gladys"),
        ("g_adys", "gladys"),
        ("ab", "a"),
        ("under_scor", "under_score"),
        ("quux", None),
    ],
)
def test_award_suggests_the_name_that_was_meant(
    deployment: Place, name: str, meant: str | None
) -> None:
    deployment.add_people("gladys", "a", "under_score", "zed")

    done = deployment.call("award", name, "speaker", "--no-publish", *WHY)

    hint = "" if meant is None else f"did you mean '{meant}'? "
    assert done.stderr == (f"tahrir does not know '{name}'; {hint}--create creates the person\n")


def test_award_accepts_known_names_and_addresses_without_create(deployment: Place) -> None:
    deployment.add_people("alice")
    with tahrir(deployment.databases) as database:
        database.add_person("bob@example.org", nickname="robert")
        database.session.commit()

    done = deployment.call("award", "Alice", "bob", "speaker", "--no-publish", *WHY)

    assert done.exit_code == 0
    assert awards(deployment.databases) == [("alice", "speaker"), ("robert", "speaker")]


def test_award_date_is_the_given_one(deployment: Place) -> None:
    done = deployment.award("alice", "speaker", "--when", "2025-11-20T14:30+02:00")

    assert done.exit_code == 0
    with tahrir(deployment.databases) as database:
        (assertion,) = database.get_assertions_by_email("alice@example.org")
        assert assertion.issued_on == datetime.datetime(2025, 11, 20, 12, 30)


@pytest.mark.parametrize(
    ("when", "wrong"),
    [
        ("9999-01-01", "'9999-01-01' is in the future"),
        ("1969-12-31", "'1969-12-31' is before 1970"),
        ("0001-01-01", "'0001-01-01' is before 1970"),
        ("0206-11-20T14:30+01:00", "'0206-11-20T14:30+01:00' is before 1970"),
        ("900 years ago", "'900 years ago' is before 1970"),
        ("soon", "'soon' is no date, such as 2026-11-20 or 2026-11-20T14:30+01:00"),
    ],
)
def test_award_refuses_a_date_in_the_future_or_before_1970_or_of_another_form(
    deployment: Place, when: str, wrong: str
) -> None:
    done = deployment.award("alice", "speaker", "--when", when)

    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"{wrong}\n")


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [((), "argument 'USER'"), (("alice",), "argument 'BADGE'")],
)
def test_award_requires_a_user_and_a_badge(
    deployment: Place, arguments: tuple[str, ...], missing: str
) -> None:
    done = deployment.award(*arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert f"Missing {missing}" in done.stderr


def test_award_publishes_what_another_command_left(deployment: Place) -> None:
    bus = Bus()
    deployment.configure(endpoints=bus.endpoints, environment="dev")
    killed = Tahrir(deployment.settings, announce=True)
    killed.award([Award("speaker", "bob")])
    with engine(deployment.settings.tahrir_url).begin() as connection:
        connection.execute(OUTBOX.update().values(leased_until=None))

    done = deployment.call("award", "alice", "speaker", "--create", *WHY)

    bus.wait_for_award("alice", "speaker")
    bus.wait_for_award("bob", "speaker")
    bus.close()
    assert done.exit_code == 0
    with engine(deployment.settings.tahrir_url).connect() as connection:
        assert connection.execute(OUTBOX.select()).all() == []


def test_award_without_publishing_leaves_nothing_to_publish(deployment: Place) -> None:
    deployment.award("alice", "speaker")

    with engine(deployment.settings.tahrir_url).connect() as connection:
        assert connection.execute(OUTBOX.select()).all() == []
