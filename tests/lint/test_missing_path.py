"""``fedbadges check`` with messages, stored or in files: templates that none of them has."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from support.builders import statements
from support.bus import fedmsg_body
from support.command import fedbadges
from support.databases import Databases, store_message
from support.rule_text import complete
from support.waiting import TIMEOUT

from fedbadges.databases.connections import parse_url
from fedbadges.lint.samples import Shape

TOPIC = "org.example.prod.forge.review.done"
RULE = """\
trigger: {topic: forge.review.done}
criteria:
  filter: {topics: ["%(topic)s"], users: ["%(msg.review.author)s"]}
  operation: count
  condition: {greater than: 4}
recipient: "%(msg.review.author)s"
"""
REVIEW = {"review": {"by": {"name": "alice", "id": 7}, "at": "2026-01-01T00:00:00", "state": 1}}


def write_samples(directory: Path, *messages: tuple[str, Any]) -> Path:
    """Write each message, of a topic and a content, to a file of its own."""
    directory.mkdir(exist_ok=True)
    for number, (topic, content) in enumerate(messages):
        (directory / f"{number}.json").write_text(json.dumps({"topic": topic, "msg": content}))
    return directory


def found(directory: Path, body: str, *messages: tuple[str, Any]) -> list[str]:
    """Returns what is found in a rule with sample messages, without the path."""
    path = directory / "rule.yml"
    path.write_text(complete(body))
    samples = write_samples(directory / "samples", *messages)
    done = fedbadges("check", "--messages", samples, path)
    assert done.exit_code == (1 if done.stdout else 0), done.stderr
    return [line.removeprefix(f"{path}:") for line in done.stdout.splitlines()]


def check_history(database: Databases, *arguments: str | Path) -> str:
    return fedbadges("check", "--history-url", database.datanommer_url, *arguments).stdout


def test_history_without_a_path_is_a_finding_with_the_nearest_path(
    database: Databases, tmp_path: Path
) -> None:
    for _ in range(3):
        store_message(database, fedmsg_body("", REVIEW) | {"topic": TOPIC})
    path = tmp_path / "rule.yml"
    path.write_text(complete(RULE))

    text = "none of the latest 3 messages has msg.review.author; they have msg.review.by.name"
    assert check_history(database, path).splitlines() == [
        f"{path}:3:44: warning: {text} [missing-path]",
        f"{path}:6:13: warning: {text} [missing-path]",
    ]


def test_history_reads_the_latest_messages_of_each_topic_once(
    database: Databases, tmp_path: Path
) -> None:
    old = {"review": {"author": "alice"}}
    for number in range(205):
        body = fedmsg_body("", REVIEW if number >= 5 else old)
        store_message(database, body | {"topic": TOPIC, "timestamp": 1700000000.0 + number})
    for number in range(3):
        text = complete(f"name: B{number}\n{RULE}".replace("than: 4", f"than: {number}"))
        (tmp_path / f"{number}.yml").write_text(text)

    with statements(parse_url(database.datanommer_url)) as asked:
        out = check_history(database, "--ignore", "stale-topic", tmp_path)

    assert out.count("none of the latest 200 messages has msg.review.author") == 6
    assert len([each for each in asked if "messages.msg AS text" in each]) == 1


@pytest.mark.sqlite
def test_history_with_a_row_that_is_not_json_is_read(database: Databases, tmp_path: Path) -> None:
    store_message(database, fedmsg_body("", REVIEW) | {"topic": TOPIC})
    from sqlalchemy import text

    from fedbadges.databases.connections import engine

    with engine(database.datanommer_url).begin() as connection:
        connection.execute(text("UPDATE messages SET msg = '{'"))
    path = tmp_path / "rule.yml"
    path.write_text(complete(RULE))

    assert "missing-path" not in check_history(database, path)


def test_one_sample_without_a_path_is_a_finding(tmp_path: Path) -> None:
    text = "the sample message has no msg.review.author; it has msg.review.by.name"

    assert found(tmp_path, RULE, (TOPIC, REVIEW)) == [
        f"3:44: warning: {text} [missing-path]",
        f"6:13: warning: {text} [missing-path]",
    ]


def test_fields_without_a_path_in_the_samples_are_findings(tmp_path: Path) -> None:
    fields = """trigger:
  topic: forge.review.done
  fields:
    msg.review.status: {any: ["%(msg.review.old)s", 1]}
    msg.review.draft: {exists: false}
    msg.review.state: 1
"""
    body = fields + "".join(RULE.replace(".author", ".by.name").splitlines(keepends=True)[1:])

    assert found(tmp_path, body, (TOPIC, REVIEW)) == [
        "4:5: warning: the sample message has no msg.review.status; it has msg.review.state "
        "[missing-path]",
        "4:32: warning: the sample message has no msg.review.old; it has msg.review [missing-path]",
    ]


def test_fields_of_a_filter_that_past_messages_lack_are_findings(tmp_path: Path) -> None:
    good = RULE.replace(".author", ".by.name")
    text = "the sample message has no msg.review.status; it has msg.review.state [missing-path]"
    fields = "fields: {msg.review.status: 1, msg.review.new: {exists: false}}"
    for topic in ('"%(topic)s"', TOPIC):
        body = good.replace('topics: ["%(topic)s"]', f"{fields}, topics: [{topic}]")
        assert found(tmp_path, body, (TOPIC, REVIEW)) == [f"3:21: warning: {text}"]
    elsewhere = f"{fields}, topics: [{TOPIC}.else]"
    body = good.replace('topics: ["%(topic)s"]', elsewhere)
    assert found(tmp_path, body, (TOPIC, REVIEW)) == []


def test_a_template_in_the_fields_of_a_filter_may_name_the_candidate(tmp_path: Path) -> None:
    good = RULE.replace(".author", ".by.name")
    fields = "fields: {msg.review.state: {is not: '%(recipient)s'}, msg.review.id: '%(msg.id)s'}"
    body = good.replace("topics:", f"{fields}, topics:")
    assert found(tmp_path, body, (TOPIC, REVIEW | {"id": 1})) == [
        "3:66: warning: the sample message has no msg.review.id; it has msg.review.by.id "
        "[missing-path]",
    ]


def test_path_that_one_of_the_samples_has_is_fine(tmp_path: Path) -> None:
    assert found(tmp_path, RULE, (TOPIC, REVIEW), (TOPIC, {"review": {"author": "bob"}})) == []


def test_topic_without_samples_is_fine(tmp_path: Path) -> None:
    assert found(tmp_path, RULE, ("org.example.prod.forge.review.begun", REVIEW)) == []


def test_rule_without_known_topics_is_fine(tmp_path: Path) -> None:
    body = RULE.replace("{topic: forge.review.done}", "{lambda: \"msg['i']\"}")

    assert found(tmp_path, body, (TOPIC, REVIEW)) == []


@pytest.mark.parametrize("trigger", ["{category: forge}", "{all: [topic: done, lambda: msg]}"])
def test_topics_are_known_from_categories_and_below_all(tmp_path: Path, trigger: str) -> None:
    body = RULE.replace("{topic: forge.review.done}", trigger)

    assert len(found(tmp_path, body, (TOPIC, REVIEW))) == 2


def test_path_missing_for_one_of_several_topics_names_the_topic(tmp_path: Path) -> None:
    body = RULE.replace("{topic: forge.review.done}", "{topic: {any: [review.done, issue.closed]}}")
    other = ("org.example.prod.forge.issue.closed", {"review": {"author": "bob"}})

    assert found(tmp_path, body, (TOPIC, REVIEW), other)[1] == (
        "6:13: warning: the sample message of 'review.done' has no msg.review.author; it has "
        "msg.review.by.name [missing-path]"
    )


def test_path_missing_in_one_environment_names_the_whole_topic(tmp_path: Path) -> None:
    other = (TOPIC.replace("prod", "stg"), {"review": {"author": "bob"}})

    assert found(tmp_path, RULE, *[(TOPIC, REVIEW)] * 19, other) == []
    assert found(tmp_path, RULE, *[(TOPIC, REVIEW)] * 20, other)[1] == (
        f"6:13: warning: none of the 20 sample messages of '{TOPIC}' has msg.review.author; they "
        "have msg.review.by.name [missing-path]"
    )


@pytest.mark.sqlite
def test_topics_that_are_no_longer_sent_do_not_hide_a_path(
    database: Databases, tmp_path: Path
) -> None:
    old = fedmsg_body("", {"review": {"author": "bob"}}) | {"timestamp": 1500000000.0}
    store_message(database, old | {"topic": TOPIC.replace("prod", "stg")})
    store_message(database, fedmsg_body("", REVIEW) | {"topic": TOPIC, "timestamp": 1600000000.0})
    path = tmp_path / "rule.yml"
    path.write_text(complete(RULE))

    assert check_history(database, path).count("[missing-path]") == 2


def test_path_missing_for_one_message_of_a_category_is_fine(tmp_path: Path) -> None:
    body = RULE.replace("{topic: forge.review.done}", "{category: forge}")
    other = ("org.example.prod.forge.issue.closed", {"review": {"author": "bob"}})

    assert found(tmp_path, body, (TOPIC, REVIEW), other) == []


def test_path_of_one_part_of_any_may_be_missing_for_a_topic(tmp_path: Path) -> None:
    body = """\
trigger: {topic: {any: [review.done, issue.closed]}}
criteria:
  any:
  - {filter: {users: ["%(msg.by)s"]}, operation: count, condition: {greater than: 4}}
  - {filter: {users: ["%(msg.who)s"]}, operation: count, condition: {greater than: 4}}
recipient: "%(msg.user)s"
"""
    first = (TOPIC, {"by": "bob", "user": "bob"})
    second = ("org.example.prod.forge.issue.closed", {"who": "bob", "user": "bob"})

    assert found(tmp_path, body, first, second) == []


def test_path_in_an_operation_is_looked_for(tmp_path: Path) -> None:
    body = RULE.replace("msg.review.author", "msg.review.by.name").replace(
        "count", "{lambda: \"len([m for m in query if m.msg['a'] == %(msg.review.stat)s])\"}"
    )

    assert found(tmp_path, body, (TOPIC, REVIEW)) == [
        "4:63: warning: the sample message has no msg.review.stat; it has msg.review.state "
        "[missing-path]"
    ]


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ({"user": "bob"}, "; it has msg.user"),
        ({"people": ["bob", "eve"]}, "; it has msg.people"),
        ({"people": {"bob": 4}}, "; it has msg.people"),
        ({"persons": [{"name": "bob"}]}, "; it has msg.persons"),
        # A date is nobody's name.
        ({"peoples": "2026-01-01 10:00:00"}, ""),
        ({}, ""),
        ("text", ""),
    ],
)
def test_nearest_path_of_a_recipient_names_somebody(
    tmp_path: Path, content: Any, hint: str
) -> None:
    body = 'recipient: "%(msg.person)s"\n' + RULE.rpartition("recipient:")[0]
    body = body.replace("msg.review.author", "recipient")

    assert found(tmp_path, body, (TOPIC, content)) == [
        f"1:13: warning: the sample message has no msg.person{hint} [missing-path]"
    ]


@pytest.mark.parametrize(
    "path", ["msg.names.0.nick", "msg.a.b.c", "msg.names.0", "timestamp", "msg"]
)
def test_paths_into_lists_and_keys_with_dots_are_found(tmp_path: Path, path: str) -> None:
    body = RULE.replace("msg.review.author", path)

    assert found(tmp_path, body, (TOPIC, {"names": [{"nick": "bob"}], "a.b": {"c": "eve"}})) == []


def test_people_counted_together_are_seen_in_messages(tmp_path: Path) -> None:
    body = RULE.replace("msg.review.author", "msg.by")

    assert found(tmp_path, body, (TOPIC, {"by": "bob"})) == []
    (line,) = found(tmp_path, body, (TOPIC, {"by": "bob"}), (TOPIC, {"by": ["bob", "eve"]}))
    assert line.endswith("[counted-together]")


def test_shape_of_huge_messages_is_bounded() -> None:
    shape = Shape()
    deep: Any = "end"
    for _ in range(500):
        deep = {"a": deep}

    shape.add({**{str(number): number for number in range(5000)}, "list": list(range(5000))})
    shape.add(deep)

    assert len(shape) == 1000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"topic": "a.b",\n "msg": {]}', "2:10: error: not JSON: Expecting property name"),
        ("", "1:1: error: not JSON: Expecting value"),
        ("[" * 100_000, "1:1: error: not JSON: "),
        ("7", "1:1: error: not a message, which is an object with a 'topic'"),
        ('{"msg": {}}', "1:1: error: not a message, which is an object with a 'topic'"),
        (
            '[{"topic": "a.b", "msg": {"x": "],"}},\n\n  {"topic": 7}, {"topic": "a.b", "msg": 1}]',
            "3:3: error: not a message, which is an object with a 'topic'",
        ),
    ],
)
def test_mistake_in_a_sample_is_an_error_with_its_place(
    tmp_path: Path, text: str, expected: str
) -> None:
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples/a.json").write_text(text)

    (line,) = fedbadges(
        "check", "--messages", tmp_path / "samples", write_rule(tmp_path)
    ).stdout.splitlines()

    assert line.startswith(f"{tmp_path}/samples/a.json:{expected}")
    assert line.endswith(" [bad-message]")


def test_sample_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff")

    done = fedbadges("check", "--messages", tmp_path / "a.json", write_rule(tmp_path))

    assert done.stdout.startswith(f"{tmp_path}/a.json:1:1: error: not JSON: ")


def test_sample_that_is_no_file_or_too_large_is_an_error(tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    (samples / "folder.json").mkdir(parents=True)
    os.mkfifo(samples / "pipe.json")
    with (samples / "sparse.json").open("wb") as sparse:
        sparse.truncate(1 << 30)

    done = fedbadges("check", "--messages", samples, write_rule(tmp_path))

    assert done.stdout.splitlines() == [
        f"{samples}/{line} [bad-message]"
        for line in (
            "folder.json:1:1: error: cannot be read: not a regular file",
            "pipe.json:1:1: error: cannot be read: not a regular file",
            "sparse.json:1:1: error: cannot be read: the file has more than 67108864 bytes",
        )
    ]


def test_samples_may_come_from_a_pipe_that_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    text = json.dumps({"topic": "a.b", "msg": {}})
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(text,), daemon=True)
    writer.start()

    done = fedbadges("check", "--messages", tmp_path / "pipe", write_rule(tmp_path))

    writer.join(TIMEOUT)
    assert (done.exit_code, done.stdout) == (0, "")


def test_directory_without_samples_exits_with_2(tmp_path: Path) -> None:
    done = fedbadges("check", "--messages", tmp_path, write_rule(tmp_path))

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"{tmp_path}: no message in a file there that ends in .json\n"


def write_rule(directory: Path) -> Path:
    path = directory / "rule.yml"
    path.write_text(complete(RULE))
    return path
