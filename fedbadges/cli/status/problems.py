"""What is wrong with a daemon, by its report."""

from collections.abc import Mapping
from typing import Any

from fedbadges.util.text import format_time

#: The states of a daemon that awards nothing.
_STATES = {
    "starting": "it has not started yet",
    "stopping": "it is stopping",
    "cannot start": "it cannot start; its log has the reason at CRITICAL",
}

#: Seconds after which notices that wait to be published are a problem.
_LATE = 180


def problems(report: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong, the worst first."""
    rules, outage = report["rules"], report["waiting_for"]
    troubles = {"nothing is awarded": report["signatures"]["trouble"]}
    if outage is not None:
        troubles[f"waiting since {format_time(outage['since'])}"] = outage["reason"]
    troubles |= {f"{name} is unavailable": why for name, why in report["databases"].items()}
    troubles |= {
        "it cannot catch up": report["catch_up"]["trouble"],
        "the past cannot be counted": report.get("warm_up", {}).get("trouble"),
        "awards are not published": report["bus"]["trouble"],
        **_outbox_problems(report),
        "ranks cannot be adjusted": report.get("ranks", {}).get("trouble"),
        "progress is not written": report.get("progress", {}).get("trouble"),
        "dead letters": report["set_aside"],
        "rule files with mistakes": rules["broken"],
    }
    found = [_STATES[report["state"]]] if report["state"] in _STATES else []
    if report["state"] == "running" and not rules["in_force"]:
        found.append("no rules are in force")
    if report["overflown"]:
        found.append("messages beyond 'badges.backlog_limit', or too large to queue, are shed")
    found += [f"{what}: {why}" for what, why in troubles.items() if why]
    return [*found, *rules["mistakes"]]


def _outbox_problems(report: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what is wrong with the outbox, which a daemon of an older version does not have."""
    outbox = report.get("outbox")
    if outbox is None:
        return {}
    found = {"the outbox does not work": outbox["trouble"]}
    since = outbox["since"]
    if since is not None and report["at"] - since > _LATE:
        found[f"notices in the outbox since {format_time(since)}"] = outbox["waiting"]
    return found


def warnings(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each rule that does not work with the messages that trigger it."""
    tallies = report["rules"]["tallies"].values()
    return [str(each["warning"]) for each in tallies if each.get("warning")]


def is_critical(report: Mapping[str, Any], max_lag: float | None) -> bool:
    """Return True if nothing is awarded, or not in time: a database is away, or it is behind."""
    outage = report["waiting_for"] is not None or any(report["databases"].values())
    return outage or report["state"] == "cannot start" or is_behind(report, max_lag)


def is_behind(report: Mapping[str, Any], max_lag: float | None) -> bool:
    """Return True if a daemon is more than so many seconds behind."""
    lag = report.get("lag")
    return max_lag is not None and lag is not None and lag > max_lag
