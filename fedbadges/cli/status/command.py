"""``fedbadges status``: what the running daemon is doing."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from fedbadges.cli.deployment import config_option, fedmsg_configuration
from fedbadges.cli.errors import FOUND, GOOD, CannotRun
from fedbadges.cli.terminal import format_option, print_lines, waiting
from fedbadges.util.text import printable

#: The keys of moksha's configuration.
_SOCKET = "moksha.monitoring.socket"
_MODE = "moksha.monitoring.socket.mode"

#: How often a hub publishes, in seconds; moksha has no key for it.
_PERIOD = 5

#: Seconds to wait for a report: two periods of the hub, and its queries to the databases.
_TIMEOUT = 12.0

_CONSUMER = {"module": "fedbadges.consumers", "name": "FedoraBadgesConsumer"}

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
    found: bool | None = None
    text = f"The hub reports every {_PERIOD} s; at most {timeout:g} s"
    try:
        with _listening(endpoint or _configured(config)) as next_report:
            while found is None or watch:
                # With --watch, the last report is visible meanwhile.
                with waiting(text, shown=found is None):
                    report = next_report(timeout)
                found = _show(report, form, watch)
    except KeyboardInterrupt:
        if found is None:
            raise CannotRun("Stopped before the hub reported") from None
    raise SystemExit(FOUND if found else GOOD)


def _configured(filename: str | None) -> str:
    endpoint = fedmsg_configuration(filename).get(_SOCKET)
    if endpoint:
        return str(endpoint)
    raise CannotRun(
        f"The hub's monitoring is not configured: set '{_SOCKET}' to an address such as "
        f"'ipc:///run/fedbadges/monitoring.sock', and '{_MODE}' to its permissions, such as "
        "'0600', and restart the hub"
    )


@contextmanager
def _listening(endpoint: str) -> Iterator[Callable[[float], Mapping[str, Any]]]:
    """Yield a function that waits some seconds for the next report of the daemon.

    Both raise CannotRun if there is none.
    """
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

        def next_report(timeout: float) -> Mapping[str, Any]:
            if not socket.poll(int(timeout * 1000)):
                silent = f"No hub has reported at {endpoint} for {timeout:g} s"
                raise CannotRun(f"{silent}, although it should every {_PERIOD} s")
            return _parse_report(socket.recv_multipart()[-1], endpoint)

        yield next_report


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


def _parse_report(text: bytes, endpoint: str) -> Mapping[str, Any]:
    """Return the report of the badges consumer."""
    try:
        consumers = json.loads(text)["consumers"]
        found = [each for each in consumers if _CONSUMER.items() <= each.items()]
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
    from fedbadges.cli.status.report import problems, tables_of

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
