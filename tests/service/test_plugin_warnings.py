"""What the start warns of where no plugin for fedmsg.meta names users and packages."""

import logging
from pathlib import Path
from typing import Any

import pytest
from support.builders import make_settings
from support.daemon import make_daemon
from support.databases import sqlite_databases
from support.rules import rule, write_rules

QUESTION = """
trigger: {{topic: {topic}}}
criteria:
  filter: {{topics: ["%(topic)s"], {names}}}
  operation: count
  condition: {{greater than: 0}}
recipient: "%(msg.user)s"
"""

RULES = {
    "by-user": QUESTION.format(topic="test.one", names='usernames: ["%(recipient)s"]'),
    "by-package": QUESTION.format(topic="test.one", names='not_packages: ["%(msg.package)s"]'),
    "by-agent": QUESTION.format(topic="test.one", names='agents: "%(msg.user)s"'),
    "by-text": QUESTION.format(topic="test.one", names='contains: ["%(recipient)s"]'),
    "logger": QUESTION.format(topic="logger.log", names='users: ["%(recipient)s"]'),
}


class Plugin:
    """What fedmsg.meta has of a plugin, as far as its name goes."""

    def __init__(self, name: str) -> None:
        self.__name__ = name


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> list[Plugin]:
    """Have fedmsg.meta find these plugins, and not what is installed here."""
    found = [Plugin("Logger"), Plugin("Announce")]
    monkeypatch.setattr("fedmsg.meta.make_processors", lambda **config: None)
    monkeypatch.setattr("fedmsg.meta.processors", found)
    return found


def warned(directory: Path, log: pytest.LogCaptureFixture, **keys: Any) -> list[str]:
    """Start a daemon, have it load its rules twice, and return the warnings."""
    log.set_level(logging.WARNING, "fedbadges")
    write_rules(directory / "rules", {name: rule(name, body) for name, body in RULES.items()})
    daemon = make_daemon(make_settings(sqlite_databases(directory), directory / "rules", **keys))
    daemon.start()
    daemon.reload_rules()
    daemon.stop()
    return [
        record.getMessage()
        for record in log.records
        if record.name.startswith("fedbadges") and "plugin" in record.getMessage()
    ]


def test_start_warns_once_of_rules_that_ask_for_names_which_are_not_stored(
    plugins: list[Plugin], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert warned(tmp_path, caplog, record_messages=True) == [
        "Users and packages are not stored without a plugin for fedmsg count=3 "
        "badges=by-agent,by-package,by-user"
    ]


def test_start_warns_of_nothing_where_datanommer_stores_messages(
    plugins: list[Plugin], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert warned(tmp_path, caplog) == []


def test_start_warns_of_nothing_with_a_plugin(
    plugins: list[Plugin], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plugins.append(Plugin("Git"))

    assert warned(tmp_path, caplog, record_messages=True) == []
