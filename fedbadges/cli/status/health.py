"""The problems of a daemon, by its own report."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedbadges.util.text import format_time

#: The states of a daemon that awards nothing.
_STATES = {
    "starting": "it has not started yet",
    "stopping": "it is stopping",
    "cannot start": "it cannot start; its log has the reason at CRITICAL",
}


def problems(report: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong, the worst first."""
    return [*_blocking(report), *_degrading(report), *_rules(report)]


def _blocking(report: Mapping[str, Any]) -> Iterator[str]:
    if report["state"] in _STATES:
        yield _STATES[report["state"]]
    if report["signatures"]["trouble"]:
        yield f"nothing is awarded: {report['signatures']['trouble']}"
    outage = report["waiting_for"]
    if outage is not None:
        yield f"it waits since {format_time(outage['since'])}: {outage['reason']}"
    for name, reason in report["databases"].items():
        if reason is not None:
            yield f"{name} does not answer: {reason}"


def _degrading(report: Mapping[str, Any]) -> Iterator[str]:
    if report["catch_up"]["trouble"]:
        yield f"it cannot catch up: {report['catch_up']['trouble']}"
    if report["overflown"]:
        yield "messages beyond 'badges.backlog_limit', or too large to wait, are put off"
    if report["bus"]["trouble"]:
        yield f"awards are not on the bus: {report['bus']['trouble']}"
    if report["set_aside"]:
        yield f"failed messages are set aside: {report['set_aside']}"


def _rules(report: Mapping[str, Any]) -> Iterator[str]:
    rules = report["rules"]
    if report["state"] == "running" and not rules["in_force"]:
        yield "no rules are in force"
    if rules["broken"]:
        yield f"rule files with mistakes: {rules['broken']}"
    yield from rules["mistakes"]
