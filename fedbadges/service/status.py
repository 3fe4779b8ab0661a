"""Status: what the daemon is doing, as plain values that any JSON can hold."""

import importlib.metadata
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fedbadges.engine.statistics import RuleStatistics
from fedbadges.rules.rule import Rule
from fedbadges.service.lifecycle import State
from fedbadges.service.wiring import Parts
from fedbadges.util.text import printable

#: How many mistakes in rules are reported; all are counted. How many characters each may have.
_MAX_MISTAKES = 20
_MAX_CHARACTERS = 500

_STATES = {
    State.RUNNING: "running",
    State.FAILED: "cannot start",
    State.DRAINING: "stopping",
    State.STOPPED: "stopping",
}


def report(parts: Parts) -> dict[str, Any]:
    """Return all that is known; times are seconds since 1970. This takes a second at most."""
    statistics, outage = parts.engine.statistics, parts.outages.outage
    verification = None if parts.verifier is None else parts.verifier.outage
    at, catch_up = time.time(), parts.catch_up.report()
    last, rules, problems = statistics.last_award, parts.rulebook.rules, parts.rulebook.problems
    return {
        "version": importlib.metadata.version("fedbadges"),
        "since": statistics.since,
        "at": at,
        "state": _STATES.get(parts.lifecycle.state, "starting"),
        "waiting_for": None if outage is None else asdict(outage),
        "databases": parts.health.check(),
        "handled": parts.in_flight.handled,
        "outcomes": parts.in_flight.outcomes(),
        "lag": _lag(parts, catch_up, at),
        "in_hand": len(parts.in_flight),
        "waiting_room": len(parts.delay_queue),
        "backlog": parts.backlog(),
        "overflown": parts.back_pressure.is_shedding,
        "set_aside": parts.dead_letters.count(),
        "catch_up": catch_up,
        "warm_up": parts.warm_up.report(),
        "cached": parts.history.cached(),
        "bus": {"trouble": parts.publisher.trouble(), "unsent": parts.publisher.unsent},
        "outbox": parts.outbox.report(),
        "ranks": parts.ranks.report(),
        "progress": parts.current_values.report(),
        "signatures": {
            "checked": parts.verifier is not None,
            "trouble": None if verification is None else verification.reason,
        },
        "awarded": statistics.awards,
        "revocations": parts.health.answer("tahrir"),
        "last_award": None if last is None else asdict(last),
        "rules": {
            "in_force": len(rules),
            "loaded_at": parts.rulebook.loaded_at,
            "broken": len({problem.place.path for problem in problems}),
            "mistakes": [
                printable(str(problem))[:_MAX_CHARACTERS]
                for problem in sorted(problems)[:_MAX_MISTAKES]
            ],
            "tallies": {rule.badge.id: _tally(rule, statistics) for rule in rules},
        },
    }


def _lag(parts: Parts, catch_up: Mapping[str, Any], now: float) -> float | None:
    """Return how old the oldest message can be that is not done; None while that is not known."""
    until = catch_up["until"]
    if until is None and catch_up["whole"]:
        return None
    if until is None:
        until = parts.in_flight.oldest_sent()
    return 0.0 if until is None else max(now - until, 0.0)


def _tally(rule: Rule, statistics: RuleStatistics) -> dict[str, Any]:
    """Return how often a rule was triggered and awarded, its funnel, and what is wrong with it."""
    funnel, trouble = statistics.funnel(rule.badge.id), statistics.trouble(rule)
    return {
        "triggers": funnel.triggered,
        "awards": funnel.awarded,
        "funnel": asdict(funnel),
        "warning": None if trouble is None else str(trouble)[:_MAX_CHARACTERS],
    }
