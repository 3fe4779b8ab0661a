"""``fedbadges status``: what the running daemon is doing."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from fedbadges.cli.errors import FOUND, GOOD, CannotRun
from fedbadges.cli.options import config_option, format_option

#: Seconds to wait for a report: two periods of the hub, and its queries to the databases.
_TIMEOUT = 12.0

_EPILOG = """\b
Examples:
  fedbadges status
  fedbadges status --watch
  fedbadges status --socket ipc:///run/fedbadges/monitoring.sock --format json

\b
Exit codes, which are those of a Nagios plugin: 0 if all is well, 1 if
something is wrong, as the first lines show, 2 if no daemon answers.
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
    from fedbadges.cli.status.monitoring import listening
    from fedbadges.cli.terminal.progress_bar import waiting

    found: bool | None = None
    try:
        with listening(endpoint or _configured(config)) as next_report:
            while found is None or watch:
                # With --watch, the last report is visible meanwhile.
                with waiting(f"The hub reports every 5 s; at most {timeout:g} s", found is None):
                    report = next_report(timeout)
                found = _show(report, form, watch)
    except KeyboardInterrupt:
        if found is None:
            raise CannotRun("Stopped before the hub reported") from None
    raise SystemExit(FOUND if found else GOOD)


def _configured(filename: str | None) -> str:
    from fedbadges.cli.configuration import fedmsg_configuration
    from fedbadges.cli.status.monitoring import MODE, SOCKET

    endpoint = fedmsg_configuration(filename).get(SOCKET)
    if endpoint:
        return str(endpoint)
    raise CannotRun(
        f"The hub's monitoring is not configured: set '{SOCKET}' to an address such as "
        f"'ipc:///run/fedbadges/monitoring.sock', and '{MODE}' to its permissions, such as "
        "'0600', and restart the hub"
    )


def _show(report: Mapping[str, Any], form: str, watch: bool) -> bool:
    """Show a report; return True if something is wrong."""
    from fedbadges.cli.status.report import problems, tables_of
    from fedbadges.cli.terminal.console import print_lines
    from fedbadges.util.text import printable

    try:
        wrong = problems(report)
        tables = tables_of(report)
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError, OSError):
        raise CannotRun("The daemon is of another version, whose report is unknown") from None
    if form == "json":
        # With --watch, each report is one line.
        click.echo(json.dumps({"problems": wrong, **report}, indent=None if watch else 2))
        return bool(wrong)
    if watch and sys.stdout.isatty():
        click.clear()
    for problem in wrong:
        click.secho(f"wrong: {printable(problem)}", fg="red")
    if not wrong:
        click.secho("all is well", fg="green")
    print_lines("", *tables, *([""] if watch else []))
    return bool(wrong)
