"""The monitoring of a hub: the reports on its consumers that moksha publishes."""

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zmq

from fedbadges.cli.errors import CannotRun

#: The keys of moksha's configuration.
SOCKET = "moksha.monitoring.socket"
MODE = "moksha.monitoring.socket.mode"

#: How often a hub publishes, in seconds; moksha has no key for it.
PERIOD = 5.0

_CONSUMER = {"module": "fedbadges.consumers", "name": "FedoraBadgesConsumer"}


@contextmanager
def listening(endpoint: str) -> Iterator[Callable[[float], Mapping[str, Any]]]:
    """Yield a function that waits some seconds for the next report of the daemon.

    Both raise CannotRun if there is none.
    """
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
                raise CannotRun(f"{silent}, although it should every {PERIOD:g} s")
            return _parse_report(socket.recv_multipart()[-1], endpoint)

        yield next_report


def _check_reachable(address: str) -> None:
    """Raise CannotRun if the socket is not there; ZeroMQ would wait for it silently."""
    scheme, _, name = address.partition("://")
    if scheme != "ipc" or name.startswith("@"):
        return
    path = Path(name)
    try:
        path.stat()
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        hint = f"is a hub running that has it as its '{SOCKET}'?"
        if isinstance(error, PermissionError):
            hint = f"'{MODE}' says who may use it"
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
            f"takes '{SOCKET}' over where it reads the same configuration"
        )
    report = found[0].get("fedbadges")
    if not isinstance(report, Mapping):
        raise CannotRun(f"The hub at {endpoint} runs a fedbadges that does not report")
    return report
