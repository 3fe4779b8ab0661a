"""Where the report of a daemon comes from: its HTTP server, or moksha's monitoring socket."""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket as sockets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedbadges.cli.errors import CannotRun

if TYPE_CHECKING:
    import zmq

#: The keys of the configuration.
ADDRESS = "badges.metrics.address"
SOCKET = "moksha.monitoring.socket"
MODE = "moksha.monitoring.socket.mode"

#: How often a hub publishes, in seconds; moksha has no key for it.
PERIOD = 5

#: How many bytes a report may have.
_MAX_BYTES = 32_000_000

#: The consumers of all buses, as reports name them.
_CONSUMERS = (
    {"module": "fedbadges.consumers", "name": "FedoraBadgesConsumer"},
    {"module": "fedbadges.fedora_messaging", "name": "BadgesConsumer"},
)


@contextmanager
def reports(endpoint: str, timeout: float) -> Iterator[Iterator[Mapping[str, Any]]]:
    """Yield the reports that moksha's monitoring publishes; raise CannotRun if none comes."""
    with _listening(endpoint) as socket:
        yield (_next_report(socket, endpoint, timeout) for _ in iter(int, 1))


def served_reports(address: str, timeout: float) -> Iterator[Mapping[str, Any]]:
    """Yield what the HTTP server of a daemon reports, every few seconds; raise CannotRun."""
    while True:
        yield _ask(address, timeout)
        time.sleep(PERIOD)


def _ask(address: str, timeout: float) -> Mapping[str, Any]:
    from fedbadges.config.values import listen_address

    try:
        where = listen_address(address)
    except (ValueError, TypeError):
        raise CannotRun(f"'{address}' is no host with a port, nor the path of a socket") from None
    try:
        with _Connection(where, timeout) as connection:
            connection.request("GET", "/status")
            answer = connection.getresponse()
            text = answer.read(_MAX_BYTES)
        report = json.loads(text) if answer.status == 200 else None
    except OSError as error:
        reason = error.strerror or str(error)
        raise CannotRun(
            f"{address}: {reason}; is a daemon running that has it as its '{ADDRESS}'?"
        ) from None
    except (ValueError, RecursionError, http.client.HTTPException):
        report = None
    if not isinstance(report, dict):
        raise CannotRun(f"What answers at {address} is not a daemon")
    return report


class _Connection(http.client.HTTPConnection):
    """A connection to a host or to a Unix socket."""

    def __init__(self, where: tuple[str, int] | Path, timeout: float) -> None:
        self._where = where
        super().__init__("localhost", timeout=timeout)

    def __enter__(self) -> _Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> None:
        """Connect; a daemon that listens on all addresses is reached at one of them."""
        if isinstance(self._where, Path):
            self.sock = sockets.socket(sockets.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(os.fspath(self._where))
            return
        host, port = self._where
        nearest = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self.sock = sockets.create_connection((nearest, port), self.timeout)


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
        hint = f"is a hub running that has it as its '{SOCKET}'?"
        if isinstance(error, PermissionError):
            hint = f"'{MODE}' says who may use it"
        raise CannotRun(f"{path}: {error.strerror}; {hint}") from None


def _next_report(socket: zmq.Socket[bytes], endpoint: str, timeout: float) -> Mapping[str, Any]:
    """Return the next report of the badges consumer; raise CannotRun if there is none."""
    if not socket.poll(int(timeout * 1000)):
        silent = f"No hub has reported at {endpoint} for {timeout:g} s"
        raise CannotRun(f"{silent}, although it should every {PERIOD} s")
    try:
        consumers = json.loads(socket.recv_multipart()[-1])["consumers"]
        found = [
            each for each in consumers if any(one.items() <= each.items() for one in _CONSUMERS)
        ]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        raise CannotRun(f"What answers at {endpoint} is not a hub") from None
    if not found:
        raise CannotRun(
            f"The hub at {endpoint} runs no badges consumer: it is not enabled, or could not "
            "start, and then the log has lines at CRITICAL; or it is a fedmsg-relay, which "
            f"takes '{SOCKET}' over where it reads the same configuration"
        )
    report = found[0].get("fedbadges")
    if not isinstance(report, Mapping):
        raise CannotRun(f"The hub at {endpoint} runs a fedbadges that does not report")
    return report
