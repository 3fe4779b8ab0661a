"""The daemon as ``fedora-messaging consume`` runs it, in a process of its own."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from support.broker import BrokerBus
from support.broker_deployment import BrokerDeployment
from support.databases import Databases
from support.hub import LOGGING, Hub
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


class FmDeployment(BrokerDeployment[FmConsumer]):
    """Databases, a bus and rules, and as many daemons as wanted."""

    def __init__(
        self,
        directory: Path,
        databases: Databases,
        bus: BrokerBus,
        rules: Mapping[str, str],
        settings: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        super().__init__(directory, databases, rules, settings)
        self.bus = bus

    def start(self, **keys: Any) -> FmConsumer:
        """Start a further daemon, and return it when it awards badges."""
        made = self.make(**keys)
        made.start()
        made.wait_until_started()
        return made

    def _make(self, directory: Path, settings: Mapping[str, object]) -> FmConsumer:
        return FmConsumer(directory, settings, self.bus)
