"""A daemon to which messages come as ``arrivals`` says, and what backfill awards for the same."""

import shutil
import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import timezone
from pathlib import Path
from typing import Any

import fedmsg.config

from fedbadges.buses.fedmsg.publisher import Publisher
from fedbadges.config.settings import Settings, read_settings
from fedbadges.service.daemon import Daemon
from support.arrivals import DISTANCE, After, Arrival, Way
from support.backfilled import Pairs, replayed
from support.builders import make_config
from support.databases import Databases, awards
from support.histories import PREFIX, PastMessage, Storage
from support.rules import write_rules
from support.waiting import TIMEOUT

_DAYS = 30 * 86_400.0


class ArrivingDaemon:
    """A daemon that handles what comes, and is started again with the state that it left.

    ``keys`` are settings below ``badges.`` that differ from the usual ones.
    """

    def __init__(
        self,
        directory: Path,
        databases: Databases,
        rules: Mapping[str, str],
        **keys: Any,
    ) -> None:
        self._databases = databases
        self._state = directory / "state"
        self._rules = directory / "rules"
        shutil.rmtree(self._state, ignore_errors=True)
        shutil.rmtree(self._rules, ignore_errors=True)
        write_rules(self._rules, dict(rules))
        self._settings = self._read_settings(keys)
        self._storage = Storage(self._settings)
        self._backlog = 0
        self._daemon = self._start()

    def _read_settings(self, others: Mapping[str, Any]) -> Settings:
        whole = fedmsg.config.defaults | {"endpoints": {}, "post_init_sleep": 0.0}
        whole |= make_config(self._databases, self._rules)
        keys = {
            "reload": False,
            "state_directory": str(self._state),
            # Sweeps are called for.
            "sweep_interval": 86_400.0,
            "keep_counts_distance": DISTANCE,
            "consume_delay": 0,
            "catchup_limit": _DAYS,
            "rank_interval": 3600.0,
        }
        settings, warnings = read_settings(
            whole | {f"badges.{name}": value for name, value in (keys | dict(others)).items()}
        )
        assert not warnings
        return settings

    def come(self, arrival: Arrival) -> None:
        """Let messages come by their way."""
        before = self._copy_state()
        if arrival.way is Way.RECORDED:
            self._hear(arrival)
            self._settle()
        elif arrival.way is Way.WHILE_DOWN:
            self._daemon.stop()
            self._storage.store(sorted(arrival.messages, key=lambda each: each.number))
            self._daemon = self._start()
        else:
            if arrival.way is Way.BUS_FIRST:
                self._hear(arrival)
                self._settle()
            self._storage.store(sorted(arrival.messages, key=lambda each: each.number))
            if arrival.way is Way.STORED_FIRST:
                self._hear(arrival)
                self._settle()
        if arrival.after is After.SWEEP:
            self._sweep()
        elif arrival.after in (After.RESTART, After.CRASH):
            self._daemon.stop()
            if arrival.after is After.CRASH:
                self._restore_state(before)
            self._daemon = self._start()

    def finish(self) -> Pairs:
        """Handle what is left, stop, and return all awards."""
        # What was judged too early is judged again.
        self._sweep()
        self._sweep()
        self._daemon.stop()
        return set(awards(self._databases))

    def close(self) -> None:
        self._daemon.stop()

    def backfilled(self) -> Pairs:
        """Return what backfill awards over the same history."""
        return replayed(self._settings)

    def _start(self) -> Daemon:
        publisher = Publisher(self._settings.fedmsg)
        daemon = Daemon(self._settings, publisher, backlog=lambda: self._backlog)
        daemon.start()
        catch_up = daemon._parts.catch_up
        _wait(lambda: catch_up.report()["until"] is not None and not catch_up.report()["running"])
        # From its first checkpoint on, whatever is stored is found, however old.
        _wait(lambda: "number" in (self._state / "checkpoint").read_text())
        return daemon

    def _hear(self, arrival: Arrival) -> None:
        left = deque(arrival.messages)
        while left:
            message = left.popleft()
            self._backlog = len(left) if arrival.batch else 0
            self._daemon.handle(_body(message))
        self._daemon.flush()

    def _settle(self) -> None:
        parts = self._daemon._parts
        _wait(lambda: not len(parts.in_flight) and not parts.delay_queue.unfinished)

    def _sweep(self) -> None:
        self._daemon._parts.catch_up.sweep()
        self._settle()

    def _copy_state(self) -> Path:
        copy = self._state.with_name("before")
        shutil.rmtree(copy, ignore_errors=True)
        # What is being written is not there yet.
        unwritten = shutil.ignore_patterns("*.new")
        return Path(shutil.copytree(self._state, copy, ignore=unwritten))

    def _restore_state(self, copy: Path) -> None:
        shutil.rmtree(self._state)
        shutil.copytree(copy, self._state)


def awards_of(daemon: ArrivingDaemon, coming: Iterable[Arrival]) -> Pairs:
    """Return the awards of a daemon to which all this comes."""
    try:
        for arrival in coming:
            daemon.come(arrival)
        return daemon.finish()
    finally:
        daemon.close()


def _body(past: PastMessage) -> dict[str, Any]:
    """Return a message as it comes over the bus."""
    return {
        "topic": PREFIX + past.topic,
        "msg": past.msg,
        "msg_id": past.id,
        "timestamp": past.sent.replace(tzinfo=timezone.utc).timestamp(),
        "i": 1,
        "username": past.agent,
    }


def _wait(condition: Any) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
