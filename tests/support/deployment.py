"""A whole deployment: databases, a bus, rules, and a daemon between them."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from support.bus import Bus
from support.databases import Databases, badges
from support.hub import Hub, default_settings
from support.rules import write_rules
from support.waiting import eventually

started: list[Hub] = []
"""The hubs of the tests that run now, for showing their logs when one fails."""


class Deployment:
    """What a test sees of a deployment: what goes in, and what comes of it."""

    def __init__(self, databases: Databases, bus: Bus, hub: Hub) -> None:
        self.databases = databases
        self.bus = bus
        self.hub = hub

    def publish(self, topic: str, msg: dict | None = None, username: str = "root") -> dict:
        """Sends a message over the bus, and returns it."""
        return self.bus.publish(topic, msg, username)

    def badges(self, username: str) -> dict[str, str]:
        """Returns the badges that stand in the database for a person, with their links."""
        return badges(self.databases, username)

    def wait_for_badge(self, username: str, badge: str) -> str:
        """Waits until a badge stands in the database; returns its link."""
        eventually(
            lambda: badge in self.badges(username), f"{badge} for {username} in the database"
        )
        return self.badges(username)[badge]

    def restart(self, settings: Mapping[str, object] | None = None) -> None:
        """Stops the daemon and starts it again, with other settings if they are given."""
        stop(self.hub, self.bus)
        if settings is not None:
            self.hub.configure(settings)
        start(self.hub, self.bus)


def start(hub: Hub, bus: Bus, command: str = "fedmsg-hub") -> None:
    """Starts a hub, and waits until it hears the bus."""
    before = bus.hubs()
    hub.start(command)
    eventually(lambda: bus.hubs() > before or not hub.running(), f"{command} listens to the bus")
    assert hub.running(), f"{command} ended at once:\n{hub.log()}"


def stop(hub: Hub, bus: Bus) -> None:
    """Stops a hub, and waits until the bus knows."""
    others = bus.hubs() - hub.running()
    hub.stop()
    eventually(lambda: bus.hubs() <= others, "the hub has left the bus")


@contextlib.contextmanager
def run_deployment(
    directory: Path,
    databases: Databases,
    rules: Mapping[str, str],
    settings: Mapping[str, object] | None = None,
    command: str = "fedmsg-hub",
) -> Iterator[Deployment]:
    """Runs a daemon on its own bus, and checks its log when all is over.

    :param rules: file names, without ending, and texts.
    :param settings: what differs from :func:`support.hub.default_settings`.
    """
    bus = Bus()
    try:
        with run_hub(directory, databases, bus, rules, settings, command) as hub:
            yield Deployment(databases, bus, hub)
    finally:
        bus.close()


@contextlib.contextmanager
def run_hub(
    directory: Path,
    databases: Databases,
    bus: Bus,
    rules: Mapping[str, str],
    settings: Mapping[str, object] | None = None,
    command: str = "fedmsg-hub",
) -> Iterator[Hub]:
    """Runs a daemon on a bus that is there already; else like :func:`run_deployment`."""
    write_rules(directory / "rules", rules)
    defaults = default_settings(databases, bus, directory / "rules")
    hub = Hub(directory, defaults | dict(settings or {}))
    started.append(hub)
    try:
        start(hub, bus, command)
        yield hub
        stop(hub, bus)
        hub.check_log()
    finally:
        hub.stop()
        started.remove(hub)
