"""``fedbadges topics``."""

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.command_deployment import CommandDeployment
from support.databases import Databases
from support.waiting import TIMEOUT

from fedbadges.databases.connections import engine
from fedbadges.history import topic_counts
from fedbadges.history.topic_counts import TopicCount, TopicCounter

PUSH = "org.fedoraproject.dev.git.receive"
EDIT = "org.fedoraproject.dev.wiki.edit"
DAY = 86_400
#: 2014-01-01.
START = 1_388_534_400


@pytest.fixture
def deployment(database: Databases, tmp_path: Path) -> CommandDeployment:
    return CommandDeployment(database, tmp_path)


def push(
    deployment: CommandDeployment, day: int, msg: Any = None, *users: str, **more: Any
) -> None:
    deployment.store("git.receive", users, msg, timestamp=START + day * DAY, **more)


def topics(deployment: CommandDeployment, *arguments: str) -> dict[str, Any]:
    done = deployment.call("topics", "--format", "json", *arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def fields(deployment: CommandDeployment) -> dict[str, dict[str, Any]]:
    """Return the fields of pushes by path."""
    return {each.pop("path"): each for each in topics(deployment, "git.receive")["fields"]}


def test_topics_have_their_number_since_and_until(deployment: CommandDeployment) -> None:
    for day in (3, 1, 2):
        push(deployment, day)
    deployment.store("wiki.edit", [], timestamp=START)

    done = deployment.call("topics")

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Topic                              Messages  Since       Until",
        f"{PUSH}         3  2014-01-02  2014-01-04",
        f"{EDIT}           1  2014-01-01  2014-01-01",
    ]


def test_topics_of_an_empty_history_are_none(deployment: CommandDeployment) -> None:
    assert topics(deployment) == {"topics": []}


@pytest.mark.parametrize("exact", [False, True])
def test_many_messages_of_a_topic_are_estimated_unless_exact(
    deployment: CommandDeployment, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    monkeypatch.setattr(topic_counts, "COUNTED", 3)
    for day in range(9):
        push(deployment, day)
    deployment.store("wiki.edit", [], timestamp=START)
    estimated = deployment.databases.kind == "postgresql" and not exact

    pushes, edits = topics(deployment, *["--exact"] * exact)["topics"]

    assert pushes["exact"] is not estimated
    assert pushes["messages"] >= 3 if estimated else pushes["messages"] == 9
    assert (pushes["since"], pushes["until"]) == ("2014-01-01T00:00:00Z", "2014-01-09T00:00:00Z")
    assert (edits["exact"], edits["messages"]) == (True, 1)
    if estimated:
        assert " about " in deployment.call("topics").stdout


def test_the_estimate_is_that_of_the_statistics(
    postgresql_database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_counts, "COUNTED", 3)
    deployment = CommandDeployment(postgresql_database, tmp_path)
    for day in range(40):
        push(deployment, day)
    with engine(deployment.settings.history_url).begin() as connection:
        connection.execute(sa.text("ANALYZE messages"))

    (pushes,) = topics(deployment)["topics"]

    assert (pushes["messages"], pushes["exact"]) == (40, False)


def test_a_topic_is_counted_no_longer_than_there_is_time(
    postgresql_database: Databases, tmp_path: Path
) -> None:
    deployment = CommandDeployment(postgresql_database, tmp_path)
    push(deployment, 1)
    url = deployment.settings.history_url
    counter, late = TopicCounter(url, 0.2), TopicCounter(url, 1e-9)
    with engine(url).begin() as connection:
        connection.execute(sa.text("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE"))
        found = counter.count(PUSH)

    assert found == late.count(PUSH) == TopicCount(PUSH)
    assert TopicCounter(url, TIMEOUT).count(PUSH).count == 1
    assert late.latest(PUSH, 1) is None


def test_what_is_not_found_in_time_is_said(postgresql_database: Databases, tmp_path: Path) -> None:
    deployment = CommandDeployment(postgresql_database, tmp_path)
    push(deployment, 1)

    done = deployment.call("topics", "--timeout", "1e-9")

    assert done.exit_code == 1
    assert done.stdout.splitlines()[1].split() == [PUSH, "?", "?", "?"]
    assert done.stderr.startswith("Of 1 topic not all was found in time")


def test_a_topic_has_the_fields_of_its_messages(deployment: CommandDeployment) -> None:
    push(deployment, 1, {"user": "Alice", "new": True, "files": ["a", "b"]}, "alice")
    push(deployment, 2, {"user": "bob", "size": 3.5, "files": [], "none": None}, "bob")
    deployment.store("wiki.edit", ["carol"], {"page": "Main"})

    found = topics(deployment, "git.receive")

    assert [each["topic"] for each in found["topics"]] == [PUSH]
    assert found["users"] == ["alice", "bob"]
    by_path = {each.pop("path"): each for each in found["fields"]}
    assert by_path["msg.user"] == {
        "count": 2, "naming": 2, "types": ["text"], "examples": ['"bob"', '"Alice"'],
    }  # fmt: skip
    assert by_path["msg.new"] == {
        "count": 1, "naming": 0, "types": ["true or false"], "examples": ["true"],
    }  # fmt: skip
    assert by_path["msg.files"]["types"] == ["list"]
    assert by_path["msg.files.0"]["examples"] == ['"a"']
    assert by_path["msg.none"]["types"] == ["null"]
    assert by_path["msg.size"]["types"] == ["number"]
    assert list(by_path) == [
        "msg", "msg.files", "msg.files.0", "msg.new", "msg.none", "msg.size", "msg.user",
    ]  # fmt: skip


def test_fields_that_name_users_are_marked(deployment: CommandDeployment) -> None:
    author = {"name": "Alice", "mail": "a@b.c"}
    push(deployment, 1, {"authors": [author], "seen": {"bob": 3}, "repo": "kernel"}, "alice", "bob")

    naming = {path for path, found in fields(deployment).items() if found["naming"]}

    # The field "repo" names nobody, although there could be an account of this name.
    assert naming == {"msg.authors", "msg.authors.0", "msg.authors.0.name", "msg.seen"}


def test_keys_that_are_data_are_no_fields(deployment: CommandDeployment) -> None:
    for day in range(4):
        seen = {f"nick-{day}-{number}": number for number in range(9)}
        push(deployment, day, {"seen": seen, "a(b": 1, "": 2})

    assert list(fields(deployment)) == ["msg", "msg.seen"]


def test_examples_are_short_and_cannot_control_a_terminal(deployment: CommandDeployment) -> None:
    push(deployment, 1, {"text": "\x1b[2J\u202e\nx", "long": "y" * 5000, "k\x1b\n": [1] * 99})

    done = deployment.call("topics", "git.receive")

    assert done.stdout.replace("\n", "").isprintable()
    assert max(map(len, done.stdout.splitlines())) < 120


def test_only_the_latest_messages_are_looked_at(deployment: CommandDeployment) -> None:
    push(deployment, 0, {"old": 1})
    for day in range(1, 201):
        push(deployment, day, {"user": "alice"})

    assert list(fields(deployment)) == ["msg", "msg.user"]


@pytest.mark.parametrize("topic", ["receive", ".git.receive", PUSH])
def test_a_topic_may_be_the_end_of_one(deployment: CommandDeployment, topic: str) -> None:
    push(deployment, 1)
    deployment.store("infragit.receive.more", [])

    assert [each["topic"] for each in topics(deployment, topic)["topics"]] == [PUSH]


def test_an_unknown_topic_exits_with_1_and_the_one_that_was_meant(
    deployment: CommandDeployment,
) -> None:
    push(deployment, 1)

    done = deployment.call("topics", "git.recieve")

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "datanommer has no message of the topic 'git.recieve'; did you mean 'git.receive'?\n"
    )


def test_damaged_rows_are_left_out(deployment: CommandDeployment) -> None:
    push(deployment, 1, {"user": "alice"})
    push(deployment, 2, {"user": "bob"})
    damage = sa.text("UPDATE messages SET msg = :text WHERE id = 2")
    if deployment.databases.kind == "postgresql":
        damage = sa.text("UPDATE messages SET headers = CAST(:text AS JSONB) WHERE id = 2")
    with engine(deployment.settings.history_url).begin() as connection:
        connection.execute(damage, {"text": "{" if damage.text.endswith("msg = :text") else "[1]"})

    assert fields(deployment)["msg.user"]["examples"][-1] == '"alice"'
