"""Status: what the daemon is doing, as plain values that any JSON can hold."""

import importlib.metadata
import time
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
    last, rules, problems = statistics.last_award, parts.rulebook.rules, parts.rulebook.problems
    return {
        "version": importlib.metadata.version("fedbadges"),
        "since": statistics.since,
        "at": time.time(),
        "state": _STATES.get(parts.lifecycle.state, "starting"),
        "waiting_for": None if outage is None else asdict(outage),
        "databases": parts.health.check(),
        "handled": parts.in_flight.handled,
        "in_hand": len(parts.in_flight),
        "waiting_room": len(parts.delay_queue),
        "backlog": parts.backlog(),
        "overflown": parts.back_pressure.is_shedding,
        "set_aside": parts.dead_letters.count(),
        "catch_up": parts.catch_up.report(),
        "warm_up": parts.warm_up.report(),
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
            "broken": len({problem.place.path for problem in problems}),
            "mistakes": [
                printable(str(problem))[:_MAX_CHARACTERS]
                for problem in sorted(problems)[:_MAX_MISTAKES]
            ],
            "tallies": {rule.badge.id: _tally(rule, statistics) for rule in rules},
        },
    }


def _tally(rule: Rule, statistics: RuleStatistics) -> dict[str, Any]:
    """Return how often a rule was triggered and awarded, its funnel, and what is wrong with it."""
    funnel, trouble = statistics.funnel(rule.badge.id), statistics.trouble(rule)
    return {
        "triggers": funnel.triggered,
        "awards": funnel.awarded,
        "funnel": asdict(funnel),
        "warning": None if trouble is None else str(trouble)[:_MAX_CHARACTERS],
    }
