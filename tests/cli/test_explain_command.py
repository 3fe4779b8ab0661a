"""``fedbadges explain``: what it prints, and what it exits with."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.builders import make_message
from support.commanded import Commanded, question
from support.databases import Databases

from fedbadges.tahrir.awarding import Award

PUSHED = f"""
trigger: {{all: [{{topic: git.receive}}, {{not: {{lambda: "msg['msg'].get('draft')"}}}}]}}
criteria: {question("%(topic)s", "{greater than: 2}")}
recipient: "%(msg.users)s"
"""
TOPIC = "org.fedoraproject.dev.git.receive"


@pytest.fixture
def desk(database: Databases, tmp_path: Path) -> Commanded:
    desk = Commanded(database, tmp_path)
    desk.write("pushed", PUSHED)
    return desk


@pytest.fixture
def quick(tmp_path: Path) -> Commanded:
    """A deployment on SQLite, for what has nothing to do with databases."""
    databases = Databases("sqlite", f"sqlite:///{tmp_path}/t.db", f"sqlite:///{tmp_path}/d.db")
    desk = Commanded(databases, tmp_path)
    desk.write("pushed", PUSHED)
    return desk


def message(desk: Commanded, *users: Any, **envelope: Any) -> Path:
    """Returns a file with a message that names these users."""
    sent = {"timestamp": 1412338000, "msg_id": "2014-1"} | envelope
    path = desk.directory / "message.json"
    path.write_text(json.dumps(make_message("git.receive", {"users": list(users)}, **sent).body))
    return path


def test_it_says_every_step_of_the_decision(desk: Commanded) -> None:
    for number in range(3):
        desk.store("git.receive", ["bob"] if number else ["alice", "bob"])

    done = desk.call("explain", message(desk, "Alice", "bob", "10.0.0.1"))

    path = desk.rules / "pushed.yml"
    assert done.stdout == (
        f"2014-1: {TOPIC}, sent 2014-10-03 12:06:40 UTC\n"
        "└─ datanommer does not have it, so it is not counted; the daemon first waits for it,"
        " up to 3 seconds\n"
        f"pushed ({path}): bob gets it\n"
        "├─ trigger: holds\n"
        "│  └─ all: yes\n"
        f"│     ├─ topic git.receive: yes, the message has {TOPIC}\n"
        "│     └─ not: yes\n"
        "│        └─ lambda msg['msg'].get('draft'): no, it gives None\n"
        "├─ recipient %(msg.users)s: alice and bob\n"
        "│  ├─ 'Alice' is alice\n"
        "│  └─ '10.0.0.1' is an IP address\n"
        "├─ alice does not get it: the criteria do not hold\n"
        "│  └─ criteria: do not hold\n"
        "│     └─ datanommer count, greater than 2: no, 1 of 3\n"
        f"│        ├─ topics: {TOPIC}\n"
        "│        └─ users: alice\n"
        "└─ bob gets it\n"
        "   └─ criteria: hold\n"
        "      └─ datanommer count, greater than 2: yes, at least 3 of 3\n"
        f"         ├─ topics: {TOPIC}\n"
        "         └─ users: bob\n"
        "bob gets pushed\n"
    )
    assert (done.exit_code, done.stderr) == (0, "")


def test_json_has_the_same(desk: Commanded) -> None:
    desk.store("git.receive", ["alice"], msg_id="2014-1")
    desk.configure(banned_usernames=["robot"])

    done = desk.call("explain", "--format", "json", message(desk, "alice", "robot"))

    said = json.loads(done.stdout)
    (rule,) = said["rules"]
    (candidate,) = rule["candidates"]
    assert list(said) == ["message", "user", "rules", "other_rules", "awards", "interrupted"]
    assert said["message"]["stored"] is True
    assert said["awards"] == []
    assert rule["badge"] == "pushed"
    assert rule["trigger"]["parts"][1]["parts"][0] == {
        "part": "lambda",
        "text": "msg['msg'].get('draft')",
        "asked": True,
        "holds": False,
        "raised": None,
        "gave": None,
    }
    assert rule["recipient"]["found"] == [
        {"raw": "alice", "user": "alice", "dropped": None},
        {"raw": "robot", "user": None, "dropped": "is among the banned usernames"},
    ]
    assert (candidate["user"], candidate["verdict"]) == ("alice", "criteria")
    assert candidate["criteria"] == {
        "part": "datanommer",
        "text": "count, greater than 2",
        "asked": True,
        "holds": False,
        "raised": None,
        "filter": {"topics": [TOPIC], "users": ["alice"]},
        "at_least": False,
        "value": 1,
        "needed": 3,
    }
    assert done.exit_code == 1


def test_a_message_comes_from_datanommer_by_its_id(desk: Commanded) -> None:
    for number in range(3):
        desk.store("git.receive", ["alice"], {"users": ["alice"]}, msg_id=f"2014-{number}")

    done = desk.call("explain", "--id", "2014-1")

    assert "datanommer has it" in done.stdout
    assert done.stdout.endswith("alice gets pushed\n")
    assert done.exit_code == 0


def test_whom_datanommer_names_are_the_candidates_without_a_recipient(desk: Commanded) -> None:
    desk.write("pushed", PUSHED.replace('recipient: "%(msg.users)s"\n', ""))
    desk.store("git.receive", ["alice"], msg_id="2014-1")

    assert "usernames of the message: alice" in desk.call("explain", "--id", "2014-1").stdout


def test_a_message_comes_from_standard_input(quick: Commanded) -> None:
    text = message(quick, "alice").read_bytes()

    assert quick.call("explain", "-", input=text).stdout.startswith(f"2014-1: {TOPIC}")


def test_one_user_decides_the_exit_code(desk: Commanded) -> None:
    for _ in range(3):
        desk.store("git.receive", ["bob"])
    sent = message(desk, "alice", "bob")

    alice, bob, carol = (
        desk.call("explain", "--user", name, sent) for name in ("Alice", "bob", "carol")
    )

    assert [done.exit_code for done in (alice, bob, carol)] == [1, 0, 1]
    assert "bob gets it" not in alice.stdout
    assert alice.stdout.endswith("\nalice gets no badge\n")
    assert bob.stdout.endswith("\nbob gets pushed\n")
    assert "carol is not among them" in carol.stdout


def test_since_when_a_badge_is_held_is_said(desk: Commanded) -> None:
    desk.tahrir.award([Award("pushed", "alice")])

    done = desk.call("explain", message(desk, "alice"))

    assert "alice holds it already, since 20" in done.stdout


def test_other_rules_are_one_line_and_one_that_is_asked_for_is_shown(quick: Commanded) -> None:
    path = quick.write("edited", PUSHED.replace("git.receive", "wiki.edit"))
    sent = message(quick, "alice")

    everything = quick.call("explain", sent)
    by_id, by_path = (quick.call("explain", "--badge", name, sent) for name in ("edited", path))

    assert "1 other rule waits for messages of other topics" in everything.stdout
    assert by_id.stdout == by_path.stdout
    assert f"topic wiki.edit: no, the message has {TOPIC}" in by_id.stdout
    assert "not: not asked, the answer was settled before" in by_id.stdout
    assert by_id.exit_code == 1


def test_a_rule_that_is_not_in_force_can_be_asked_about(quick: Commanded, tmp_path: Path) -> None:
    new = tmp_path / "new.yml"
    new.write_text((quick.rules / "pushed.yml").read_text().replace("pushed", "new"))

    done = quick.call("explain", "--badge", new, message(quick, "alice"))

    assert f"new ({new}): nobody gets it" in done.stdout


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ('{filter: {users: ["%(msg.nobody)s"]}, operation: count, condition: {greater than: 0}}',
         "fails, the message has no msg.nobody"),
        (question("a", "{lambda: \"value['x']\"}"), "fails, TypeError("),
        (question("a", "{less than: 0}"), "count, less than 0: no, the value is 0"),
        (question("a", "{is not: 0}"), "count, is not 0: no, the value is 0"),
        (question("a", "{lambda: value}", "query.first()"), "lambda: value: no, the value is None"),
        (question("a", "{is greater than: 1}", "len(set(m.topic for m in query))"), "no, 0 of 2"),
    ],
)  # fmt: skip
def test_it_says_what_the_criteria_stumble_over(quick: Commanded, criteria: str, said: str) -> None:
    quick.write(
        "odd", f'trigger: {{topic: git.receive}}\ncriteria: {criteria}\nrecipient: "%(msg.users)s"'
    )

    done = quick.call("explain", "--badge", "odd", message(quick, "alice"))

    assert said in done.stdout
    assert done.stderr == ""


def test_other_backends_show_as_the_rule_has_them(quick: Commanded) -> None:
    quick.configure(**{"libravatar.url": "http://127.0.0.1:9/avatar"})
    quick.write(
        "seen",
        "trigger: {topic: git.receive}\n"
        "criteria: {any: [{libravatar: {exists: Yes}}]}\n"
        'recipient: "%(msg.users)s"',
    )

    done = quick.call("explain", "--badge", "seen", message(quick, "alice"))

    assert "libravatar exists: Yes: no answer, Libravatar at " in done.stdout
    assert f"seen ({quick.rules}/seen.yml): not all could be found out\n" in done.stdout
    assert "alice cannot be judged now" in done.stdout
    assert done.stderr.startswith("Libravatar at http://127.0.0.1:9/avatar: ")
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON: "),
        ("[" * 100_000, "no JSON: "),
        ("\x80", "no JSON: "),
        ("[]", "no message: that is an object with a 'topic', and more"),
        ('{"topic": 5}', "no message: that is an object with a 'topic', and more"),
    ],
)
def test_what_is_no_message_cannot_be_explained(quick: Commanded, text: str, said: str) -> None:
    path = quick.directory / "odd.json"
    path.write_bytes(text.encode("latin-1"))

    done = quick.call("explain", path)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{path}: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--id", "x", "-"]])
def test_there_is_one_message(quick: Commanded, arguments: list[str]) -> None:
    done = quick.call("explain", *arguments)

    assert done.exit_code == 2
    assert "say which message: a FILE or --id MSG_ID" in done.stderr


@pytest.mark.parametrize("msg_id", ["2014-none", "", "\x01\ud800", "a" * 300])
def test_a_message_that_datanommer_does_not_have(quick: Commanded, msg_id: str) -> None:
    done = quick.call("explain", "--id", msg_id)

    assert (done.exit_code, done.stderr) == (2, f"datanommer has no message {msg_id!r}\n")


def test_a_database_that_is_away_is_one_line(quick: Commanded) -> None:
    done = quick.call("explain", "--tahrir-url", "sqlite:////nowhere/t.db", message(quick, "alice"))

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "tahrir: unable to open database file\n"


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda values: st.one_of(st.lists(values), st.dictionaries(st.text(), values)),
    max_leaves=5,
)


@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    users=st.lists(st.one_of(VALUES, st.sampled_from(["[red]x[/red]", "\x1b[31m", "a\nb"]))),
    draft=VALUES,
    form=st.sampled_from(["text", "json"]),
)
def test_whatever_is_in_a_message_is_shown_as_text(
    quick: Commanded, users: list[Any], draft: Any, form: str
) -> None:
    path = quick.directory / "any.json"
    body = make_message("git.receive", {"users": users, "draft": draft}).body
    path.write_text(json.dumps(body))

    done = quick.call("explain", "--format", form, path)

    assert done.exit_code in (0, 1)
    assert all(line.isprintable() for line in done.stdout.splitlines())
    if form == "json":
        json.loads(done.stdout, parse_constant=pytest.fail)


def test_ctrl_c_is_one_line(quick: Commanded, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fedbadges.engine.engine.BadgeEngine.match", interrupted)

    done = quick.call("explain", message(quick, "alice"))

    assert (done.exit_code, done.stdout, done.stderr) == (2, "", "Stopped\n")
