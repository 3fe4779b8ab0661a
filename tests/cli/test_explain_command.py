"""``fedbadges explain``: its output and its exit codes."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.builders import make_message
from support.command_deployment import CommandDeployment, question
from support.databases import Databases
from support.tahrir import revoke

from fedbadges.tahrir.awarding import Award

PUSHED = f"""
trigger: {{all: [{{topic: git.receive}}, {{not: {{lambda: "msg['msg'].get('draft')"}}}}]}}
criteria: {question("%(topic)s", "{greater than: 2}")}
recipient: "%(msg.users)s"
"""
TOPIC = "org.fedoraproject.dev.git.receive"


def with_rule(deployment: CommandDeployment) -> CommandDeployment:
    deployment.write("pushed", PUSHED)
    return deployment


@pytest.fixture
def deployment(sqlite_database: Databases, tmp_path: Path) -> CommandDeployment:
    return with_rule(CommandDeployment(sqlite_database, tmp_path))


@pytest.fixture
def any_deployment(database: Databases, tmp_path: Path) -> CommandDeployment:
    """Return the same on each kind of database, for tests of SQL."""
    return with_rule(CommandDeployment(database, tmp_path))


def message(deployment: CommandDeployment, *users: Any, **envelope: Any) -> Path:
    """Return a file with a message that names these users."""
    sent = {"timestamp": 1412338000, "msg_id": "2014-1"} | envelope
    path = deployment.directory / "message.json"
    path.write_text(json.dumps(make_message("git.receive", {"users": list(users)}, **sent).body))
    return path


def test_explain_shows_every_step_of_the_decision(any_deployment: CommandDeployment) -> None:
    for number in range(3):
        any_deployment.store("git.receive", ["bob"] if number else ["alice", "bob"])

    done = any_deployment.call("explain", message(any_deployment, "Alice", "bob", "10.0.0.1"))

    path = any_deployment.rules / "pushed.yml"
    assert done.stdout == (
        f"2014-1: {TOPIC}, sent 2014-10-03 12:06:40 UTC\n"
        "└── datanommer does not have it, so it is not counted; the daemon first waits for it,"
        " up to 3 seconds\n"
        f"pushed ({path}): bob gets it\n"
        "├── trigger: yes\n"
        "│   └── all: yes\n"
        f"│       ├── topic git.receive: yes, the message has {TOPIC}\n"
        "│       └── not: yes\n"
        "│           └── lambda msg['msg'].get('draft'): no, it returns None\n"
        "├── recipient %(msg.users)s: alice and bob\n"
        "│   ├── 'Alice' is alice\n"
        "│   └── '10.0.0.1' is an IP address\n"
        "├── alice does not get it: the criteria do not hold\n"
        "│   └── criteria: no\n"
        "│       └── datanommer count, greater than 2: no, 1 of 3\n"
        f"│           ├── topics: {TOPIC}\n"
        "│           └── users: alice\n"
        "└── bob gets it\n"
        "    └── criteria: yes\n"
        "        └── datanommer count, greater than 2: yes, at least 3 of 3\n"
        f"            ├── topics: {TOPIC}\n"
        "            └── users: bob\n"
        "bob gets pushed\n"
    )
    assert (done.exit_code, done.stderr) == (0, "")


def test_explain_shows_a_series_as_one(sqlite_database: Databases, tmp_path: Path) -> None:
    deployment = CommandDeployment(sqlite_database, tmp_path)
    path = deployment.write_series("Gardener", "git.receive", [1, 3, 50])
    deployment.tahrir.award([Award("gardener-1", "alice")])
    for _ in range(3):
        deployment.store("git.receive", ["alice"])
    body = make_message("git.receive", {"user": "alice"}, timestamp=1412338000, msg_id="2014-1")
    (tmp_path / "message.json").write_text(json.dumps(body.body))

    done = deployment.call("explain", tmp_path / "message.json")

    shown = re.sub(r", since [-0-9]+", "", done.stdout.partition(" seconds\n")[2])
    assert shown == (
        f"Gardener ({path}): alice gets gardener-3\n"
        "├── trigger: yes\n"
        f"│   └── topic git.receive: yes, the message has {TOPIC}\n"
        "├── recipient %(msg.user)s: alice\n"
        "├── gardener-1: nobody gets it\n"
        "│   └── alice already has it\n"
        "├── gardener-3: alice gets it\n"
        "│   └── alice gets it\n"
        "│       └── criteria: yes\n"
        "│           └── datanommer count, greater than or equal to 3: yes, 3 of 3\n"
        f"│               ├── topics: {TOPIC}\n"
        "│               └── users: alice\n"
        "└── gardener-50: nobody gets it\n"
        "    └── alice does not get it: the criteria do not hold\n"
        "        └── criteria: no\n"
        "            └── datanommer count, greater than or equal to 50: no, 3 of 50\n"
        f"                ├── topics: {TOPIC}\n"
        "                └── users: alice\n"
        "alice gets gardener-3\n"
    )
    other = deployment.call("explain", "--user", "bob", tmp_path / "message.json")
    assert f"Gardener ({path}): bob gets no badge" in other.stdout


def test_explain_as_json_has_every_step(deployment: CommandDeployment) -> None:
    deployment.store("git.receive", ["alice"], msg_id="2014-1")
    deployment.configure(banned_usernames=["robot"])

    done = deployment.call("explain", "--format", "json", message(deployment, "alice", "robot"))

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


def test_explain_shows_what_the_message_has_at_the_paths_of_fields(
    deployment: CommandDeployment,
) -> None:
    fields = """trigger:
  topic: git.receive
  fields:
    msg.users: {length: {less than: 3}}
    msg.draft: {exists: false}
    msg.users.0: {is not: "%(msg.users.1)s"}
    msg.users.1: {any: [carol, dave]}
"""
    rest = PUSHED.splitlines(keepends=True)[2:]
    deployment.write("pushed", fields + "".join(rest))

    done = deployment.call("explain", message(deployment, "al", "bob"))
    said = json.loads(
        deployment.call(
            "explain",
            "-",
            "--format",
            "json",
            input=json.dumps(make_message("git.receive", {"users": ["al"]}).body),
        ).stdout
    )

    assert [line.strip("│ ├└─") for line in done.stdout.splitlines()[3:10]] == [
        "all: no",
        f"topic git.receive: yes, the message has {TOPIC}",
        "fields: no",
        "field msg.users: {length: {less than: 3}}: yes, the message has ['al', 'bob']",
        "field msg.draft: {exists: false}: yes, the message has no msg.draft",
        "field msg.users.0: {is not: \"%(msg.users.1)s\"}: yes, the message has 'al', and "
        "'bob' as msg.users.1",
        'field msg.users.1: {any: ["carol", "dave"]}: no, the message has \'bob\'',
    ]
    parts = said["rules"][0]["trigger"]["parts"][1]["parts"]
    assert [part.get("compared_to") for part in parts] == ["['al']", None, "al", None]
    assert parts[3]["raised"] == "the message has no msg.users.1"


def test_explain_shows_the_fields_of_a_filter(any_deployment: CommandDeployment) -> None:
    fields = '{topics: ["%(topic)s"], fields: {msg.n: 1, msg.by: "%(recipient)s"}}'
    body = f"""trigger: {{topic: git.receive}}
criteria: {{filter: {fields}, operation: count, condition: {{greater than: 1}}}}
recipient: "%(msg.users)s"
"""
    any_deployment.write("pushed", body)
    for number in range(3):
        msg = {"users": ["alice"], "by": "alice", "n": number % 2}
        any_deployment.store("git.receive", ["alice"], msg, msg_id=f"2014-{number}")

    done = any_deployment.call("explain", "--id", "2014-2")

    fields = 'fields {msg.n: 1, msg.by: "%(recipient)s"}'
    assert f"datanommer count, {fields}, greater than 1: no, 1 of 2" in done.stdout


def test_explain_takes_a_message_from_datanommer_by_its_id(deployment: CommandDeployment) -> None:
    for number in range(3):
        deployment.store("git.receive", ["alice"], {"users": ["alice"]}, msg_id=f"2014-{number}")

    done = deployment.call("explain", "--id", "2014-2")

    assert "datanommer has it" in done.stdout
    assert done.stdout.endswith("alice gets pushed\n")
    assert done.exit_code == 0


def test_explain_counts_up_to_a_message_that_is_stored(deployment: CommandDeployment) -> None:
    for number in range(3):
        deployment.store("git.receive", ["alice"], {"users": ["alice"]}, msg_id=f"2014-{number}")

    done = deployment.call("explain", "--id", "2014-1")

    assert "2 of 3" in done.stdout
    assert done.exit_code == 1


def test_explain_uses_the_usernames_in_datanommer_without_a_recipient(
    deployment: CommandDeployment,
) -> None:
    deployment.write("pushed", PUSHED.replace('recipient: "%(msg.users)s"\n', ""))
    deployment.store("git.receive", ["alice"], msg_id="2014-1")

    assert "usernames of the message: alice" in deployment.call("explain", "--id", "2014-1").stdout


def test_explain_reads_a_message_from_standard_input(deployment: CommandDeployment) -> None:
    text = message(deployment, "alice").read_bytes()

    assert deployment.call("explain", "-", input=text).stdout.startswith(f"2014-1: {TOPIC}")


def test_explain_with_user_exits_by_the_result_of_that_user(deployment: CommandDeployment) -> None:
    for _ in range(3):
        deployment.store("git.receive", ["bob"])
    sent = message(deployment, "alice", "bob")

    alice, bob, carol = (
        deployment.call("explain", "--user", name, sent) for name in ("Alice", "bob", "carol")
    )

    assert [done.exit_code for done in (alice, bob, carol)] == [1, 0, 1]
    assert "bob gets it" not in alice.stdout
    assert alice.stdout.endswith("\nalice gets no badge\n")
    assert bob.stdout.endswith("\nbob gets pushed\n")
    assert "carol is not among them" in carol.stdout


def test_explain_shows_since_when_a_badge_is_held(deployment: CommandDeployment) -> None:
    deployment.tahrir.award([Award("pushed", "alice")])

    done = deployment.call("explain", message(deployment, "alice"))

    assert "alice already has it, since 20" in done.stdout


def test_explain_shows_rules_of_other_topics_only_with_badge(deployment: CommandDeployment) -> None:
    path = deployment.write("edited", PUSHED.replace("git.receive", "wiki.edit"))
    sent = message(deployment, "alice")

    everything = deployment.call("explain", sent)
    by_id, by_path = (
        deployment.call("explain", "--badge", name, sent) for name in ("edited", path)
    )

    assert "1 other rule not triggered by this topic" in everything.stdout
    assert by_id.stdout == by_path.stdout
    assert f"topic wiki.edit: no, the message has {TOPIC}" in by_id.stdout
    assert "not: not asked, as it was already decided" in by_id.stdout
    assert by_id.exit_code == 1


def test_explain_takes_the_file_of_a_rule_that_is_not_in_force(
    deployment: CommandDeployment, tmp_path: Path
) -> None:
    new = tmp_path / "new.yml"
    new.write_text((deployment.rules / "pushed.yml").read_text().replace("pushed", "new"))

    done = deployment.call("explain", "--badge", new, message(deployment, "alice"))

    assert f"new ({new}): nobody gets it" in done.stdout


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ('{filter: {users: ["%(msg.nobody)s"]}, operation: count, condition: {greater than: 0}}',
         "fails, the message has no msg.nobody"),
        (question("a", "{lambda: \"value['x']\"}"), "fails, TypeError("),
        (question("a", "{less than: 0}"), "count, less than 0: no, the value is 0"),
        (question("a", "{is not: 1}"), "count, is not 1: yes, the value is 0"),
        (question("a", "{is not: 0}"), "count, is not 0: no, 0 of 1"),
        (question("a", "{is not: 0}", "len(list(query)) - 5"), "is not 0: yes, the value is -5"),
        (question("a", "{lambda: value}", "query.first()"), "lambda: value: no, the value is None"),
        (question("a", "{is greater than: 1}", "len(set(m.topic for m in query))"), "no, 0 of 2"),
    ],
)  # fmt: skip
def test_explain_shows_errors_and_values_of_criteria(
    deployment: CommandDeployment, criteria: str, said: str
) -> None:
    deployment.write(
        "odd", f'trigger: {{topic: git.receive}}\ncriteria: {criteria}\nrecipient: "%(msg.users)s"'
    )

    done = deployment.call("explain", "--badge", "odd", message(deployment, "alice"))

    assert said in done.stdout
    assert done.stderr == ""


def test_explain_says_what_a_conversion_cannot_read(deployment: CommandDeployment) -> None:
    deployment.write("linked", PUSHED + "recipient_krb2fas: Yes\nrecipient_distgit2fas: Yes\n")
    people = message(deployment, "ann@FEDORAPROJECT.ORG", "bob@EVIL.EXAMPLE", "dan/a.example")

    done = deployment.call("explain", "--badge", "linked", people)

    assert (
        "├── recipient %(msg.users)s: ann and dan\n"
        "│   ├── 'ann@FEDORAPROJECT.ORG' is ann\n"
        "│   ├── 'bob@EVIL.EXAMPLE' is neither a name nor like "
        "https://src.fedoraproject.org/user/NAME or NAME@FEDORAPROJECT.ORG\n"
        "│   └── 'dan/a.example' is dan\n"
    ) in done.stdout


def test_explain_says_what_is_no_name_among_people(deployment: CommandDeployment) -> None:
    deployment.write("people", PUSHED.replace("%(recipient)s", "%(msg.users)s"))

    done = deployment.call(
        "explain", "--badge", "people", message(deployment, "ann", {"nick": "x"})
    )

    assert ("├── recipient %(msg.users)s: ann\n│   └── {'nick': 'x'} is not text\n") in done.stdout
    assert "│       └── users: ann\n" in done.stdout


def test_explain_shows_other_backends_as_the_rule_has_them(deployment: CommandDeployment) -> None:
    deployment.configure(**{"libravatar.url": "http://127.0.0.1:9/avatar"})
    deployment.write(
        "seen",
        "trigger: {topic: git.receive}\n"
        "criteria: {any: [{libravatar: {exists: Yes}}]}\n"
        'recipient: "%(msg.users)s"',
    )

    done = deployment.call("explain", "--badge", "seen", message(deployment, "alice"))

    assert "libravatar exists: Yes: unknown, Libravatar at " in done.stdout
    assert f"seen ({deployment.rules}/seen.yml): the result is incomplete\n" in done.stdout
    assert "alice cannot be judged now" in done.stdout
    assert done.stderr.startswith("Libravatar at http://127.0.0.1:9/avatar: ")
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON: "),
        ("[" * 100_000, "not JSON: "),
        ("\x80", "not JSON: "),
        ("[]", "not a message, which is an object with a 'topic'"),
        ('{"topic": 5}', "not a message, which is an object with a 'topic'"),
    ],
)
def test_explain_refuses_what_is_no_message(
    deployment: CommandDeployment, text: str, said: str
) -> None:
    path = deployment.directory / "odd.json"
    path.write_bytes(text.encode("latin-1"))

    done = deployment.call("explain", path)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{path}: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--id", "x", "-"]])
def test_explain_requires_exactly_one_message(
    deployment: CommandDeployment, arguments: list[str]
) -> None:
    done = deployment.call("explain", *arguments)

    assert done.exit_code == 2
    assert "give one message: FILE or --id MSG_ID" in done.stderr


@pytest.mark.parametrize("msg_id", ["2014-none", "", "\x01\ud800", "a" * 300])
def test_explain_refuses_an_id_that_datanommer_does_not_have(
    deployment: CommandDeployment, msg_id: str
) -> None:
    done = deployment.call("explain", "--id", msg_id)

    assert (done.exit_code, done.stderr) == (2, f"datanommer has no message {msg_id!r}\n")


def test_explain_reports_an_unreachable_database_in_one_line(deployment: CommandDeployment) -> None:
    done = deployment.call(
        "explain", "--tahrir-url", "sqlite:////nowhere/t.db", message(deployment, "alice")
    )

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
def test_explain_shows_whatever_is_in_a_message_as_text(
    deployment: CommandDeployment, users: list[Any], draft: Any, form: str
) -> None:
    path = deployment.directory / "any.json"
    body = make_message("git.receive", {"users": users, "draft": draft}).body
    path.write_text(json.dumps(body))

    done = deployment.call("explain", "--format", form, path)

    assert done.exit_code in (0, 1)
    assert all(line.isprintable() for line in done.stdout.splitlines())
    if form == "json":
        json.loads(done.stdout, parse_constant=pytest.fail)


def test_explain_reports_ctrl_c_in_one_line(
    deployment: CommandDeployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fedbadges.engine.engine.BadgeEngine.match", interrupted)

    done = deployment.call("explain", message(deployment, "alice"))

    assert (done.exit_code, done.stdout, done.stderr) == (2, "", "Stopped\n")


MISSING_USER = question("%(msg.nobody)s", "{greater than: 0}")
PUSHED_ONCE = question("%(topic)s", "{greater than: 0}")


@pytest.mark.parametrize("missing_first", [True, False])
def test_explain_shows_each_part_of_any_that_was_asked(
    deployment: CommandDeployment, missing_first: bool
) -> None:
    parts = [MISSING_USER, PUSHED_ONCE] if missing_first else [PUSHED_ONCE, MISSING_USER]
    deployment.write(
        "either",
        f"trigger: {{topic: git.receive}}\ncriteria: {{any: [{', '.join(parts)}]}}\n"
        'recipient: "%(msg.users)s"',
    )
    deployment.store("git.receive", ["alice"])

    done = deployment.call("explain", "--badge", "either", message(deployment, "alice", "bob"))

    alice, bob = done.stdout.split("── alice gets it")[1].split("── bob does not get it")
    assert "any: yes" in alice
    assert "any: fails" in bob
    assert "count, greater than 0: fails, the message has no msg.nobody" in bob
    assert "count, greater than 0: no, 0 of 1" in bob
    assert "not asked" not in bob
    assert ("fails, the message has no msg.nobody" in alice) is missing_first
    assert ("not asked, as it was already decided" in alice) is not missing_first


@pytest.mark.parametrize("away_first", [True, False])
def test_explain_knows_the_answer_of_any_though_a_service_is_away(
    deployment: CommandDeployment, away_first: bool
) -> None:
    deployment.configure(**{"libravatar.url": "http://127.0.0.1:9/avatar"})
    parts = ["{libravatar: {exists: Yes}}", PUSHED_ONCE]
    deployment.write(
        "either",
        "trigger: {topic: git.receive}\n"
        f"criteria: {{any: [{', '.join(parts if away_first else reversed(parts))}]}}\n"
        'recipient: "%(msg.users)s"',
    )
    deployment.store("git.receive", ["alice"])

    alice, bob = (
        deployment.call("explain", "--badge", "either", message(deployment, name))
        for name in ("alice", "bob")
    )

    assert (alice.exit_code, bob.exit_code) == (0, 2)
    assert "bob cannot be judged now" in bob.stdout


WINDOWS = [
    ("start: 30 days ago", {"start": "2014-09-03T12:06:40"}),
    ("end: 2014-10-01", {"end": "2014-10-01T00:00:00"}),
    (
        "start: 1970-01-01, end: 9999-01-01",
        {"start": "1970-01-01T00:00:00", "end": "9999-01-01T00:00:00"},
    ),
    ("topics: [a]", {}),
]


@pytest.mark.parametrize(("window", "given"), WINDOWS, ids=[each for each, _ in WINDOWS])
def test_explain_shows_only_the_times_that_the_rule_gives(
    deployment: CommandDeployment, window: str, given: dict[str, str]
) -> None:
    path = deployment.write(
        "lately",
        "trigger: {topic: git.receive}\n"
        f'criteria: {{filter: {{users: ["%(recipient)s"], {window}}}, operation: count,'
        " condition: {greater than: 0}}\n"
        'recipient: "%(msg.users)s"',
    )
    sent = message(deployment, "alice")

    text = deployment.call("explain", "--badge", path, sent).stdout
    said = json.loads(deployment.call("explain", "--format", "json", "--badge", path, sent).stdout)

    shown = said["rules"][0]["candidates"][0]["criteria"]["filter"]
    assert {key: shown[key] for key in ("start", "end") if key in shown} == given
    assert [f"{key}: {value}" in text for key, value in given.items()] == [True] * len(given)
    assert ("start: " in text, "end: " in text) == ("start" in given, "end" in given)


def test_explain_says_how_a_badge_was_revoked(any_deployment: CommandDeployment) -> None:
    for _ in range(3):
        any_deployment.store("git.receive", ["alice", "bob"])
    for name, for_good in (("alice", False), ("bob", True)):
        any_deployment.tahrir.award([Award("pushed", name)])
        revoke(any_deployment.tahrir, "pushed", name, for_good=for_good)

    done = any_deployment.call("explain", message(any_deployment, "alice", "bob"))
    as_json = any_deployment.call(
        "explain", "--format", "json", message(any_deployment, "alice", "bob")
    )

    text = r"was revoked{} on 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC by root: by mistake; {}\n"
    alice = text.format("", "messages sent until a minute later, or stored before, do not give it")
    bob = text.format(" for good", "no message gives it")
    assert re.search(f"alice does not get it: the badge {alice}", done.stdout)
    assert re.search(f"bob does not get it: the badge {bob}", done.stdout)
    assert (done.exit_code, as_json.exit_code) == (1, 1)
    (rule,) = json.loads(as_json.stdout)["rules"]
    (first, second) = rule["candidates"]
    assert (first["verdict"], second["verdict"]) == ("revoked", "revoked")
    assert {**first["revoked"], "on": None} == {
        "on": None,
        "for_good": False,
        "operator": "root",
        "reason": "by mistake",
    }
    assert second["revoked"]["for_good"] is True


@pytest.mark.parametrize("by_id", [True, False])
def test_explain_of_a_message_of_a_fast_clock_gives_no_revoked_badge_if_it_was_stored_before(
    any_deployment: CommandDeployment, by_id: bool
) -> None:
    for _ in range(2):
        any_deployment.store("git.receive", ["alice"])
    fast = {"timestamp": time.time() + 600, "msg_id": "2014-1"}
    any_deployment.store("git.receive", ["alice"], {"users": ["alice"]}, **fast)
    any_deployment.tahrir.award([Award("pushed", "alice")])
    revoke(any_deployment.tahrir, "pushed", "alice", last_number=3)

    which = ("--id", "2014-1") if by_id else (message(any_deployment, "alice", **fast),)
    done = any_deployment.call("explain", "--format", "json", *which)

    (candidate,) = json.loads(done.stdout)["rules"][0]["candidates"]
    assert candidate["verdict"] == "revoked"
    assert done.exit_code == 1


def test_explain_of_a_later_message_gives_a_revoked_badge(deployment: CommandDeployment) -> None:
    for _ in range(3):
        deployment.store("git.receive", ["alice"])
    deployment.tahrir.award([Award("pushed", "alice")])
    revoke(deployment.tahrir, "pushed", "alice")

    later = message(deployment, "alice", timestamp=time.time() + 90)
    done = deployment.call("explain", "--format", "json", later)

    (candidate,) = json.loads(done.stdout)["rules"][0]["candidates"]
    assert (candidate["verdict"], candidate["revoked"]) == ("award", None)
    assert done.exit_code == 0


def test_no_command_that_counts_opens_the_counts_of_the_daemon(
    deployment: CommandDeployment,
) -> None:
    state = deployment.directory / "state"
    state.mkdir()
    deployment.configure(state_directory=str(state))
    for _ in range(3):
        deployment.store("git.receive", ["bob"], {"users": ["bob"]})

    deployment.call("explain", message(deployment, "bob"))
    deployment.call("preview", deployment.rules / "pushed.yml")
    done = deployment.call("backfill", deployment.rules / "pushed.yml", "--award", "--no-publish")

    assert "bob" in done.output
    assert list(state.iterdir()) == []
