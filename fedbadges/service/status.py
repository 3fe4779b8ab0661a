"""What the daemon is doing, as plain values that any JSON can hold."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

from fedbadges.engine.statistics import RuleStatistics
from fedbadges.errors import Problem, Stopped
from fedbadges.retry import OutageRetry
from fedbadges.service.catch_up import CatchUp
from fedbadges.service.database_health import DatabaseHealth
from fedbadges.service.dead_letters import DeadLetters
from fedbadges.service.delay_queue import DelayQueue
from fedbadges.service.in_flight import InFlight
from fedbadges.service.publisher import Publisher
from fedbadges.service.rulebook import RuleBook
from fedbadges.util.text import printable

#: How many mistakes in rules are told; all are counted. How long each may be, in characters.
_SHOWN = 20
_LONGEST = 500

#: In which condition a daemon can be.
STARTING, RUNNING, STOPPING, FAILED = "starting", "running", "stopping", "cannot start"


@dataclass(frozen=True)
class Reporter:
    """Tells what the parts of a daemon are doing.

    ``backlog`` tells how many messages wait before the daemon, and ``overflown`` whether others
    are put off because too many do.
    """

    tallies: RuleStatistics
    prepared: Future[None]
    patience: OutageRetry
    ledger: InFlight
    waiting: DelayQueue
    catchup: CatchUp
    rulebook: RuleBook
    publisher: Publisher
    dead_letters: DeadLetters
    pulse: DatabaseHealth
    backlog: Callable[[], int]
    overflown: Callable[[], bool]

    def report(self) -> dict[str, Any]:
        """Say all that is known; moments are seconds since 1970. Takes a second at most."""
        outage = self.patience.outage
        last = self.tallies.last_award
        return {
            "version": importlib.metadata.version("fedbadges"),
            "since": self.tallies.since,
            "at": time.time(),
            "state": _condition(self.prepared),
            "waiting_for": None if outage is None else asdict(outage),
            "databases": self.pulse.check(),
            "handled": self.ledger.handled,
            "in_hand": len(self.ledger),
            "waiting_room": len(self.waiting),
            "backlog": self.backlog(),
            "overflown": self.overflown(),
            "set_aside": self.dead_letters.count(),
            "catch_up": asdict(self.catchup.status),
            "bus": {"trouble": self.publisher.trouble(), "unsent": self.publisher.unsent},
            "awarded": self.tallies.awards,
            "last_award": None if last is None else asdict(last),
            "rules": self._rules(),
        }

    def _rules(self) -> dict[str, Any]:
        in_force, problems = self.rulebook.rules, self.rulebook.problems
        return {
            "in_force": len(in_force),
            "broken": len({problem.place.path for problem in problems}),
            "mistakes": list(_shown(problems)),
            "tallies": {rule.badge.id: asdict(self.tallies.of(rule.badge.id)) for rule in in_force},
        }


def _condition(prepared: Future[None]) -> str:
    if not prepared.done():
        return STARTING
    error = prepared.exception()
    if error is None:
        return RUNNING
    return STOPPING if isinstance(error, Stopped) else FAILED


def _shown(problems: Iterable[Problem]) -> Iterable[str]:
    for problem in sorted(problems)[:_SHOWN]:
        yield printable(str(problem))[:_LONGEST]
