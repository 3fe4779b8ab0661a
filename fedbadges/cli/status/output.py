"""The report of a daemon as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fedbadges.cli.terminal.console import make_table
from fedbadges.util.text import format_time, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Units of time, each with its seconds and the number from which on the next unit is used.
_UNITS = (("s", 1, 120), ("minutes", 60, 120), ("hours", 3600, 48), ("days", 86_400, 10**9))


def tables_of(report: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """Return what the daemon does, and below it how often each rule was triggered."""
    overview = make_table()
    overview.add_column(min_width=12)
    for name, text in _rows(report):
        overview.add_row(printable(name), printable(text))
    return overview, "", _rule_counts(report["rules"])


def _rows(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rules, catch_up = report["rules"], report["catch_up"]
    running = _span(report["at"] - report["since"])
    yield report["state"], f"fedbadges {report['version']}, for {running}"
    yield "since", format_time(report["since"])
    yield (
        "messages",
        f"handled: {report['handled']}, in hand: {report['in_hand']}, waiting for datanommer: "
        f"{report['waiting_room']}, not taken yet: {report['backlog']}",
    )
    yield "badges", f"awarded: {report['awarded']}"
    last = report["last_award"]
    if last is not None:
        yield "last award", f"{last['badge']} to {last['user']}, {format_time(last['at'])}"
        if last["msg_id"] is not None:
            yield "because of", str(last["msg_id"])
    yield "caught up", _caught_up(catch_up)
    for name, reason in report["databases"].items():
        yield name, "answers" if reason is None else f"does not answer: {reason}"
    yield "on the bus", _bus(report["bus"])
    yield "signatures", "are checked" if report["signatures"]["checked"] else "are not checked"
    yield "rules", f"in force: {rules['in_force']}, files with mistakes: {rules['broken']}"
    kept = report["set_aside"]
    yield "set aside", "nothing is kept" if kept is None else f"failed messages: {kept}"


def _caught_up(catch_up: Mapping[str, Any]) -> str:
    if catch_up["until"] is None:
        return "not begun yet"
    until = f"until {format_time(catch_up['until'])}"
    if not catch_up["running"]:
        return until
    done = f"{until}; {catch_up['done']} of {catch_up['count']} messages looked at"
    left = catch_up["seconds_left"]
    return done if left is None else f"{done}, about {_span(left)} left"


def _bus(bus: Mapping[str, Any]) -> str:
    if bus["trouble"]:
        return f"nothing is said: {bus['trouble']}"
    return f"awards and ranks are said; not sent: {bus['unsent']}"


def _rule_counts(rules: Mapping[str, Any]) -> RenderableType:
    """Return a table of the rules that were triggered, the most often first."""
    counts = [
        (-int(each["triggers"]), -int(each["awards"]), badge)
        for badge, each in rules["tallies"].items()
        if any(each.values())
    ]
    if not counts:
        return "No rule was triggered yet."
    table = make_table("badge", "triggers", "awards")
    for triggers, awards, badge in sorted(counts):
        table.add_row(printable(badge), str(-triggers), str(-awards))
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _span(seconds: float) -> str:
    unit, length = next((unit, length) for unit, length, end in _UNITS if seconds < end * length)
    return f"{seconds / length:.0f} {unit}"
