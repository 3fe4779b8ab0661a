"""Status: what the daemon is doing, as plain values that any JSON can hold."""

import importlib.metadata
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from fedbadges.config.settings import Settings
from fedbadges.errors import Problem
from fedbadges.service.database_health import database_health
from fedbadges.service.lifecycle import State
from fedbadges.service.wiring import Parts
from fedbadges.util.text import printable

#: How many mistakes in rules are reported; all are counted. How many characters each may have.
_MAX_MISTAKES = 20
_MAX_CHARACTERS = 500

_STATES = {
    State.CREATED: "starting",
    State.STARTING: "starting",
    State.RUNNING: "running",
    State.FAILED: "cannot start",
    State.DRAINING: "stopping",
    State.STOPPED: "stopping",
}


class StatusReporter:
    """Reports what the parts of a daemon are doing."""

    def __init__(self, settings: Settings, parts: Parts) -> None:
        self._parts = parts
        self._health = database_health(settings)

    def report(self) -> dict[str, Any]:
        """Return all that is known; times are seconds since 1970. This takes a second at most."""
        parts, statistics = self._parts, self._parts.engine.statistics
        outage, last = parts.outages.outage, statistics.last_award
        return {
            "version": importlib.metadata.version("fedbadges"),
            "since": statistics.since,
            "at": time.time(),
            "state": _STATES[parts.lifecycle.state],
            "waiting_for": None if outage is None else asdict(outage),
            "databases": self._health.check(),
            "handled": parts.in_flight.handled,
            "in_hand": len(parts.in_flight),
            "waiting_room": len(parts.delay_queue),
            "backlog": parts.backlog(),
            "overflown": parts.back_pressure.is_shedding,
            "set_aside": parts.dead_letters.count(),
            "catch_up": asdict(parts.catch_up.status),
            "bus": {"trouble": parts.publisher.trouble(), "unsent": parts.publisher.unsent},
            "awarded": statistics.awards,
            "last_award": None if last is None else asdict(last),
            "rules": self._rules(),
        }

    def _rules(self) -> dict[str, Any]:
        rules, problems = self._parts.rulebook.rules, self._parts.rulebook.problems
        counters = self._parts.engine.statistics.of
        return {
            "in_force": len(rules),
            "broken": len({problem.place.path for problem in problems}),
            "mistakes": list(_lines(problems)),
            "tallies": {rule.badge.id: counters(rule.badge.id) for rule in rules},
        }


def _lines(problems: Iterable[Problem]) -> Iterable[str]:
    for problem in sorted(problems)[:_MAX_MISTAKES]:
        yield printable(str(problem))[:_MAX_CHARACTERS]
