"""What deployments on a broker have in common, whichever way their daemons speak to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from support.builders import make_config
from support.databases import Databases, badges
from support.deployment import started
from support.hub import Hub
from support.rules import write_rules
from support.waiting import eventually

if TYPE_CHECKING:
    from typing_extensions import Self

D = TypeVar("D", bound=Hub)


class BrokerDeployment(ABC, Generic[D]):
    """Databases and rules, and as many daemons as wanted, which end with the block."""

    def __init__(
        self,
        directory: Path,
        databases: Databases,
        rules: Mapping[str, str],
        settings: Mapping[str, object],
    ) -> None:
        self.directory = directory
        self.databases = databases
        write_rules(directory / "rules", rules)
        self.settings: dict[str, object] = make_config(databases, directory / "rules")
        self.settings |= {"badges.record_messages": True, "badges.rank_interval": 0.2}
        self.settings |= settings
        self.daemons: list[D] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for daemon in self.daemons:
            daemon.close()
            started.remove(daemon)

    def make(self, **keys: Any) -> D:
        """Return a further daemon; ``keys`` are settings below ``badges.``."""
        directory = self.directory / f"daemon{len(self.daemons)}"
        more: dict[str, object] = {"badges.state_directory": str(directory / "state")}
        more |= {f"badges.{name}": value for name, value in keys.items()}
        made = self._make(directory, self.settings | more)
        self.daemons.append(made)
        started.append(made)
        return made

    @abstractmethod
    def _make(self, directory: Path, settings: Mapping[str, object]) -> D:
        """Return a daemon that was not started."""

    def badges(self, username: str) -> dict[str, str]:
        """Return somebody's badges."""
        return badges(self.databases, username)

    def wait_for_badge(self, username: str, badge: str) -> None:
        """Wait until somebody has a badge."""
        eventually(lambda: badge in self.badges(username), f"{badge} for {username}")
