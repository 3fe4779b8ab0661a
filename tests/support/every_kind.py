"""Rules with every kind of condition and window, and some that count the awards of the others."""

from typing import Any

import yaml

from support.rules import rule

Criteria = dict[str, Any]

COLOURS = ("red", "green", "blue")
"""What ``msg.colour`` of a step is one of."""

CHAINED = ("collector", "fifth-badge")
"""Those that count awards."""

_WINNER = "%(msg.user.username)s"


def _steps(condition: Criteria, operation: str | None = None, **window: str) -> Criteria:
    chosen = {"topics": ["%(topic)s"], "users": ["%(username)s"], **window}
    return _question(chosen, condition, operation)


def _awards(condition: Criteria) -> Criteria:
    return _question({"topics": ["%(topic)s"], "users": [_WINNER]}, condition)


def _question(chosen: Criteria, condition: Criteria, operation: str | None = None) -> Criteria:
    computed = "count" if operation is None else {"lambda": operation}
    return {"datanommer": {"filter": chosen, "operation": computed, "condition": condition}}


_COLOURS = "len({m.msg['colour'] for m in query.all()})"
_RED = "len([m for m in query.all() if m.msg['colour'] == 'red'])"
_FEW = _steps({"less than or equal to": 3})

_OF_STEPS = {
    "first": _steps({"greater than or equal to": 1}),
    "more-than-four": _steps({"greater than": 4}),
    "seventh": _steps({"equal to": 7}),
    "every-fifth": _steps({"lambda": "value % 5 == 0"}),
    "beginner": _steps({"less than": 2}),
    "few": _FEW,
    "not-the-first": _steps({"is not": 1}),
    "not-few": {"not": _FEW},
    "few-but-not-the-first": {"all": [_FEW, _steps({"is not": 1})]},
    "seventh-or-third-red": {"any": [_steps({"equal to": 7}), _steps({"equal to": 3}, _RED)]},
    "second-red": _steps({"equal to": 2}, _RED),
    "two-colours": _steps({"equal to": 2}, _COLOURS),
    "burst": _steps({"greater than or equal to": 4}, start="2 seconds ago"),
    "third-in-a-burst": _steps({"equal to": 3}, start="1 second ago"),
    "third-in-the-twenties": _steps({"equal to": 3}, start="2020-01-01", end="2029-12-31"),
    "after-a-pause": _steps({"less than": 1}, start="1 day ago", end="1 second ago"),
}
_OF_AWARDS = {
    "collector": _awards({"greater than or equal to": 3}),
    "fifth-badge": _awards({"equal to": 5}),
}


def every_kind() -> dict[str, str]:
    """Return the rules: they are about messages of ``logger.step``, and about awards."""
    bodies = {
        name: {"trigger": {"topic": "logger.step"}, "criteria": criteria}
        for name, criteria in _OF_STEPS.items()
    } | {
        name: {
            "trigger": {"topic": "fedbadges.badge.award"},
            "criteria": criteria,
            "recipient": _WINNER,
        }
        for name, criteria in _OF_AWARDS.items()
    }
    return {
        name: rule(name.replace("-", " ").title(), yaml.safe_dump(body))
        for name, body in bodies.items()
    }
