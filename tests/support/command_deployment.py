"""A deployment for tests of commands: its configuration, rules and databases."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from click.testing import Result

from fedbadges.criteria.backends import load_backends
from fedbadges.history.history import History
from fedbadges.rules.loader import load_directory
from fedbadges.tahrir.database import Tahrir
from support.builders import make_config, make_message, make_settings
from support.command import fedbadges
from support.databases import Databases
from support.rules import rule


class CommandDeployment:
    """Databases and rules below a directory, and commands that use them."""

    def __init__(self, databases: Databases, directory: Path) -> None:
        self.directory = directory
        self.rules = directory / "rules"
        self.rules.mkdir()
        self.databases = databases
        self.settings = make_settings(databases, self.rules, banned_usernames=["robot"])
        self.tahrir = Tahrir(self.settings)
        self.history = History(self.settings)
        self.configure()

    def configure(self, **keys: Any) -> None:
        """Write the configuration; ``keys`` are those below ``badges.``."""
        config = make_config(self.databases, self.rules) | {"endpoints": {}}
        config |= {f"badges.{name}": value for name, value in keys.items()}
        (self.directory / "config.py").write_text(f"config = {config!r}")

    def write(self, name: str, body: str) -> Path:
        """Write a rule, and makes tahrir know its badge."""
        return self._write(name, rule(name, body))

    def write_series(self, name: str, topic: str, thresholds: Iterable[int]) -> Path:
        """Write a series of badges for so many of somebody's messages, called like ``name 10``."""
        badges = "".join(f"- {{name: {name} {each}, threshold: {each}}}\n" for each in thresholds)
        body = f"series: {name}\nbadges:\n{badges}trigger: {{topic: {topic}}}\n"
        counting = 'filter: {topics: ["%(topic)s"], users: ["%(recipient)s"]}, operation: count'
        body += f'criteria: {{{counting}}}\nrecipient: "%(msg.user)s"\n'
        return self._write(name, rule(name, body).replace(f"name: {name}\n", "", 1))

    def _write(self, name: str, text: str) -> Path:
        path = self.rules / f"{name}.yml"
        path.write_text(text)
        loaded = load_directory(self.rules, load_backends(self.settings))
        assert not loaded.problems
        self.tahrir.publish_badges(each.badge for each in loaded.rules)
        return path

    def store(self, topic: str, users: Iterable[str], msg: Any = None, **envelope: Any) -> None:
        """Store a message in datanommer."""
        self.history.record(make_message(topic, msg, **envelope), users, [])

    def call(self, name: str, *arguments: str | Path, **options: Any) -> Result:
        """Call a command for this deployment."""
        return fedbadges(name, "--config", self.directory / "config.py", *arguments, **options)


def question(topics: str, condition: str, operation: str = "count") -> str:
    """Return a question to datanommer about the candidate's messages."""
    return yaml.safe_dump(
        {
            "filter": {"topics": [topics], "users": ["%(recipient)s"]},
            "operation": operation if operation == "count" else {"lambda": operation},
            "condition": yaml.safe_load(condition),
        },
        default_flow_style=True,
        width=10_000,
    ).strip()
