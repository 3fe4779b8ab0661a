"""Commands where badges are given on fedora-messaging: its file is the configuration."""

from pathlib import Path

import pytest
from support.builders import make_config
from support.command import fedbadges
from support.databases import Databases
from support.rules import counting_rule
from support.toml import consumer_config


@pytest.fixture
def file(sqlite_database: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only configuration but that of the test's own choice."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.delenv("FEDORA_MESSAGING_CONF", raising=False)
    monkeypatch.chdir(tmp_path)
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "step.yml").write_text(counting_rule("First Step", "logger.log", 1))
    made = tmp_path / "badges.toml"
    config = make_config(sqlite_database, rules)
    del config["topic_prefix_re"]
    made.write_text(consumer_config(config))
    return made


def test_config_option_reads_a_toml_file(file: Path) -> None:
    result = fedbadges("progress", "alice", "--config", file)

    assert "first-step  0 of 1" in result.output


def test_file_of_the_environment_is_read_where_fedmsg_has_no_configuration(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDORA_MESSAGING_CONF", str(file))

    assert "first-step  0 of 1" in fedbadges("progress", "alice").output


def test_configuration_of_fedmsg_comes_first(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDORA_MESSAGING_CONF", str(file))
    (file.parent / "fedmsg.d").mkdir()
    (file.parent / "fedmsg.d/endpoints.py").write_text("config = {'endpoints': {}}")

    assert "missing key 'badges.yaml.directory'" in fedbadges("progress", "alice").output


def test_file_of_other_programs_is_no_configuration(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('amqp_url = "amqp://"')
    monkeypatch.setenv("FEDORA_MESSAGING_CONF", str(file))

    assert "fedmsg cannot use its configuration" in fedbadges("progress", "alice").output


def test_mistakes_are_reported_with_their_lines(file: Path) -> None:
    file.write_text(file.read_text() + "badges.reload = 1\n")
    line = len(file.read_text().splitlines())

    result = fedbadges("progress", "alice", "--config", file)

    assert result.exit_code == 2
    assert f"{file}:{line}:1: malformed key 'badges.reload'; expected True or False" in (
        result.output
    )
