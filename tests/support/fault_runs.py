"""Deployments for tests of faults: a daemon, datanommer, a workload, and the awards to expect."""

import contextlib
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path

from support.backfilled import backfilled
from support.bus import PREFIX, Bus
from support.databases import Databases, Postgresql, awards
from support.datanommer import DatanommerWriter
from support.deployment import make_hub, start, started, stop
from support.hub import STOP_TIMEOUT
from support.sizes import SEED
from support.waiting import TIMEOUT, eventually
from support.workload import PEOPLE, SentMessage, Workload, expected_awards, workload_rules

DISTANCE = 10.0
"""Seconds that datanommer may be late with a message."""


class FaultRun:
    """A daemon, a datanommer beside it, and a workload that is sent to both."""

    def __init__(
        self,
        directory: Path,
        databases: Databases,
        settings: Mapping[str, object],
        command: str,
        rules: Mapping[str, str],
    ) -> None:
        self.databases = databases
        self.rules = directory / "hub" / "rules"
        self.state = directory / "state"
        self.chance = random.Random(SEED)
        self.sent: list[SentMessage] = []
        self._stored_notices: set[str] = set()
        self._heard = 0
        self._command = command
        self._workload = Workload(SEED)
        self.datanommer = DatanommerWriter(databases, PEOPLE)
        self.bus = Bus()
        mine = {
            "badges.record_messages": False,
            "badges.state_directory": str(self.state),
            "badges.sweep_interval": 0.5,
            "badges.reload": False,
            "badges.consume_delay": 2.0,
            "badges.keep_counts_distance": DISTANCE,
        }
        self.hub = make_hub(directory / "hub", databases, self.bus, rules, mine | dict(settings))
        started.append(self.hub)

    def start(self, caught_up: bool = True) -> None:
        """Start the daemon, and wait until it hears the bus and has caught up once."""
        start(self.bus, self.hub, command=self._command)
        if caught_up:
            # Messages from then on are handled once.
            self.hub.wait_for_log("INFO", "Caught up count=")

    def restart_at_once(self) -> None:
        """Start the daemon without waiting for anything."""
        self.hub.start(self._command)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop the daemon, which must exit with 0 in time, and wait until the bus knows."""
        stop(self.bus, self.hub, number=number, within=STOP_TIMEOUT)

    def stop_amid(self, count: int, number: signal.Signals) -> None:
        """Stop the daemon while ``count`` messages arrive, most of them after the signal."""
        before = self.chance.randrange(count // 10, count // 2)
        self.send(before)
        self.hub.send_signal(number)
        deadline = time.monotonic() + STOP_TIMEOUT
        self.send(count - before)
        assert self.hub.exit_code(deadline - time.monotonic()) == 0
        self._wait_until_gone()

    def stop_twice(self) -> None:
        """Send the daemon a second signal while it stops, and wait until the bus knows."""
        self.hub.send_signal(signal.SIGTERM)
        time.sleep(0.05)
        self.hub.stop(signal.SIGTERM, within=STOP_TIMEOUT)
        self._wait_until_gone()

    def send(self, count: int, within: float = 0.0, then: Callable[[], None] | None = None) -> None:
        """Publish ``count`` messages, spread over ``within`` seconds, and store them.

        :param then: is called after each of them.
        """
        begin = time.monotonic()
        for number, each in enumerate(self._workload.messages(count)):
            self._send(each)
            if then is not None:
                then()
            time.sleep(max(0.0, begin + within * number / count - time.monotonic()))

    def send_steps(self, name: str, count: int, **changed: object) -> list[dict]:
        """Publish and store messages of one person, and return them.

        :param changed: fields of the messages that differ from the usual ones.
        """
        steps = [self._workload.step(name) for _ in range(count)]
        for each in steps:
            each.body["msg"] |= changed
        for each in steps:
            self._send(each)
        return [each.body for each in steps]

    def send_step(self, name: str) -> None:
        """Publish and store a message of one person."""
        self._send(self._workload.step(name))

    def awards(self) -> list[tuple[str, str]]:
        return awards(self.databases)

    def missing_awards(self) -> set[tuple[str, str]]:
        """Return pairs of person and badge that are not awarded yet."""
        return expected_awards(self.sent).difference(self.awards())

    def wait_until_awarded(
        self, timeout: float = 2 * TIMEOUT, but: Container[tuple[str, str]] = ()
    ) -> None:
        """Wait until all expected badges are awarded.

        :param but: what need not be awarded yet.
        """
        self.datanommer.finish()
        deadline = time.monotonic() + timeout
        while missing := [award for award in sorted(self.missing_awards()) if award not in but]:
            assert self.hub.running()
            assert time.monotonic() < deadline, f"not awarded within {timeout:g} s: {missing}"
            time.sleep(0.05)

    def store_notices(self) -> int:
        """Store the notices that were heard since the last time, and return how many these are.

        A notice that is heard once more is stored once, as datanommer does.
        """
        heard = self.bus.messages()
        new = [message for message in heard[self._heard :] if is_award(message)]
        self._heard = len(heard)
        new = [message for message in new if message["msg_id"] not in self._stored_notices]
        for message in new:
            if message["msg_id"] not in self._stored_notices:
                self._stored_notices.add(message["msg_id"])
                self.datanommer.store(SentMessage(message, (message["msg"]["user"]["username"],)))
        return len(new)

    def wait_until_backfilled(self, timeout: float = TIMEOUT) -> None:
        """Wait until all badges are awarded that backfill would award, and no others are.

        What counts awards needs their notices: these are stored meanwhile, and all must be heard.

        :param timeout: for so many seconds at most nothing changes.
        """
        deadline = time.monotonic() + timeout
        before: list[tuple[str, str]] = []
        while True:
            new, now = self.store_notices(), self.awards()
            self.datanommer.finish()
            changed, before = new or now != before, now
            if changed:
                deadline = time.monotonic() + timeout
            else:
                expected = backfilled(self.databases, self.rules)
                if set(now) == expected == self._announced().keys():
                    return
                assert time.monotonic() < deadline, (
                    f"awards: {differences(now, expected)}; "
                    f"notices: {differences(self._announced(), set(now))}"
                )
            assert self.hub.running()
            time.sleep(0.5)

    def check_backfilled(self) -> None:
        """Raise AssertionError if a badge or a notice is missing, or a badge is unexpected."""
        self.store_notices()
        self.datanommer.finish()
        awarded, expected = self.awards(), backfilled(self.databases, self.rules)
        assert awarded == sorted(expected), differences(awarded, expected)
        announced = self._announced()
        assert sorted(announced) == awarded, differences(announced, set(awarded))
        # Whoever hears one twice must know it again.
        assert not [award for award, msg_ids in announced.items() if len(msg_ids) > 1]

    def check(self) -> None:
        """Raise AssertionError if a badge is missing, unexpected or announced twice.

        The same notice may be heard again, with its id, after the daemon was killed.
        """
        assert self.awards() == sorted(expected_awards(self.sent))
        assert not [award for award, msg_ids in self._announced().items() if len(msg_ids) > 1]

    def _announced(self) -> dict[tuple[str, str], set[str]]:
        """Return the ids of the notices that were heard of each award."""
        found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for message in filter(is_award, self.bus.messages()):
            found[award_of(message)].add(message["msg_id"])
        return found

    def _wait_until_gone(self) -> None:
        eventually(lambda: not self.bus.hubs(), "the hub has left the bus")

    def _send(self, message: SentMessage) -> None:
        self.sent.append(message)
        # Which of the two has it first is chance, as in production.
        self.datanommer.store(message)
        self.bus.send(message.body)

    def close(self) -> None:
        self.hub.close()
        self.datanommer.close()
        self.bus.close()


def is_award(message: dict) -> bool:
    """Return True for a notice of an award."""
    return bool(message["topic"] == f"{PREFIX}.fedbadges.badge.award")


def award_of(notice: dict) -> tuple[str, str]:
    """Return the person and the badge that a notice is of."""
    return notice["msg"]["user"]["username"], notice["msg"]["badge"]["badge_id"]


def differences(found: Iterable[tuple[str, str]], expected: set[tuple[str, str]]) -> str:
    """Say how awards differ from those that are expected: of each badge how many, and a few."""
    lines = []
    for what, some in (
        ("unexpected", set(found) - expected),
        ("missing", expected - set(found)),
    ):
        counts = dict(Counter(badge for _, badge in some))
        lines.append(f"{len(some)} {what}: {counts}, such as {sorted(some)[:5]}")
    return "; ".join(lines)


@contextlib.contextmanager
def run_with_faults(
    directory: Path,
    server: Postgresql,
    settings: Mapping[str, object] | None = None,
    command: str = "fedmsg-hub",
    rules: Mapping[str, str] | None = None,
) -> Iterator[FaultRun]:
    """Yield a deployment whose daemon is not started yet, and remove it afterwards.

    :param settings: settings that differ from the usual ones.
    :param rules: other rules than those of the workload.
    """
    databases = server.create_databases()
    running = FaultRun(directory, databases, settings or {}, command, rules or workload_rules())
    try:
        yield running
    finally:
        running.close()
        server.drop_databases(databases)
