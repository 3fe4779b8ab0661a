"""``fedbadges status``: what the running daemon is doing."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedbadges.cli.deployment import config_option, read_configuration
from fedbadges.cli.errors import FOUND, GOOD, CannotRun
from fedbadges.cli.terminal import format_option, make_table, no_color, print_lines
from fedbadges.util.text import format_time, printable

if TYPE_CHECKING:
    import zmq
    from rich.console import RenderableType

#: The keys of moksha's configuration.
_SOCKET = "moksha.monitoring.socket"
_MODE = "moksha.monitoring.socket.mode"

_EXAMPLE = {_SOCKET: "ipc:///run/fedbadges/monitoring.sock", _MODE: "0600"}

_NOT_CONFIGURED = (
    f"The hub's monitoring is not configured: set '{_SOCKET}' to an address such as "
    f"'ipc:///run/fedbadges/monitoring.sock', and '{_MODE}' to its permissions, such as "
    "'0600', and restart the hub"
)

#: How often a hub publishes, in seconds; moksha has no key for it.
_PERIOD = 5

#: Seconds to wait for a report: two periods of the hub, and its queries to the databases.
_TIMEOUT = 12.0

#: The consumers of all buses, as reports name them.
_CONSUMERS = (
    {"module": "fedbadges.consumers", "name": "FedoraBadgesConsumer"},
    {"module": "fedbadges.fedora_messaging", "name": "BadgesConsumer"},
)

#: The states of a daemon that awards nothing.
_STATES = {
    "starting": "it has not started yet",
    "stopping": "it is stopping",
    "cannot start": "it cannot start; its log has the reason at CRITICAL",
}

#: Units of time, each with its seconds and the number from which on the next unit is used.
_UNITS = (("s", 1, 120), ("minutes", 60, 120), ("hours", 3600, 48), ("days", 86_400, 10**9))

#: Seconds after which notices that wait to be published are a problem.
_LATE = 180

_EPILOG = """\b
Examples:
  fedbadges status
  fedbadges status --watch
  fedbadges status --socket ipc:///run/fedbadges/monitoring.sock --format json

\b
Exit codes, which are those of a Nagios plugin: 0 if all is well, 1 if
something is wrong or a rule cannot work, as the first lines show, 2 if no
daemon answers.
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--socket",
    "endpoint",
    metavar="ADDRESS",
    help="The monitoring socket of the hub, rather than 'moksha.monitoring.socket'.",
)
@config_option()
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a report; a hub publishes one every 5 seconds.",
)
@click.option("--watch", is_flag=True, help="Show report after report, until Ctrl-C.")
@format_option()
def status(
    endpoint: str | None, config: str | None, timeout: float, watch: bool, form: str
) -> None:
    """Show what the running daemon is doing, and what is wrong with it.

    This reads moksha's monitoring, which must be configured. The next report of the hub may take
    5 seconds to come.
    """
    address = str(endpoint or read_configuration(config, _EXAMPLE).get(_SOCKET) or "")
    if not address:
        raise CannotRun(_NOT_CONFIGURED)
    from rich.console import Console

    found: bool | None = None
    text = f"The hub reports every {_PERIOD} s; at most {timeout:g} s"
    animated = sys.stderr.isatty() and not no_color()
    waiting = Console(stderr=True).status(text) if animated else nullcontext()
    try:
        with _listening(address) as socket:
            with waiting:
                report = _next_report(socket, address, timeout)
            found = _show(report, form, watch)
            while watch:
                found = _show(_next_report(socket, address, timeout), form, watch)
    except KeyboardInterrupt:
        if found is None:
            raise CannotRun("Stopped before the hub reported") from None
    raise SystemExit(FOUND if found else GOOD)


@contextmanager
def _listening(endpoint: str) -> Iterator[zmq.Socket[bytes]]:
    """Yield a socket for the reports of a hub; raise CannotRun if it is not there."""
    import zmq

    # A hub that listens on all addresses is reached at one of them.
    address = endpoint.replace("://*:", "://127.0.0.1:")
    _check_reachable(address)
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            raise CannotRun(f"'{endpoint}' is not an address of ZeroMQ: {error}") from None
        yield socket


def _check_reachable(address: str) -> None:
    """Raise CannotRun if the socket is not there; ZeroMQ would wait for it silently."""
    scheme, _, path = address.partition("://")
    if scheme != "ipc" or path.startswith("@"):
        return
    try:
        Path(path).stat()
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        hint = f"is a hub running that has it as its '{_SOCKET}'?"
        if isinstance(error, PermissionError):
            hint = f"'{_MODE}' says who may use it"
        raise CannotRun(f"{path}: {error.strerror}; {hint}") from None


def _next_report(socket: zmq.Socket[bytes], endpoint: str, timeout: float) -> Mapping[str, Any]:
    """Return the next report of the badges consumer; raise CannotRun if there is none."""
    if not socket.poll(int(timeout * 1000)):
        silent = f"No hub has reported at {endpoint} for {timeout:g} s"
        raise CannotRun(f"{silent}, although it should every {_PERIOD} s")
    try:
        consumers = json.loads(socket.recv_multipart()[-1])["consumers"]
        found = [
            each for each in consumers if any(one.items() <= each.items() for one in _CONSUMERS)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CannotRun(f"What answers at {endpoint} is not a hub") from None
    if not found:
        raise CannotRun(
            f"The hub at {endpoint} runs no badges consumer: it is not enabled, or could not "
            "start, and then the log has lines at CRITICAL; or it is a fedmsg-relay, which "
            f"takes '{_SOCKET}' over where it reads the same configuration"
        )
    report = found[0].get("fedbadges")
    if not isinstance(report, Mapping):
        raise CannotRun(f"The hub at {endpoint} runs a fedbadges that does not report")
    return report


def _show(report: Mapping[str, Any], form: str, watch: bool) -> bool:
    """Show a report; return True if something is wrong."""
    try:
        wrong, doubtful = problems(report), warnings(report)
        tables = tables_of(report)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, OSError):
        raise CannotRun("The daemon is of another version, whose report is unknown") from None
    if form == "json":
        # With --watch, each report is one line.
        found = [*wrong, *(f"warning: {each}" for each in doubtful)]
        click.echo(json.dumps({"problems": found, **report}, indent=None if watch else 2))
        return bool(found)
    if watch and sys.stdout.isatty():
        click.clear()
    for problem in wrong:
        click.secho(f"wrong: {printable(problem)}", fg="red")
    for warning in doubtful:
        click.secho(f"warning: {printable(warning)}", fg="yellow")
    if not wrong and not doubtful:
        click.secho("all is well", fg="green")
    print_lines("", *tables, *([""] if watch else []))
    return bool(wrong or doubtful)


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


def tables_of(report: Mapping[str, Any]) -> tuple[RenderableType, ...]:
    """Return what the daemon does, and below it the funnel of each rule."""
    overview = make_table()
    overview.add_column(min_width=12)
    for name, text in _rows(report):
        overview.add_row(printable(name), printable(text))
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
        table.add_row(printable(badge), *(str(counts[name]) for name in COUNTERS))
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
