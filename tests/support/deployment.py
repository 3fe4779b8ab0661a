"""A whole deployment: databases, a bus, rules, and a daemon between them."""

import contextlib
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from support.bus import Bus
from support.databases import Databases, badges
from support.hub import Hub, default_settings
from support.rules import write_rules
from support.waiting import TIMEOUT, eventually

started: list[Hub] = []
"""The hubs of the tests that run now, for showing their logs when one fails."""


class Deployment:
    """A running deployment: messages go in, awards come out."""

    def __init__(self, databases: Databases, bus: Bus, hub: Hub) -> None:
        self.databases = databases
        self.bus = bus
        self.hub = hub

    def publish(self, topic: str, msg: dict | None = None, username: str = "root") -> dict:
        """Send a message over the bus, and returns it."""
        return self.bus.publish(topic, msg, username)

    def badges(self, username: str) -> dict[str, str]:
        """Return the badges that stand in the database for a person, with their links."""
        return badges(self.databases, username)

    def wait_for_badge(self, username: str, badge: str) -> str:
        """Wait until a badge stands in the database, and return its link."""
        eventually(
            lambda: badge in self.badges(username), f"{badge} for {username} in the database"
        )
        return self.badges(username)[badge]

    def restart(self, settings: Mapping[str, object] | None = None) -> None:
        """Stop the daemon and start it again, with other settings if they are given."""
        stop(self.bus, self.hub)
        if settings is not None:
            self.hub.configure(settings)
        start(self.bus, self.hub)


def start(bus: Bus, *hubs: Hub, command: str = "fedmsg-hub") -> None:
    """Start hubs, all at once, and wait until each hears the bus."""
    wanted = bus.hubs() + len(hubs)
    for hub in hubs:
        hub.start(command)

    def ready() -> bool:
        for hub in hubs:
            assert hub.running(), f"{command} ended at once:\n{hub.log()}"
            hub.check_log()
        # It hears the bus before it handles signals.
        return bus.hubs() == wanted and all(hub.handles(signal.SIGTERM) for hub in hubs)

    eventually(ready, f"{command} listens to the bus")


def stop(
    bus: Bus, *hubs: Hub, number: signal.Signals = signal.SIGTERM, within: float = TIMEOUT
) -> None:
    """Stop hubs as a service manager does, and wait until the bus knows."""
    wanted = bus.hubs() - len(hubs)
    for hub in hubs:
        assert hub.stop(number, within) == 0
    eventually(lambda: bus.hubs() == wanted, "the hubs have left the bus")


def make_hub(
    directory: Path,
    databases: Databases,
    bus: Bus,
    rules: Mapping[str, str],
    settings: Mapping[str, object] | None = None,
) -> Hub:
    """Make a daemon on a bus; the other parameters are those of :func:`run_deployment`."""
    write_rules(directory / "rules", rules)
    defaults = default_settings(databases, bus, directory / "rules")
    return Hub(directory, defaults | dict(settings or {}))


@contextlib.contextmanager
def run_deployment(
    directory: Path,
    databases: Databases,
    rules: Mapping[str, str],
    settings: Mapping[str, object] | None = None,
    command: str = "fedmsg-hub",
) -> Iterator[Deployment]:
    """Run a daemon on its own bus, and checks its end and its log when all is over.

    :param rules: file names, without ending, and texts.
    :param settings: what differs from :func:`support.hub.default_settings`.
    """
    bus = Bus()
    hub = make_hub(directory, databases, bus, rules, settings)
    try:
        with run_hubs(bus, hub, command=command):
            yield Deployment(databases, bus, hub)
    finally:
        bus.close()


@contextlib.contextmanager
def run_hubs(bus: Bus, *hubs: Hub, command: str = "fedmsg-hub") -> Iterator[None]:
    """Run daemons on a bus, and checks their ends and their logs when all is over."""
    started.extend(hubs)
    try:
        start(bus, *hubs, command=command)
        yield
        stop(bus, *hubs)
        for hub in hubs:
            hub.check_log()
    finally:
        for hub in hubs:
            hub.kill()
            started.remove(hub)
