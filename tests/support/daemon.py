"""A daemon within the test's process, on SQLite."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.config.settings import Settings
from fedbadges.service.daemon import Daemon
from support.builders import make_settings
from support.databases import badges, sqlite_databases
from support.rules import write_rules

# The daemon itself stores the message, so this holds of it.
THIS_MESSAGE = """\
criteria:
  filter: {topics: ["%(topic)s"], msg_id: "%(msg_id)s"}
  operation: count
  condition: {equal to: 1}
"""


def make_daemon(settings: Settings, *others: Any, **keys: Any) -> Daemon:
    """Return a daemon that publishes on the bus of the settings; the rest is as Daemon has it."""
    return Daemon(settings, Publisher(settings.fedmsg), *others, **keys)


class Running:
    """A daemon with its databases."""

    def __init__(self, directory: Path, rules: dict[str, str], keys: dict[str, Any]) -> None:
        self.databases = sqlite_databases(directory)
        write_rules(directory / "rules", rules)
        settings = make_settings(
            self.databases,
            directory / "rules",
            record_messages=True,
            reload=False,
            **keys,
        )
        self._daemon = make_daemon(settings)

    def handle(self, body: dict[str, Any]) -> None:
        """Handle a message, and return when that is done."""
        self._daemon.handle_acknowledged(body)

    def badges(self, username: str) -> set[str]:
        return set(badges(self.databases, username))

    def start(self) -> None:
        self._daemon.start()

    def stop(self) -> None:
        self._daemon.stop()


@contextlib.contextmanager
def running(directory: Path, rules: dict[str, str], **keys: Any) -> Iterator[Running]:
    """Yield a daemon with these rules; ``keys`` are settings below ``badges.``."""
    daemon = Running(directory, rules, keys)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()
