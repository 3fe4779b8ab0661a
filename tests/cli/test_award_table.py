"""``fedbadges award`` for several people, and for those in a table."""

import datetime
import errno
import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import pytest
import sqlalchemy as sa
from support.award_deployment import WHY, Place
from support.builders import statements
from support.bus import Bus
from support.databases import Databases, awards, badges, tahrir
from support.tahrir import delete_badge
from tahrir_api.model import Assertion, Person

from fedbadges.cli import change
from fedbadges.cli.award import command
from fedbadges.databases.connections import engine
from fedbadges.errors import Unavailable
from fedbadges.tahrir.awarding import Award, BulkAwardResult
from fedbadges.tahrir.database import Tahrir


@pytest.fixture(autouse=True)
def _operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run commands as root, without a system log, in the directory with the tables."""
    monkeypatch.setattr(change, "SYSTEM_LOG", tmp_path / "log")
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> Place:
    made = Place(sqlite_database, tmp_path)
    made.add_people("alice", "bob", "carol")
    return made


@pytest.fixture
def any_deployment(database: Databases, tmp_path: Path) -> Place:
    """Return the same on each kind of database, for tests of SQL."""
    made = Place(database, tmp_path)
    made.add_people("alice", "bob", "carol")
    return made


def from_table(deployment: Place, *lines: str, badge: tuple[str, ...] = ("speaker",)) -> Any:
    """Award to those in a table, with the badge and the reason as arguments."""
    deployment.write_table(*lines)
    return deployment.call("award", "--from", "people.csv", "--no-publish", *badge, *WHY)


def issued(deployment: Place) -> dict[str, datetime.datetime]:
    """Return the date of the award of each person."""
    statement = sa.select(Person.nickname, Assertion.issued_on).join(Person.assertions)
    with engine(deployment.settings.tahrir_url).connect() as connection:
        return {row.nickname: row.issued_on for row in connection.execute(statement)}


# Several people as arguments


def test_award_to_several_people_prints_a_line_for_each(deployment: Place) -> None:
    deployment.call("award", "bob", "speaker", "--no-publish", *WHY)

    done = deployment.call("award", "alice", "bob", "Carol", "speaker", "--no-publish", *WHY)

    assert done.exit_code == 0
    assert done.stdout == "alice now has speaker\nbob already has speaker\ncarol now has speaker\n"
    assert done.stderr.splitlines()[-1] == "2 awarded, 1 held before"
    assert awards(deployment.databases) == [(name, "speaker") for name in ("alice", "bob", "carol")]


def test_award_to_several_people_is_refused_if_one_is_unknown(deployment: Place) -> None:
    done = deployment.call("award", "alice", "karol", "koji", "speaker", "--no-publish", *WHY)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "tahrir does not know 'karol'; did you mean 'carol'? --create creates the person\n"
        "'koji' is among 'badges.banned_usernames'\n"
    )
    assert awards(deployment.databases) == []


def test_person_who_is_named_twice_gets_one_award(deployment: Place) -> None:
    done = deployment.call("award", "alice", "ALICE", "speaker", "--no-publish", *WHY)

    assert (done.exit_code, done.stdout) == (
        0,
        "alice now has speaker\nalice is listed for speaker above\n",
    )


def test_exit_code_is_1_if_somebody_of_several_opted_out(deployment: Place) -> None:
    with tahrir(deployment.databases) as database:
        database.get_person(nickname="bob").opt_out = True
        database.session.commit()

    done = deployment.call("award", "alice", "bob", "speaker", "--no-publish", *WHY)

    assert (done.exit_code, done.stdout) == (
        1,
        "alice now has speaker\nbob has opted out, so speaker is not awarded\n",
    )


# Tables


def test_table_has_a_badge_a_reason_a_link_and_a_date_for_each(any_deployment: Place) -> None:
    any_deployment.write_table(
        "when, Link ,user,reason,badge",
        '2025-11-20T14:30+02:00,https://example.org/1,alice,"spoke, well",speaker',
        "2025-11-21,,Bob,walked,first-step",
    )

    done = any_deployment.call("award", "--from", "people.csv", "--no-publish")

    assert (done.exit_code, done.stdout) == (
        0,
        "people.csv:2: alice now has speaker\npeople.csv:3: bob now has first-step\n",
    )
    assert done.stderr == (
        'Awarded badge badge=first-step user=bob operator=root reason="walked"\n'
        'Awarded badge badge=speaker user=alice operator=root reason="spoke, well"\n'
        "2 awarded\n"
    ).replace('"walked"', "walked")
    assert badges(any_deployment.databases, "alice") == {"speaker": "https://example.org/1"}
    assert badges(any_deployment.databases, "bob") == {"first-step": None}
    assert issued(any_deployment) == {
        "alice": datetime.datetime(2025, 11, 20, 12, 30),
        "bob": datetime.datetime(2025, 11, 21),
    }


def test_arguments_are_for_lines_that_lack_a_value(deployment: Place) -> None:
    deployment.write_table("user,badge,link", "alice", "bob,first-step", "carol,,https://c.example")

    done = deployment.call(
        "award", "--from", "people.csv", "speaker", *WHY, "--no-publish",
        "--link", "https://all.example", "--when", "2025-01-02",
    )  # fmt: skip

    assert done.exit_code == 0
    assert badges(deployment.databases, "alice") == {"speaker": "https://all.example"}
    assert badges(deployment.databases, "bob") == {"first-step": "https://all.example"}
    assert badges(deployment.databases, "carol") == {"speaker": "https://c.example"}
    assert set(issued(deployment).values()) == {datetime.datetime(2025, 1, 2)}


def test_table_is_read_from_standard_input(deployment: Place) -> None:
    done = deployment.call(
        "award", "--from", "-", "speaker", "--no-publish", *WHY, input="user\nalice\n"
    )

    assert (done.exit_code, done.stdout) == (0, "<stdin>:2: alice now has speaker\n")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffuser,link\r\nalice,\r\n\r\n , \r\nbob\r\n",
        "user;link\nalice;\nbob;",
        "user\tlink\nalice\t\n\nbob",
        '"user","link"\n"alice",""\n"bob",""\n',
    ],
    ids=["BOM, CRLF and blank lines", "semicolons", "tabs", "quotes"],
)
def test_table_may_come_from_a_spreadsheet(deployment: Place, text: str) -> None:
    (deployment.directory / "people.csv").write_bytes(text.encode())

    done = deployment.call("award", "--from", "people.csv", "speaker", "--no-publish", *WHY)

    assert (done.exit_code, done.stderr.splitlines()[-1]) == (0, "2 awarded")
    assert awards(deployment.databases) == [("alice", "speaker"), ("bob", "speaker")]


def test_all_mistakes_in_a_table_are_printed_with_their_places(deployment: Place) -> None:
    done = from_table(
        deployment,
        "user,badge,reason,link,when",
        "alice,,,,",
        "alcie,speeker,,,tomorrow",
        "a b,,,,9999-01-01",
        ',first-step,"on two',
        f'lines",{"x" * 257},2025-01-01,too,much',
        "koji,speaker",
    )

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "people.csv:3:1: tahrir does not know 'alcie'; did you mean 'alice'? "
        "--create creates the person",
        "people.csv:3:7: tahrir has no badge 'speeker' and no rule gives it; "
        "did you mean 'speaker'?",
        "people.csv:3:17: 'tomorrow' is no date, such as 2026-11-20 or 2026-11-20T14:30+01:00",
        "people.csv:4:1: 'a b' is not an account name: it has characters that no account name has",
        "people.csv:4:8: '9999-01-01' is in the future",
        "people.csv:5:1: there is no user",
        "people.csv:6:8: 'link' is text of 1 to 256 characters",
        "people.csv:6:277: there are only 5 columns",
        "people.csv:6:281: there are only 5 columns",
        "people.csv:7:1: 'koji' is among 'badges.banned_usernames'",
    ]
    assert awards(deployment.databases) == []


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ([], ["people.csv:1:1: the first line names no column 'user'"]),
        (["user"], ["people.csv: nobody is listed below the header"]),
        (
            ["usr,user,name,user", "alice"],
            [
                "people.csv:1:1: no column is called 'usr'; did you mean 'user'?",
                "people.csv:1:10: no column is called 'name'; expected 'user', 'badge', 'reason', "
                "'link' or 'when'",
                "people.csv:1:15: there are two columns 'user'",
            ],
        ),
        (["badge", "speaker"], ["people.csv:1:1: the first line names no column 'user'"]),
        (
            ["user,link", "alice,", '"bob,'],
            ["people.csv:3:1: not CSV: unexpected end of data"],
        ),
    ],
)
def test_table_that_cannot_be_read_is_refused(
    deployment: Place, lines: list[str], wrong: list[str]
) -> None:
    done = from_table(deployment, *lines)

    assert (done.exit_code, done.stdout, done.stderr.splitlines()) == (2, "", wrong)
    assert awards(deployment.databases) == []


def test_badge_and_reason_are_required_in_a_table_or_as_arguments(deployment: Place) -> None:
    deployment.write_table("user,reason", "alice,spoke", "bob,")

    no_badge = deployment.call("award", "--from", "people.csv", "--no-publish")
    no_reason = deployment.call("award", "--from", "people.csv", "--no-publish", "speaker")

    assert (no_badge.exit_code, no_badge.stderr) == (
        2,
        "people.csv:1:1: the first line names no column 'badge'\n",
    )
    assert (no_reason.exit_code, no_reason.stderr) == (2, "people.csv:3:5: there is no reason\n")


def test_closed_standard_input_is_no_table(
    deployment: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = next(each for each in command.award.params if each.name == "table")
    monkeypatch.setattr("sys.stdin", None)

    with pytest.raises(click.BadParameter, match="standard input is closed"):
        option.type.convert("-", option, None)


def test_table_on_a_device_that_fails_is_refused(deployment: Place) -> None:
    # Linux lets a process open its own memory, of which the first page is never there.
    done = deployment.call("award", "--from", "/proc/self/mem", "--no-publish", "speaker", *WHY)

    assert (done.exit_code, done.stderr) == (2, "/proc/self/mem: Input/output error\n")


def test_table_in_another_encoding_is_refused(deployment: Place) -> None:
    (deployment.directory / "people.csv").write_bytes("user,reason\nalice,é\n".encode("latin-1"))

    done = deployment.call("award", "--from", "people.csv", "speaker", "--no-publish", *WHY)

    assert (done.exit_code, done.stderr) == (2, "people.csv:2:7: the table is not in UTF-8\n")


def test_people_beside_a_table_are_refused(deployment: Place) -> None:
    deployment.write_table("user", "alice")

    done = deployment.call("award", "--from", "people.csv", "bob", "speaker", *WHY)

    assert done.exit_code == 2
    assert "With --from, the only argument is BADGE" in done.stderr


def test_wrong_badge_of_an_argument_is_one_mistake_for_all_lines(deployment: Place) -> None:
    done = from_table(deployment, "user", "alice", "bob", badge=("speeker",))

    assert (done.exit_code, done.stderr) == (
        2,
        "tahrir has no badge 'speeker' and no rule gives it; did you mean 'speaker'?\n",
    )


def test_create_creates_everybody_whom_tahrir_does_not_know(any_deployment: Place) -> None:
    any_deployment.write_table("user", "alice", "dora", "erin")

    done = any_deployment.award("--from", "people.csv", "speaker")

    assert done.exit_code == 0
    with tahrir(any_deployment.databases) as database:
        assert database.get_person(nickname="dora").email == "dora@example.org"


def test_dry_run_of_a_table_changes_nothing(deployment: Place) -> None:
    deployment.write_table("user,badge", "alice,speaker", "dora,first-step")

    done = deployment.award("--from", "people.csv", "--dry-run")

    assert (done.exit_code, done.stdout, done.stderr) == (
        0,
        "people.csv:2: alice would get speaker\npeople.csv:3: dora would get first-step\n",
        "2 to award\n",
    )
    assert awards(deployment.databases) == []
    with tahrir(deployment.databases) as database:
        assert database.get_person(nickname="dora") is None
        assert database.get_badge("first-step") is None


def test_table_as_json_has_an_object_for_each_line(deployment: Place) -> None:
    deployment.call("award", "bob", "speaker", "--no-publish", *WHY)
    deployment.write_table("user,reason,when", "alice,a\x01b,2025-11-20", "bob,,")

    done = deployment.call(
        "award", "--from", "people.csv", "speaker", "--no-publish", *WHY, "--format", "json"
    )

    common = {"badge": "speaker", "link": None, "error": None, "revoked": None}
    assert json.loads(done.stdout) == {
        "dry_run": False,
        "complete": True,
        "on_bus": False,
        "awards": [
            {
                "line": 2,
                "user": "alice",
                "outcome": "awarded",
                "reason": "a\\x01b",
                "when": "2025-11-20T00:00:00Z",
                **common,
            },
            {
                "line": 3,
                "user": "bob",
                "outcome": "held",
                "reason": "spoke at the conference",
                "when": None,
                **common,
            },
        ],
    }


def test_table_is_awarded_in_few_statements_and_adjusts_ranks_once(
    any_deployment: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    adjusted: list[list[int]] = []
    adjust = Tahrir.adjust_ranks

    def note(tahrir: Tahrir, person_ids: Iterable[int]) -> Any:
        adjusted.append(list(person_ids))
        return adjust(tahrir, person_ids)

    monkeypatch.setattr(Tahrir, "adjust_ranks", note)
    people = [f"person{number}" for number in range(200)]
    any_deployment.write_table("user", *people)

    with statements(any_deployment.settings.tahrir_url) as sent:
        done = any_deployment.award("--from", "people.csv", "speaker")

    assert done.exit_code == 0
    assert len(sent) < 20
    assert [len(each) for each in adjusted] == [200]
    assert any_deployment.rank("person7") == 1


# Stopping, and running it again


class Failing:
    """Stops what awards the second batch, once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop: Any) -> None:
        self._award, self._stop, self._calls = Tahrir.award, stop, 0
        monkeypatch.setattr(command, "_BATCH", 1)
        monkeypatch.setattr(
            Tahrir, "award", lambda tahrir, awards, rules: self.award(tahrir, awards)
        )

    def award(self, tahrir: Tahrir, awards: Iterable[Award]) -> BulkAwardResult:
        self._calls += 1
        if self._calls == 2:
            self._stop()
        return self._award(tahrir, awards)


def go_away() -> None:
    raise Unavailable("tahrir: the server went away")


def press_ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_outage_reports_what_was_done_and_the_next_run_awards_the_rest(
    deployment: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing(monkeypatch, go_away)

    stopped = from_table(deployment, "user", "alice", "bob", "carol")

    assert (stopped.exit_code, stopped.stdout) == (
        2,
        "people.csv:2: alice now has speaker\n"
        "people.csv:3: bob was not reached, so speaker is not awarded\n"
        "people.csv:4: carol was not reached, so speaker is not awarded\n",
    )
    assert stopped.stderr.splitlines()[1:] == [
        "1 awarded, 2 not reached",
        "tahrir: the server went away",
        "Run the command again to award the rest",
    ]
    assert deployment.rank("alice") == 1
    again = from_table(deployment, "user", "alice", "bob", "carol")
    assert (again.exit_code, again.stderr.splitlines()[-1]) == (0, "2 awarded, 1 held before")
    third = from_table(deployment, "user", "alice", "bob", "carol")
    assert (third.exit_code, third.stderr) == (0, "3 held before\n")


def test_ctrl_c_ends_after_the_batch_and_reports_what_was_done(
    deployment: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing(monkeypatch, press_ctrl_c)
    deployment.write_table("user", "alice", "bob", "carol")

    stopped = deployment.award("--from", "people.csv", "speaker", "--format", "json")

    result = json.loads(stopped.stdout)
    assert (stopped.exit_code, result["complete"]) == (2, False)
    assert [each["outcome"] for each in result["awards"]] == ["awarded", "awarded", "not-reached"]
    assert "Run the command again to award the rest" in stopped.stderr
    assert awards(deployment.databases) == [("alice", "speaker"), ("bob", "speaker")]
    assert deployment.rank("bob") == 1


def deletes(deployment: Place, badge: str) -> Any:
    """Return what deletes a badge."""

    def delete() -> None:
        with tahrir(deployment.databases) as database:
            delete_badge(database, badge)

    return delete


def test_badge_that_is_deleted_meanwhile_is_created_again_from_its_rule(
    deployment: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing(monkeypatch, deletes(deployment, "first-step"))

    done = from_table(deployment, "user", "alice", "bob", "carol", badge=("first-step",))

    assert (done.exit_code, done.stderr.splitlines()[-1]) == (0, "3 awarded")
    assert awards(deployment.databases) == [("bob", "first-step"), ("carol", "first-step")]


def test_badge_of_no_rule_that_is_deleted_meanwhile_is_refused_to_the_rest(
    deployment: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    Failing(monkeypatch, deletes(deployment, "speaker"))

    done = from_table(deployment, "user", "alice", "bob", "carol")

    assert (done.exit_code, done.stderr.splitlines()[-1]) == (1, "1 awarded, 2 refused")
    assert "bob was not awarded speaker: MissingBadges" in done.stdout


def test_people_get_the_badge_though_nobody_reads_the_log(
    deployment: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo = click.echo

    def fail_after_the_reader_left(text: str, err: bool = False) -> None:
        if text.startswith("Awarded badge"):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        echo(text, err=err)

    monkeypatch.setattr(click, "echo", fail_after_the_reader_left)

    done = from_table(deployment, "user", "alice", "bob")

    assert done.exit_code == 0
    assert done.stdout == (
        "people.csv:2: alice now has speaker\npeople.csv:3: bob now has speaker\n"
    )


def test_award_that_tahrir_refuses_does_not_cost_the_others(
    deployment: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class RefuseBob:
        def __init__(self) -> None:
            self._award = Tahrir.award

        def __call__(self, tahrir: Tahrir, wanted: Iterable[Award]) -> BulkAwardResult:
            listed = list(wanted)
            result = self._award(tahrir, [each for each in listed if each.username != "bob"])
            refused = [each for each in listed if each.username == "bob"]
            return BulkAwardResult(result.given, tuple((e, ValueError("no bob")) for e in refused))

    refuse = RefuseBob()
    monkeypatch.setattr(Tahrir, "award", lambda tahrir, wanted, rules: refuse(tahrir, wanted))

    done = from_table(deployment, "user", "alice", "bob")

    assert (done.exit_code, done.stdout) == (
        1,
        "people.csv:2: alice now has speaker\n"
        "people.csv:3: bob was not awarded speaker: ValueError('no bob')\n",
    )
    one = deployment.award("bob", "speaker")
    assert (one.exit_code, one.stderr) == (
        2,
        "speaker for bob was refused: ValueError('no bob')\n",
    )


def test_notices_of_a_table_have_the_reason_and_the_link_of_each_line(deployment: Place) -> None:
    bus = Bus()
    deployment.configure(endpoints=bus.endpoints, environment="dev")
    deployment.write_table("user,reason,link", "alice,spoke,https://a.example", "bob,helped,")

    done = deployment.call("award", "--from", "people.csv", "speaker", "--format", "json")

    notices = [bus.wait_for_award(name, "speaker")["msg"]["by_hand"] for name in ("alice", "bob")]
    ranks = bus.heard("fedbadges.person.rank.advance")
    bus.close()
    assert json.loads(done.stdout)["on_bus"] is True
    assert notices == [
        {"operator": "root", "reason": "spoke", "link": "https://a.example"},
        {"operator": "root", "reason": "helped", "link": None},
    ]
    assert sorted(each["msg"]["person"]["nickname"] for each in ranks) == ["alice", "bob"]
