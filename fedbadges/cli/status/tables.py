"""The report of a daemon as tables, and as the performance data of a Nagios plugin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fedbadges.cli.terminal import make_table
from fedbadges.util.text import format_time, printable

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Units of time, each with its seconds and the number from which on the next unit is used.
_UNITS = (("s", 1, 120), ("minutes", 60, 120), ("hours", 3600, 48), ("days", 86_400, 10**9))

#: Of the performance data: the label, the unit, and the key of the report; a counter has the unit
#: ``c``.
_PERFORMANCE = (
    ("handled", "c", "handled"),
    ("awarded", "c", "awarded"),
    ("in_flight", "", "in_hand"),
    ("delayed", "", "waiting_room"),
    ("backlog", "", "backlog"),
    ("dead_letters", "", "set_aside"),
)


def plain(text: str) -> str:
    """Return a text on one line, without what begins the performance data of a Nagios plugin."""
    return printable(text).replace("|", "\N{BROKEN BAR}")


def performance(report: Mapping[str, Any], max_lag: float | None) -> str:
    """Return the performance data of a Nagios plugin; a number that is not known is ``U``."""
    lag = report.get("lag")
    critical = "" if max_lag is None else f";;{max_lag:g}"
    known = "U" if lag is None else f"{lag:.1f}s"
    numbers = (
        f"{label}={'U' if report[key] is None else f'{int(report[key])}{unit}'}"
        for label, unit, key in _PERFORMANCE
    )
    return " ".join([f"lag={known}{critical}", *numbers])


def tables_of(report: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """Return what the daemon does, and below it the funnel of each rule."""
    overview = make_table()
    overview.add_column(min_width=12)
    for name, text in _rows(report):
        overview.add_row(plain(name), plain(text))
    return overview, "", _funnels(report["rules"]["tallies"])


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
    revocations = report.get("revocations")
    if revocations is not None:
        yield "revocations", f"{revocations['count']}, for good: {revocations['for_good']}"
    if last is not None:
        yield "last award", f"{last['badge']} to {last['user']}, {format_time(last['at'])}"
        if last["msg_id"] is not None:
            yield "because of", str(last["msg_id"])
    yield "caught up", _caught_up(report["catch_up"])
    if "warm_up" in report:
        yield "counts", _counted(report["warm_up"])
    for name, reason in report["databases"].items():
        yield name, "available" if reason is None else f"unavailable: {reason}"
    publishing = f"unavailable: {bus['trouble']}" if bus["trouble"] else "available"
    yield "bus", f"{publishing}; unpublished: {bus['unsent']}"
    outbox = report.get("outbox")
    if outbox is not None:
        since = "" if outbox["since"] is None else f", since {format_time(outbox['since'])}"
        missing = outbox["kept"] is False
        yield "outbox", "missing" if missing else f"notices: {outbox['waiting']}{since}"
    if "ranks" in report:
        yield "ranks", _adjusted(report["ranks"])
    yield "signatures", "verified" if report["signatures"]["checked"] else "not verified"
    yield "rules", f"in force: {rules['in_force']}, files with mistakes: {rules['broken']}"
    kept = report["set_aside"]
    yield "dead letters", "not kept" if kept is None else str(kept)


def _caught_up(catch_up: Mapping[str, Any]) -> str:
    if not catch_up.get("whole", True):
        return "not needed, as the broker delivers what was not handled"
    if catch_up["until"] is None:
        return "not started yet"
    until = f"until {format_time(catch_up['until'])}"
    return f"{until}; {_progress(catch_up)}" if catch_up["running"] else until


def _counted(warm_up: Mapping[str, Any]) -> str:
    if warm_up["running"]:
        return f"counting the past; {_progress(warm_up)}"
    if not warm_up["kept"]:
        return "not kept"
    if warm_up.get("waiting"):
        return "kept, another daemon counts the past"
    if not warm_up["warm"]:
        return "kept, the past is not counted yet"
    given_up = warm_up.get("given_up", [])
    but = f", but for too much in {', '.join(map(printable, given_up))}" if given_up else ""
    return f"kept, all of the past{but}"


def _adjusted(ranks: Mapping[str, Any]) -> str:
    if not ranks["people"]:
        return "adjusted"
    turn = ", as it is another daemon's turn" if ranks["waiting"] else ""
    return f"people to adjust: {ranks['people']}{turn}"


def _progress(of_pass: Mapping[str, Any]) -> str:
    done = f"{of_pass['done']} of {of_pass['count']} messages read"
    left = of_pass["seconds_left"]
    return done if left is None else f"{done}, about {_duration(left)} left"


def _funnels(tallies: Mapping[str, Any]) -> RenderableType:
    """Return a table of the rules whose topics were seen, the most often triggered first."""
    from fedbadges.engine.funnel import COUNTERS

    rows = [(badge, _counts(each, COUNTERS)) for badge, each in tallies.items()]
    rows = [(badge, counts) for badge, counts in rows if any(counts.values())]
    if not rows:
        return "No message concerned a rule yet."
    table = make_table("badge", *(name.replace("_", " ") for name in COUNTERS))
    for badge, counts in sorted(
        rows, key=lambda row: (-row[1]["triggered"], -row[1]["awarded"], row[0])
    ):
        table.add_row(plain(badge), *(str(counts[name]) for name in COUNTERS))
    for column in table.columns[1:]:
        column.justify = "right"
    return table


def _counts(tally: Mapping[str, Any], names: Iterable[str]) -> dict[str, int]:
    """Return the numbers of a funnel; a daemon of an older version has but two of them."""
    known = {"triggered": tally["triggers"], "awarded": tally["awards"], **tally.get("funnel", {})}
    return {name: int(known.get(name, 0)) for name in names}


def _duration(seconds: float) -> str:
    unit, length = next((unit, length) for unit, length, end in _UNITS if seconds < end * length)
    return f"{seconds / length:.0f} {unit}"
