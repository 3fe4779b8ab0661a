"""A deployment for tests of ``fedbadges award`` and ``fedbadges revoke``."""

from pathlib import Path
from typing import Any

from click.testing import Result

from fedbadges.rules.rule import Badge
from fedbadges.tahrir.database import Tahrir
from support.builders import make_config, make_settings
from support.command import fedbadges
from support.databases import Databases, tahrir
from support.rules import counting_rule, write_rules

SPEAKER = Badge(
    id="speaker",
    name="Speaker",
    description="Gave a talk",
    image_url="https://badges.example.org/pngs/speaker.png",
    discussion="https://badges.example.org/ideas/3",
    creator="alice",
)
WHY = ("--reason", "spoke at the conference")


class Place:
    """A deployment without a daemon: tahrir with the badge Speaker, and a rule for First Step."""

    def __init__(self, databases: Databases, directory: Path) -> None:
        self.databases = databases
        self.directory = directory
        write_rules(directory / "rules", {"first": counting_rule("First Step", "logger.first", 1)})
        self.settings = make_settings(databases, directory / "rules")
        Tahrir(self.settings).publish_badges([SPEAKER])
        self.configure()

    def configure(self, **others: Any) -> None:
        config = make_config(self.databases, self.directory / "rules") | {"endpoints": {}} | others
        (self.directory / "config.py").write_text(f"config = {config!r}\n")

    def call(self, command: str, *arguments: str, **options: Any) -> Result:
        config = ("--config", str(self.directory / "config.py"))
        return fedbadges(command, *config, *arguments, **options)

    def award(self, *arguments: str) -> Result:
        return self.call("award", "--no-publish", "--create", *WHY, *arguments)

    def add_people(self, *names: str) -> None:
        with tahrir(self.databases) as database:
            for name in names:
                database.add_person(f"{name}@example.org", nickname=name)
            database.session.commit()

    def write_table(self, *lines: str, name: str = "people.csv") -> str:
        """Write a table, and return its path."""
        path = self.directory / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return str(path)

    def revoke(self, *arguments: str) -> Result:
        return self.call("revoke", "--no-publish", *WHY, *arguments)

    def rank(self, username: str) -> int | None:
        with tahrir(self.databases) as database:
            return database.get_person(nickname=username).rank
