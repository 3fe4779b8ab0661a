"""``badges.dialect``: how the daemon and the commands read rules in which nothing tells."""

from pathlib import Path

import pytest
from support.builders import make_config
from support.command import fedbadges
from support.daemon import running
from support.databases import Databases
from support.rules import rule
from support.toml import consumer_config

#: No template, and no expression over the message: a mistake in both, each with its own words.
UNDECIDED = """
trigger: {topic: logger.log}
recipient: "['alice', 'bob']"
"""

BOTH = pytest.mark.parametrize(
    ("dialect", "mistake"),
    [
        ("fedbadges-1", "a.yml:9:13: a recipient is a template such as '%(msg.user)s'"),
        ("fedbadges-2", "a.yml:9:13: a recipient is an expression such as message.agent_name"),
    ],
)


@BOTH
def test_daemon_reads_undecided_rules_in_the_dialect_of_the_setting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, dialect: str, mistake: str
) -> None:
    with running(tmp_path, {"a": rule("A", UNDECIDED)}, dialect=dialect):
        pass

    assert mistake in caplog.text


@BOTH
def test_commands_read_undecided_rules_in_the_dialect_of_the_setting(
    sqlite_database: Databases, tmp_path: Path, dialect: str, mistake: str
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "a.yml").write_text(rule("A", UNDECIDED))
    config = make_config(sqlite_database, rules) | {"badges.dialect": dialect}
    del config["topic_prefix_re"]
    file = tmp_path / "badges.toml"
    file.write_text(consumer_config(config))

    checked = fedbadges("check", "--config", file, rules)
    asked = fedbadges("progress", "alice", "--config", file)
    chosen = fedbadges("preview", "--config", file, rules / "a.yml")

    for output in (checked.output, asked.output, chosen.output):
        assert mistake in output.replace("error: ", "")
