"""What a daemon reports of itself, as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fedbadges.util.text import format_time, printable

#: Names of durations, each with the seconds that it has, and how many of it still are a few.
_UNITS = (("s", 1, 120), ("minutes", 60, 120), ("hours", 3600, 48), ("days", 86_400, 10**9))


def as_text(report: Mapping[str, Any]) -> str:
    """Give what the daemon does, and what its rules did, a line each."""
    lines = [f"{name:<14}{text}" for name, text in _rows(report)]
    return "\n".join(map(printable, (*lines, "", *_tallies(report["rules"]))))


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


def _tallies(rules: Mapping[str, Any]) -> Iterator[str]:
    """List what was triggered, the most often first."""
    found = [(badge, *_numbers(tally)) for badge, tally in rules["tallies"].items()]
    found = [(badge, *numbers) for badge, *numbers in found if any(numbers)]
    if not found:
        yield "No rule was triggered yet."
        return
    width = max(len("badge"), *(len(badge) for badge, *_ in found))
    yield f"{'badge':<{width}}  triggers  awards"
    for badge, triggers, awards in sorted(found, key=lambda row: (-row[1], -row[2], row[0])):
        yield f"{badge:<{width}}  {triggers:>8}  {awards:>6}"


def _numbers(tally: Mapping[str, Any]) -> tuple[int, int]:
    return int(tally["triggers"]), int(tally["awards"])


def _span(seconds: float) -> str:
    name, length = next((name, length) for name, length, few in _UNITS if seconds < few * length)
    return f"{seconds / length:.0f} {name}"
