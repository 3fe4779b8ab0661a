"""``fedbadges check --history``: topics that are no longer sent."""

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest
from support.builders import make_config, statements
from support.bus import fedmsg_body
from support.command import fedbadges
from support.databases import Databases, store_message
from support.rule_text import complete

from fedbadges.databases.connections import engine, parse_url

NOW = datetime.datetime.now(datetime.timezone.utc)
QUESTION = """\
criteria:
  filter: {topics: %s, users: ["%%(recipient)s"]}
  operation: count
  condition: {greater than: 4}
recipient: "%%(msg.user)s"
"""
THIS_TOPIC = QUESTION % '["%(topic)s"]'

Sent = Callable[[str, int], None]


@pytest.fixture
def sent(database: Databases) -> Sent:
    """Stores a message of a topic that was sent so many days ago."""

    def store(topic: str, days: int) -> None:
        when = (NOW - datetime.timedelta(days=days)).timestamp()
        store_message(
            database, fedmsg_body("", {"user": "alice"}) | {"topic": topic, "timestamp": when}
        )

    return store


def found(database: Databases, directory: Path, body: str) -> list[str]:
    path = directory / "rule.yml"
    path.write_text(complete(body))
    done = fedbadges("check", "--history-url", database.datanommer_url, path)
    assert done.exit_code == (1 if done.stdout else 0), done.stderr
    return [line.removeprefix(f"{path}:") for line in done.stdout.splitlines()]


def day(days: int) -> str:
    return f"{NOW - datetime.timedelta(days=days):%Y-%m-%d}"


@pytest.mark.sqlite
def test_a_topic_seen_within_a_year_is_not_stale(
    database: Databases, sent: Sent, tmp_path: Path
) -> None:
    sent("org.example.prod.git.receive", 700)
    sent("org.example.prod.git.receive", 360)

    assert found(database, tmp_path, f"trigger: {{topic: git.receive}}\n{THIS_TOPIC}") == []


def test_a_topic_not_seen_for_a_year_is_stale(
    database: Databases, sent: Sent, tmp_path: Path
) -> None:
    sent("org.example.prod.git.receive", 700)
    sent("org.example.stg.git.receive", 400)
    # These are others.
    sent("org.example.prod.infragit.receive", 1)
    sent("org.example.prod.git.receive.more", 1)

    assert found(database, tmp_path, f"trigger: {{topic: git.receive}}\n{THIS_TOPIC}") == [
        f"1:18: warning: no message of the topic 'git.receive' was seen since {day(400)} "
        "[stale-topic]"
    ]


@pytest.mark.sqlite
def test_a_topic_that_was_never_seen_is_stale(
    database: Databases, sent: Sent, tmp_path: Path
) -> None:
    sent("org.example.prod.git.receive", 1)

    assert found(database, tmp_path, f"trigger: {{topic: git.recieve}}\n{THIS_TOPIC}") == [
        "1:18: warning: no message of the topic 'git.recieve' was ever seen [stale-topic]"
    ]


@pytest.mark.sqlite
def test_a_category_is_stale_in_an_empty_history(
    database: Databases, sent: Sent, tmp_path: Path
) -> None:
    assert found(database, tmp_path, f"trigger: {{category: git}}\n{THIS_TOPIC}") == [
        "1:21: warning: no message of the category 'git' was ever seen [stale-topic]"
    ]


@pytest.mark.sqlite
def test_topics_and_categories_of_triggers_and_filters_may_be_stale(
    database: Databases, sent: Sent, tmp_path: Path
) -> None:
    sent("org.example.prod.wiki.edit", 1)
    trigger = """\
trigger:
  any:
  - topic: git.receive
  - all: [{category: wiki}, {topic: {any: [wiki.edit, bodhi.new]}}]
  - category: {any: [wiki, planet]}
  - not: {topic: never.sent}
"""
    topics = '["%(topic)s", org.example.prod.wiki.edit, org.example.dev.wiki.edit]'

    assert found(database, tmp_path, trigger + QUESTION % topics) == [
        f"{place}: warning: no message of the {what} was ever seen [stale-topic]"
        for place, what in (
            ("3:12", "topic 'git.receive'"),
            ("4:55", "topic 'bodhi.new'"),
            ("5:28", "category 'planet'"),
            ("8:62", "topic 'org.example.dev.wiki.edit'"),
        )
    ]


def test_each_topic_is_looked_up_once_for_all_rules(
    database: Databases, sent: Sent, tmp_path: Path
) -> None:
    for number in range(3):
        sent(f"org.example.prod.git.t{number}", 1)
    for number in range(20):
        text = f"name: B{number}\ntrigger: {{category: git}}\n{THIS_TOPIC}"
        (tmp_path / f"{number}.yml").write_text(complete(text.replace("4}", f"{number}}}")))

    with statements(parse_url(database.datanommer_url)) as asked:
        done = fedbadges("check", "--history-url", database.datanommer_url, tmp_path)

    assert (done.exit_code, done.stdout) == (0, "")
    # All topics are found, and each is asked when it was last seen, and for its latest messages.
    assert len([each for each in asked if each.startswith(("SELECT", "WITH"))]) == 1 + 3 + 3


@pytest.mark.sqlite
def test_topics_that_are_no_text_hide_no_other(
    database: Databases, sent: Sent, tmp_path: Path
) -> None:
    for number in range(5):
        sent(f"org.example.prod.git.t{number}", 1)
    odd = ("x'ff'", "CAST(x'6f72ff' AS TEXT)", "''", "'a' || char(0)")
    with engine(parse_url(database.datanommer_url)).begin() as connection:
        for number, value in enumerate(odd):
            statement = f"UPDATE messages SET topic = {value} WHERE topic LIKE '%.t{number}'"  # noqa: S608
            connection.exec_driver_sql(statement)

    assert found(database, tmp_path, "trigger: {topic: git.t4}\n" + THIS_TOPIC) == []
    assert found(database, tmp_path, "trigger: {topic: git.t1}\n" + THIS_TOPIC) == [
        "1:18: warning: no message of the topic 'git.t1' was ever seen [stale-topic]"
    ]


@pytest.mark.sqlite
def test_history_asks_the_configured_datanommer(
    database: Databases, sent: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent("org.example.prod.wiki.edit", 1)
    (tmp_path / "fedmsg.d").mkdir()
    config = make_config(database, tmp_path) | {"endpoints": {}}
    (tmp_path / "fedmsg.d/badges.py").write_text(f"config = {config!r}\n")
    monkeypatch.chdir(tmp_path)
    Path("rule.yml").write_text(complete(THIS_TOPIC))

    done = fedbadges("check", "--history", "rule.yml")

    assert done.stdout.splitlines() == [
        "rule.yml:11:18: warning: no message of the topic 'git.receive' was ever seen [stale-topic]"
    ]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nonsense", "--history-url: not a database URL"),
        ("mysql://a/b", "--history-url: 'mysql' is neither postgresql nor sqlite"),
        ("postgresql://me:secret@127.0.0.1:1/d", "datanommer: connection to server at"),
        ("sqlite:///{directory}/empty.db", "datanommer: no such table: messages"),
        ("sqlite:///{directory}/none.db", "--history-url: there is no file"),
        ("sqlite:///{directory}/nowhere/d.db", "datanommer: unable to open database file"),
    ],
)
def test_history_that_cannot_be_asked_ends_with_one_line(
    tmp_path: Path, url: str, expected: str
) -> None:
    (tmp_path / "rule.yml").write_text(complete(THIS_TOPIC))
    (tmp_path / "empty.db").touch()

    done = fedbadges(
        "check", "--history-url", url.format(directory=tmp_path), tmp_path / "rule.yml"
    )

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(expected)
    assert "secret" not in done.stderr
    assert done.stderr.count("\n") == 1
