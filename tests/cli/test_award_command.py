"""``fedbadges award`` and ``fedbadges revoke``: by hand, on both kinds of databases."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from support.builders import make_config, make_settings
from support.bus import HOST, Bus
from support.command import fedbadges
from support.databases import Databases, awards, badges, create_schemas, tahrir
from support.fasjson import Fasjson, User
from support.rules import counting_rule, write_rules
from tahrir_api.model import Badge as BadgeRow
from tahrir_api.model import Person

from fedbadges.cli.award import audit_log
from fedbadges.rules.rule import Badge
from fedbadges.tahrir.database import Tahrir

SPEAKER = Badge(
    id="speaker",
    name="Speaker",
    description="Gave a talk",
    image_url="https://badges.example.org/pngs/speaker.png",
    discussion="https://badges.example.org/ideas/3",
    creator="alice",
)
WHY = ("--reason", "spoke at the conference")


class Place:
    """A deployment without a daemon: tahrir with the badge Speaker, and a rule for First Step."""

    def __init__(self, databases: Databases, directory: Path) -> None:
        self.databases = databases
        self.directory = directory
        create_schemas(databases)
        write_rules(directory / "rules", {"first": counting_rule("First Step", "logger.first", 1)})
        self.settings = make_settings(databases, directory / "rules")
        Tahrir(self.settings).publish_badges([SPEAKER])
        self.configure()

    def configure(self, **others: Any) -> None:
        config = make_config(self.databases, self.directory / "rules") | {"endpoints": {}} | others
        (self.directory / "config.py").write_text(f"config = {config!r}\n")

    def call(self, command: str, *arguments: str) -> Result:
        config = ("--config", str(self.directory / "config.py"))
        return fedbadges(command, *config, *arguments)

    def award(self, *arguments: str) -> Result:
        return self.call("award", "--no-publish", *WHY, *arguments)

    def revoke(self, *arguments: str) -> Result:
        return self.call("revoke", *WHY, *arguments)

    def rank(self, username: str) -> int | None:
        with tahrir(self.databases) as database:
            return database.get_person(nickname=username).rank


@pytest.fixture
def place(database: Databases, tmp_path: Path) -> Place:
    return Place(database, tmp_path)


@pytest.fixture
def small(tmp_path: Path) -> Place:
    """The same on SQLite, where the database makes no difference."""
    return Place(
        Databases("sqlite", f"sqlite:///{tmp_path}/t.db", f"sqlite:///{tmp_path}/d.db"), tmp_path
    )


@pytest.fixture(autouse=True)
def system_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The system's log, as journald has it."""
    monkeypatch.setattr(audit_log, "SYSTEM_LOG", tmp_path / "log")
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.delenv("SUDO_USER", raising=False)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "log"))
        listener.setblocking(False)
        yield listener


# Awards


def test_somebody_gets_a_badge(place: Place) -> None:
    done = place.award("alice", "speaker", "--link", "https://conference.example.org/7")

    assert (done.exit_code, done.stdout) == (0, "alice has speaker now\n")
    assert badges(place.databases, "alice") == {"speaker": "https://conference.example.org/7"}
    with tahrir(place.databases) as database:
        assert database.get_person(nickname="alice").email == "alice@example.org"


def test_the_reason_and_who_gave_it_are_logged(
    small: Place, system_log: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "Awarded speaker to alice by hand (root): spoke at the conference"

    assert small.award("alice", "speaker").stderr == line + "\n"

    # 14 is a user's process at the level INFO.
    assert system_log.recv(1000) == f"<14>fedbadges: {line}".encode()
    monkeypatch.setenv("SUDO_USER", "carol")
    assert "by hand (carol)" in small.award("bob", "speaker").stderr


def test_without_a_system_log_the_line_is_said_all_the_same(small: Place, tmp_path: Path) -> None:
    (tmp_path / "log").unlink()

    done = small.award("alice", "speaker")

    assert done.exit_code == 0
    assert done.stderr == "Awarded speaker to alice by hand (root): spoke at the conference\n"


def test_a_reason_of_several_lines_is_logged_as_one(small: Place) -> None:
    done = small.call("award", "alice", "speaker", "--no-publish", "--reason", "a\nAwarded\x1b[0m")

    assert done.stderr == "Awarded speaker to alice by hand (root): a\\nAwarded\\x1b[0m\n"


def test_ranks_are_adjusted(place: Place) -> None:
    place.award("alice", "speaker")
    place.award("bob", "speaker")
    place.award("bob", "first-step")

    assert (place.rank("bob"), place.rank("alice")) == (1, 2)


def test_a_badge_that_only_a_rule_has_is_made(place: Place) -> None:
    assert place.award("alice", "first-step").exit_code == 0

    assert list(badges(place.databases, "alice")) == ["first-step"]
    with tahrir(place.databases) as database:
        assert database.get_badge("first-step").name == "First Step"


def test_names_are_kept_in_lower_case(small: Place) -> None:
    assert small.award("Alice", "speaker").stdout == "alice has speaker now\n"

    assert awards(small.databases) == [("alice", "speaker")]


def test_who_has_it_gets_it_not_again(place: Place) -> None:
    place.award("alice", "speaker")

    done = place.award("alice", "speaker")

    assert (done.exit_code, done.stdout, done.stderr) == (1, "alice has speaker already\n", "")
    assert awards(place.databases) == [("alice", "speaker")]


def test_who_opted_out_gets_nothing(place: Place) -> None:
    with tahrir(place.databases) as database:
        database.add_person("alice@example.org", nickname="alice")
        database.get_person(nickname="alice").opt_out = True
        database.session.commit()

    done = place.award("alice", "speaker")

    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout == "alice has opted out, and gets neither speaker nor any other badge\n"
    assert awards(place.databases) == []


def test_a_dry_run_changes_nothing(place: Place) -> None:
    done = place.award("alice", "first-step", "--dry-run")

    assert (done.exit_code, done.stdout) == (0, "alice would get first-step\n")
    assert done.stderr == ""
    with tahrir(place.databases) as database:
        assert database.get_person(nickname="alice") is None
        assert database.get_badge("first-step") is None


def test_a_dry_run_needs_no_bus(small: Place) -> None:
    done = small.call("award", "alice", "speaker", *WHY, "--dry-run")

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
def test_what_is_no_account_name_is_refused(small: Place, name: str, why: str) -> None:
    done = small.call("award", *WHY, "--", name, "speaker")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.rstrip("\n").endswith(f"is no account name: {why}")
    assert done.stderr.rstrip("\n").isprintable()


def test_a_program_is_refused(small: Place) -> None:
    done = small.award("koji", "speaker")

    assert (done.exit_code, done.stderr) == (2, "'koji' is among 'badges.banned_usernames'\n")


@pytest.mark.parametrize(
    ("badge", "meant"),
    [
        ("speeker", "; did you mean 'speaker'?"),
        ("Speaker", "; did you mean 'speaker'?"),
        ("First Step", "; did you mean 'first-step'?"),
        ("quux", ""),
    ],
)
def test_a_badge_that_nobody_knows_is_refused(small: Place, badge: str, meant: str) -> None:
    done = small.award("alice", badge)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"tahrir has no badge '{badge}' and no rule gives it{meant}\n"


def test_a_legacy_badge_is_refused(place: Place) -> None:
    with tahrir(place.databases) as database:
        database.session.execute(sa.update(BadgeRow).values(legacy=True))
        database.session.commit()

    done = place.award("alice", "speaker")

    assert done.exit_code == 2
    assert done.stderr == "'speaker' is a legacy badge in tahrir, which nobody can get\n"


@pytest.mark.parametrize("command", ["award", "revoke"])
def test_a_reason_is_required(small: Place, command: str) -> None:
    without = small.call(command, "alice", "speaker")
    assert without.exit_code == 2
    assert "MissingValue option '--reason'" in without.stderr

    empty = small.call(command, "alice", "speaker", "--reason", " ")
    assert empty.exit_code == 2
    assert empty.stderr == "--reason is empty; say why, for those who will read the log\n"


@pytest.mark.parametrize("link", ["https://example.org/" + "x" * 240, "", "https://\udcff"])
def test_a_link_that_tahrir_cannot_hold_is_refused(small: Place, link: str) -> None:
    done = small.award("alice", "speaker", "--link", link)

    assert (done.exit_code, done.stderr) == (2, "--link is text of 1 to 256 characters\n")


def test_json_says_what_was_done(small: Place) -> None:
    done = small.award("alice", "speaker", "--format", "json")

    assert json.loads(done.stdout) == {
        "user": "alice",
        "badge": "speaker",
        "outcome": "awarded",
        "reason": "spoke at the conference",
        "dry_run": False,
        "on_bus": False,
    }
    again = small.award("alice", "speaker", "--format", "json")
    assert (again.exit_code, json.loads(again.stdout)["outcome"]) == (1, "held")


def test_a_database_that_is_away_is_one_line(small: Place) -> None:
    done = small.award("alice", "speaker", "--tahrir-url", "sqlite:////nowhere/t.db")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "tahrir: unable to open database file\n"


def test_a_bus_that_only_a_hub_can_use_is_said_before_anything_is_done(small: Place) -> None:
    small.configure(zmq_enabled=False)

    done = small.call("award", "alice", "speaker", *WHY)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "only a hub can publish on such a bus" in done.stderr
    assert awards(small.databases) == []


def test_where_no_address_is_free_that_is_said_before_anything_is_done(small: Place) -> None:
    bus = Bus()
    one = bus.endpoints[f"fedbadges.{HOST}"][:1]
    with socket.socket() as other:
        other.bind(("", int(one[0].rpartition(":")[2])))
        other.listen()
        small.configure(endpoints={f"fedbadges.{HOST}": one})
        done = small.call("award", "alice", "first-step", *WHY)
    bus.close()

    assert (done.exit_code, done.stdout) == (2, "")
    assert "takes an address of its own" in done.stderr
    assert "--no-publish" in done.stderr
    assert awards(small.databases) == []
    with tahrir(small.databases) as database:
        assert database.get_badge("first-step") is None


def test_who_listens_to_the_bus_hears_of_it(place: Place) -> None:
    bus = Bus()
    place.configure(endpoints=bus.endpoints, environment="dev")

    done = place.call("award", "alice", "speaker", *WHY, "--format", "json")

    # It was sent when the command had ended.
    award = bus.wait_for_award("alice", "speaker")
    (rank,) = bus.heard("fedbadges.person.rank.advance")
    bus.close()
    assert (done.exit_code, json.loads(done.stdout)["on_bus"]) == (0, True)
    with tahrir(place.databases) as database:
        number = database.get_person(nickname="alice").id
    assert award["msg"] == {
        "badge": {
            "name": "Speaker",
            "description": "Gave a talk",
            "image_url": "https://badges.example.org/pngs/speaker.png",
            "badge_id": "speaker",
        },
        "user": {"username": "alice", "badges_user_id": number},
    }
    assert (rank["msg"]["person"]["nickname"], rank["msg"]["person"]["rank"]) == ("alice", 1)


def test_ctrl_c_after_the_award_is_said(small: Place) -> None:
    bus = Bus()
    small.configure(endpoints=bus.endpoints, environment="dev")
    command = [Path(sys.executable).with_name("fedbadges"), "award", "alice", "speaker", *WHY]
    running = subprocess.Popen(
        [*command, "--config", small.directory / "config.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    line = running.stderr.readline()
    # Listeners are given their time now.
    running.send_signal(signal.SIGINT)
    printed, said = running.communicate(timeout=20)
    bus.close()

    assert line.startswith("Awarded speaker to alice by hand")
    assert (running.returncode, printed) == (2, "")
    assert said == "Stopped: nothing is changed but what is said above\n"
    assert awards(small.databases) == [("alice", "speaker")]


def test_who_has_no_account_is_refused(small: Place) -> None:
    pytest.importorskip("fasjson_client")
    service = Fasjson(users={"alice": User()})
    small.configure(
        **{
            "badges.accounts": "fasjson",
            "badges.fasjson.url": service.url,
            "badges.fasjson.auth": False,
        }
    )
    refused, done = small.award("bob", "speaker"), small.award("alice", "speaker")
    service.server.stop()

    assert (refused.exit_code, refused.stderr) == (2, "there is no account 'bob'\n")
    assert done.exit_code == 0
    assert awards(small.databases) == [("alice", "speaker")]


# Revocations


def test_somebody_loses_a_badge(place: Place) -> None:
    place.award("alice", "speaker")
    place.award("alice", "first-step")
    place.award("bob", "speaker")

    done = place.revoke("alice", "speaker")

    assert (done.exit_code, done.stdout) == (0, "alice does not have speaker any more\n")
    assert done.stderr == "Revoked speaker from alice by hand (root): spoke at the conference\n"
    assert awards(place.databases) == [("alice", "first-step"), ("bob", "speaker")]
    assert (place.rank("alice"), place.rank("bob")) == (1, 1)


def test_who_loses_the_last_badge_has_no_rank(place: Place) -> None:
    place.award("alice", "speaker")
    place.award("bob", "speaker")
    place.award("bob", "first-step")

    place.revoke("bob", "first-step")
    place.revoke("bob", "speaker")

    assert (place.rank("alice"), place.rank("bob")) == (1, None)


def test_what_was_revoked_can_be_awarded_again(place: Place) -> None:
    place.award("alice", "speaker")
    place.revoke("alice", "speaker")

    assert place.award("alice", "speaker").exit_code == 0
    assert awards(place.databases) == [("alice", "speaker")]


@pytest.mark.parametrize("known", [True, False])
def test_who_does_not_have_it_loses_nothing(place: Place, known: bool) -> None:
    place.award("alice" if known else "bob", "first-step")

    done = place.revoke("alice", "speaker")

    assert (done.exit_code, done.stdout, done.stderr) == (1, "alice does not have speaker\n", "")


def test_a_dry_run_takes_nothing(place: Place) -> None:
    place.award("alice", "speaker")

    would, would_not = (place.revoke(name, "speaker", "--dry-run") for name in ("alice", "bob"))

    assert (would.exit_code, would.stdout, would.stderr) == (0, "alice would lose speaker\n", "")
    assert (would_not.exit_code, would_not.stdout) == (1, "bob does not have speaker\n")
    assert awards(place.databases) == [("alice", "speaker")]


def test_who_opted_out_can_still_lose_a_badge(place: Place) -> None:
    place.award("alice", "speaker")
    with tahrir(place.databases) as database:
        database.session.execute(sa.update(Person).values(opt_out=True))
        database.session.commit()

    assert place.revoke("alice", "speaker").exit_code == 0
    assert awards(place.databases) == []


def test_a_badge_that_tahrir_does_not_have_cannot_be_revoked(small: Place) -> None:
    done = small.revoke("alice", "speeker")

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "tahrir has no badge 'speeker'; did you mean 'speaker'?\n"
