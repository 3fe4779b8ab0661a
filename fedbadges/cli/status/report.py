"""The report of a daemon: its problems, and all of it as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fedbadges.cli.terminal import make_table
from fedbadges.util.text import format_time, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

#: The states of a daemon that awards nothing.
_STATES = {
    "starting": "it has not started yet",
    "stopping": "it is stopping",
    "cannot start": "it cannot start; its log has the reason at CRITICAL",
}

#: Units of time, each with its seconds and the number from which on the next unit is used.
_UNITS = (("s", 1, 120), ("minutes", 60, 120), ("hours", 3600, 48), ("days", 86_400, 10**9))


def problems(report: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong, the worst first."""
    rules, outage = report["rules"], report["waiting_for"]
    troubles = {"nothing is awarded": report["signatures"]["trouble"]}
    if outage is not None:
        troubles[f"waiting since {format_time(outage['since'])}"] = outage["reason"]
    troubles |= {f"{name} is unavailable": why for name, why in report["databases"].items()}
    troubles |= {
        "it cannot catch up": report["catch_up"]["trouble"],
        "awards are not published": report["bus"]["trouble"],
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


def tables_of(report: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """Return what the daemon does, and below it how often each rule was triggered."""
    overview = make_table()
    overview.add_column(min_width=12)
    for name, text in _rows(report):
        overview.add_row(printable(name), printable(text))
    return overview, "", _rule_counts(report["rules"]["tallies"])


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rules, bus, last = report["rules"], report["bus"], report["last_award"]
    running = _duration(report["at"] - report["since"])
    yield report["state"], f"fedbadges {report['version']}, for {running}"
    yield "since", format_time(report["since"])
    yield (
        "messages",
        f"handled: {report['handled']}, in flight: {report['in_hand']}, waiting for datanommer: "
        f"{report['waiting_room']}, queued: {report['backlog']}",
    )
    yield "badges", f"awarded: {report['awarded']}"
    if last is not None:
        yield "last award", f"{last['badge']} to {last['user']}, {format_time(last['at'])}"
        if last["msg_id"] is not None:
            yield "because of", str(last["msg_id"])
    yield "caught up", _caught_up(report["catch_up"])
    for name, reason in report["databases"].items():
        yield name, "available" if reason is None else f"unavailable: {reason}"
    publishing = f"unavailable: {bus['trouble']}" if bus["trouble"] else "available"
    yield "bus", f"{publishing}; unpublished: {bus['unsent']}"
    yield "signatures", "verified" if report["signatures"]["checked"] else "not verified"
    yield "rules", f"in force: {rules['in_force']}, files with mistakes: {rules['broken']}"
    kept = report["set_aside"]
    yield "dead letters", "not kept" if kept is None else str(kept)


def _caught_up(catch_up: Mapping[str, Any]) -> str:
    if catch_up["until"] is None:
        return "not started yet"
    until = f"until {format_time(catch_up['until'])}"
    if not catch_up["running"]:
        return until
    done = f"{until}; {catch_up['done']} of {catch_up['count']} messages read"
    left = catch_up["seconds_left"]
    return done if left is None else f"{done}, about {_duration(left)} left"


def _rule_counts(counts: Mapping[str, Any]) -> RenderableType:
    """Return a table of the rules that were triggered, the most often first."""
    rows = sorted(
        (-int(each["triggers"]), -int(each["awards"]), badge)
        for badge, each in counts.items()
        if any(each.values())
    )
    if not rows:
        return "No rule was triggered yet."
    table = make_table("badge", "triggers", "awards")
    for triggers, awards, badge in rows:
        table.add_row(printable(badge), str(-triggers), str(-awards))
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _duration(seconds: float) -> str:
    unit, length = next((unit, length) for unit, length, end in _UNITS if seconds < end * length)
    return f"{seconds / length:.0f} {unit}"
