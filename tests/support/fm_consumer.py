"""The daemon as ``fedora-messaging consume`` runs it, in a process of its own."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from support.broker import BrokerBus
from support.builders import make_config
from support.databases import Databases, badges
from support.deployment import started
from support.hub import LOGGING, Hub
from support.rules import write_rules
from support.toml import consumer_config, to_toml
from support.waiting import eventually


class FmConsumer(Hub):
    """A daemon in a directory of its own, with its ``config.toml`` there."""

    def __init__(self, directory: Path, settings: Mapping[str, object], bus: BrokerBus) -> None:
        self.bus = bus
        super().__init__(directory, settings)
        self.python_path = Path(__file__).with_name("message_schema")

    def configure(self, settings: Mapping[str, object]) -> None:
        """Write the configuration, a line for each key."""
        self.settings_file = self._directory / "config.toml"
        own = self.bus.configuration() | {"log_config": LOGGING}
        self.settings_file.write_text(to_toml(own) + consumer_config(settings))

    def location_of(self, key: str) -> str:
        """Return ``file:line`` of a configuration key."""
        lines = self.settings_file.read_text().splitlines()
        number = next(n for n, line in enumerate(lines, 1) if line.startswith(f'"{key}" ='))
        return f"{self.settings_file}:{number}"

    def start(self, command: str = "fedora-messaging", *arguments: str) -> None:
        """Start without waiting."""
        super().start(command, "--conf", str(self.settings_file), "consume", *arguments)

    def wait_until_started(self) -> None:
        """Wait until it awards badges."""
        eventually(lambda: self.logged("INFO", "to=running") or not self.running(), "the start")
        assert self.running(), self.log()


class FmDeployment:
    """Databases, a bus and rules, and as many daemons as wanted."""

    def __init__(
        self,
        directory: Path,
        databases: Databases,
        bus: BrokerBus,
        rules: Mapping[str, str],
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.directory = directory
        self.databases = databases
        self.bus = bus
        write_rules(directory / "rules", rules)
        self.settings: dict[str, object] = make_config(databases, directory / "rules")
        self.settings |= {"badges.record_messages": True, "badges.rank_interval": 0.2}
        self.settings |= dict(settings or {})
        self.consumers: list[FmConsumer] = []

    def make(self, **keys: Any) -> FmConsumer:
        """Return a further daemon; ``keys`` are settings below ``badges.``."""
        directory = self.directory / f"daemon{len(self.consumers)}"
        more: dict[str, object] = {"badges.state_directory": str(directory / "state")}
        more |= {f"badges.{name}": value for name, value in keys.items()}
        made = FmConsumer(directory, self.settings | more, self.bus)
        self.consumers.append(made)
        started.append(made)
        return made

    def start(self, **keys: Any) -> FmConsumer:
        """Start a further daemon, and return it when it awards badges."""
        made = self.make(**keys)
        made.start()
        made.wait_until_started()
        return made

    def badges(self, username: str) -> dict[str, str]:
        return badges(self.databases, username)

    def wait_for_badge(self, username: str, badge: str) -> None:
        eventually(lambda: badge in self.badges(username), f"{badge} for {username}")

    def close(self) -> None:
        """End all daemons at once."""
        for consumer in self.consumers:
            consumer.close()
            started.remove(consumer)


@contextlib.contextmanager
def fm_deployment(*arguments: Any, **keys: Any) -> Iterator[FmDeployment]:
    """Yield a deployment without daemons yet; the parameters are those of FmDeployment."""
    made = FmDeployment(*arguments, **keys)
    try:
        yield made
    finally:
        made.close()
