"""A deployment through which things happen while they go wrong, and what must come of it."""

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from pathlib import Path

from support.bus import Bus
from support.databases import Databases, Postgresql, awards, create_schemas
from support.deployment import make_hub, start, started, stop
from support.history import HistoryWriter
from support.hub import ENDS_WITHIN
from support.sizes import SEED
from support.story import PEOPLE, Story, Told, owed, story_rules
from support.waiting import eventually

DISTANCE = 10.0
"""Seconds that datanommer may be late with a message."""

PATIENCE = 90.0
"""Seconds until everything that was missed must have been caught up."""


class Ordeal:
    """A daemon and datanommer beside it, and the story that both are told."""

    def __init__(
        self,
        directory: Path,
        databases: Databases,
        settings: Mapping[str, object],
        command: str,
    ) -> None:
        self.databases = databases
        self.state = directory / "state"
        self.chance = random.Random(SEED)
        self.told: list[Told] = []
        self._command = command
        self._story = Story(SEED)
        create_schemas(databases)
        self.history = HistoryWriter(databases, PEOPLE)
        self.bus = Bus()
        mine = {
            "badges.record_messages": False,
            "badges.state_directory": str(self.state),
            "badges.sweep_interval": 0.5,
            "badges.reload": False,
            "badges.consume_delay": 2.0,
            "badges.keep_counts_distance": DISTANCE,
        }
        self.hub = make_hub(
            directory / "hub", databases, self.bus, story_rules(), mine | dict(settings)
        )
        started.append(self.hub)

    def start(self, first_look: bool = True) -> None:
        """Starts the daemon, and waits until it hears the bus, and has had its first look."""
        start(self.bus, self.hub, command=self._command)
        if first_look:
            # What comes from then on is handled once.
            self.hub.wait_for_log("INFO", "Caught up count=")

    def restart_at_once(self) -> None:
        """Starts the daemon without waiting for anything."""
        self.hub.start(self._command)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends the daemon, which must end well and soon, and waits until the bus knows."""
        stop(self.bus, self.hub, number=number)

    def stop_amid(self, count: int, number: signal.Signals) -> None:
        """Ends the daemon while so many messages arrive: some before that, and most after."""
        before = self.chance.randrange(count // 10, count // 2)
        self.tell(before)
        self.hub.send_signal(number)
        deadline = time.monotonic() + ENDS_WITHIN
        self.tell(count - before)
        assert self.hub.exit_code(deadline - time.monotonic()) == 0
        self._wait_until_gone()

    def stop_twice(self) -> None:
        """Tells the daemon to stop, and again while it does, and waits until the bus knows."""
        self.hub.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        self.hub.stop(signal.SIGTERM)
        self._wait_until_gone()

    def tell(self, count: int, within: float = 0.0, then: Callable[[], None] | None = None) -> None:
        """Publishes so many messages, evenly within so many seconds, and has them stored.

        :param then: what is done after each of them.
        """
        begin = time.monotonic()
        for number, each in enumerate(self._story.tell(count)):
            self._send(each)
            if then is not None:
                then()
            time.sleep(max(0.0, begin + within * number / count - time.monotonic()))

    def tell_steps(self, name: str, count: int, **changed: object) -> list[dict]:
        """Publishes what one person does, and has it stored; returns the messages.

        :param changed: what is in the messages instead of what usually is.
        """
        steps = [self._story.step(name) for _ in range(count)]
        for each in steps:
            each.body["msg"] |= changed
        for each in steps:
            self._send(each)
        return [each.body for each in steps]

    def awards(self) -> list[tuple[str, str]]:
        return awards(self.databases)

    def unpaid(self) -> set[tuple[str, str]]:
        """Returns who is still owed which badge."""
        return owed(self.told).difference(self.awards())

    def wait_until_paid(
        self, timeout: float = PATIENCE, but: Container[tuple[str, str]] = ()
    ) -> None:
        """Waits until everybody has what is owed.

        :param but: what need not be awarded yet.
        """
        self.history.finish()
        deadline = time.monotonic() + timeout
        while missing := [award for award in sorted(self.unpaid()) if award not in but]:
            assert self.hub.running()
            assert time.monotonic() < deadline, f"not awarded within {timeout:g} s: {missing}"
            time.sleep(0.05)

    def check(self) -> None:
        """Raises AssertionError if somebody has more or less than is owed, or has it twice."""
        assert self.awards() == sorted(owed(self.told))
        announced = Counter(
            (message["msg"]["user"]["username"], message["msg"]["badge"]["badge_id"])
            for message in self.bus.heard("fedbadges.badge.award")
        )
        assert not [award for award, times in announced.items() if times > 1]

    def _wait_until_gone(self) -> None:
        eventually(lambda: not self.bus.hubs(), "the hub has left the bus")

    def _send(self, told: Told) -> None:
        self.told.append(told)
        # Which of the two is known first is chance, as it is out there.
        self.history.store(told)
        self.bus.send(told.body)

    def close(self) -> None:
        self.hub.kill()
        self.history.close()
        self.bus.close()


@contextlib.contextmanager
def ordeal(
    directory: Path,
    server: Postgresql,
    settings: Mapping[str, object] | None = None,
    command: str = "fedmsg-hub",
) -> Iterator[Ordeal]:
    """Gives a deployment whose daemon is not started yet, and removes it when all is over.

    :param settings: what differs from what is usual in an ordeal.
    """
    databases = Databases("postgresql", server.create_database(), server.create_database())
    running = Ordeal(directory, databases, settings or {}, command)
    try:
        yield running
    finally:
        running.close()
        server.drop_database(databases.tahrir_url)
        server.drop_database(databases.datanommer_url)
