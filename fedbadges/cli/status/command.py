"""The command ``fedbadges status``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from fedbadges.cli.deployment import config_option, read_configuration
from fedbadges.cli.errors import CANNOT_RUN, FOUND, GOOD, CannotRun
from fedbadges.cli.status.problems import is_behind, is_critical, problems, warnings
from fedbadges.cli.status.sources import ADDRESS, MODE, PERIOD, SOCKET, reports, served_reports
from fedbadges.cli.status.tables import performance, plain, tables_of
from fedbadges.cli.terminal import format_option, no_color, print_lines

_EXAMPLE = {
    ADDRESS: "127.0.0.1:9414",
    SOCKET: "ipc:///run/fedbadges/monitoring.sock",
    MODE: "0600",
}

_NOT_CONFIGURED = (
    f"The daemon does not say what it does: set '{ADDRESS}' to an address such as "
    f"'127.0.0.1:9414', or '{SOCKET}' to one such as 'ipc:///run/fedbadges/monitoring.sock' and "
    f"'{MODE}' to its permissions, such as '0600', and restart the daemon"
)

#: Seconds to wait for a report: two periods of the hub, and its queries to the databases.
_TIMEOUT = 12.0

_EPILOG = """\b
Examples:
  fedbadges status
  fedbadges status --watch
  fedbadges status --http 127.0.0.1:9414 --max-lag 900
  fedbadges status --socket ipc:///run/fedbadges/monitoring.sock --format json

\b
This is a Nagios plugin: everything is on standard output, the last line has
the performance data behind a |, and the exit codes are 0 if all is well, 1 if
something is wrong or a rule cannot work, as the first lines show, 2 if a
database is away, the daemon is too far behind, or none answers.
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--http",
    metavar="ADDRESS",
    help="Where the daemon serves metrics, rather than 'badges.metrics.address'.",
)
@click.option(
    "--socket",
    "endpoint",
    metavar="ADDRESS",
    help="The monitoring socket of the hub, rather than 'moksha.monitoring.socket'.",
)
@config_option()
@click.option(
    "--max-lag",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="It is critical if the daemon is further behind.",
)
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
    http: str | None,
    endpoint: str | None,
    config: str | None,
    max_lag: float | None,
    timeout: float,
    watch: bool,
    form: str,
) -> None:
    """Show what the running daemon is doing, and what is wrong with it.

    This asks the daemon over HTTP where 'badges.metrics.address' is set, and reads moksha's
    monitoring otherwise. There, the next report of the hub may take 5 seconds to come.
    """
    code: int | None = None
    try:
        with _source(http, endpoint, config, timeout) as source:
            with _waiting(timeout):
                report = next(source)
            code = _show(report, form, watch, max_lag)
            while watch:
                code = _show(next(source), form, watch, max_lag)
    except KeyboardInterrupt:
        if code is None:
            code = _fail("Stopped before the daemon reported", form)
    except CannotRun as error:
        code = _fail(error.message, form)
    raise SystemExit(code)


def _source(
    http: str | None, endpoint: str | None, config: str | None, timeout: float
) -> AbstractContextManager[Iterator[Mapping[str, Any]]]:
    """Return where reports come from: what is named, or else what the configuration names."""
    if not (http or endpoint):
        configured = read_configuration(config, _EXAMPLE)
        http, endpoint = configured.get(ADDRESS), configured.get(SOCKET)
    if http:
        return nullcontext(served_reports(str(http), timeout))
    if not endpoint:
        raise CannotRun(_NOT_CONFIGURED)
    return reports(str(endpoint), timeout)


def _waiting(timeout: float) -> AbstractContextManager[object]:
    """Return what shows, in a terminal, that a report is waited for."""
    if not sys.stderr.isatty() or no_color():
        return nullcontext()
    from rich.console import Console

    text = f"The hub reports every {PERIOD} s; at most {timeout:g} s"
    return Console(stderr=True).status(text)


def _fail(message: str, form: str) -> int:
    """Say why there is no report, where a Nagios server reads it."""
    if form == "json":
        click.echo(json.dumps({"problems": message.splitlines()}))
    else:
        click.echo(message)
    return CANNOT_RUN


def _show(report: Mapping[str, Any], form: str, watch: bool, max_lag: float | None) -> int:
    """Show a report; return the exit code for it."""
    try:
        wrong, doubtful = problems(report), warnings(report)
        if is_behind(report, max_lag):
            wrong.insert(0, f"it is {report['lag']:.0f} s behind")
        code = CANNOT_RUN if is_critical(report, max_lag) else FOUND if wrong or doubtful else GOOD
        tables, numbers = tables_of(report), performance(report, max_lag)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, OSError):
        raise CannotRun("The daemon is of another version, whose report is unknown") from None
    if form == "json":
        # With --watch, each report is one line.
        found = [*wrong, *(f"warning: {each}" for each in doubtful)]
        click.echo(json.dumps({"problems": found, **report}, indent=None if watch else 2))
        return code
    if watch and sys.stdout.isatty():
        click.clear()
    for problem in wrong:
        click.secho(f"wrong: {plain(problem)}", fg="red")
    for warning in doubtful:
        click.secho(f"warning: {plain(warning)}", fg="yellow")
    if not wrong and not doubtful:
        click.secho("all is well", fg="green")
    print_lines("", *tables, *([""] if watch else []))
    click.echo(f"performance | {numbers}")
    return code
