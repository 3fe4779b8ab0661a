"""The HTTP server for metrics and health checks.

Whoever can connect may ask, and nothing else: a request changes nothing, its body is not read, and
only a few are answered at a time, each for some seconds.
"""

import contextlib
import json
import os
import socket
import socketserver
import stat
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from fedbadges.service.metrics.collector import make_registry
from fedbadges.service.metrics.readiness import reasons_not_ready
from fedbadges.util.logs import get_logger

log = get_logger(__name__)

#: How many connections there may be at once; for one more, the oldest is closed. Each has a thread
#: that takes a moment to end, so there may be twice as many of those, and no more.
_MOST_CONNECTIONS = 16
_MOST_THREADS = 2 * _MOST_CONNECTIONS

#: Seconds after which a connection is closed that waits for its client, and any at all.
_IDLE_TIMEOUT = 3.0
_TIMEOUT = 15.0

#: Seconds between two looks whether the server is to stop, or a connection is too old.
_POLL = 0.2

_TEXT = "text/plain; charset=utf-8"

#: Where to listen: a host and a port, or the path of a Unix socket.
Address = tuple[str, int] | Path

#: The status, the type of the content, and the content.
_Answer = tuple[int, str, bytes]


class MetricsServer:
    """Serves ``/metrics``, ``/live``, ``/ready`` and ``/status`` in threads of its own.

    Without an address it does nothing. ``report`` is the daemon's; ``hanging`` returns why the
    process should be restarted, or None, and asks nobody for that. A daemon is not ready if it is
    more than ``max_lag`` seconds behind.
    """

    def __init__(
        self,
        address: Address | None,
        report: Callable[[], Mapping[str, Any]],
        hanging: Callable[[], str | None],
        max_lag: float,
    ) -> None:
        self._address = address
        self._report = report
        self._hanging = hanging
        self._max_lag = max_lag
        self._registry = make_registry(report)
        self._server: _Server | None = None

    def start(self) -> None:
        """Listen; awards matter more than metrics, so where that fails it is only logged."""
        if self._address is None:
            return
        answers: dict[str, Callable[[], _Answer]] = {
            "/metrics": self._metrics,
            "/live": self._live,
            "/ready": self._ready,
            "/status": self._status,
        }
        try:
            self._server = _listen(self._address, answers)
        except OSError as error:
            log.error("Cannot serve metrics", address=_shown(self._address), error=error)
            return
        threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="fedbadges-metrics", daemon=True
        ).start()
        log.info("Serving metrics", address=_shown(self._address))

    def stop(self) -> None:
        """Listen no more."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        if isinstance(self._address, Path):
            self._address.unlink(missing_ok=True)

    def _metrics(self) -> _Answer:
        return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)

    def _live(self) -> _Answer:
        hanging = self._hanging()
        return (200, _TEXT, b"live\n") if hanging is None else (503, _TEXT, f"{hanging}\n".encode())

    def _ready(self) -> _Answer:
        reasons = reasons_not_ready(self._report(), self._max_lag)
        if not reasons:
            return 200, _TEXT, b"ready\n"
        return 503, _TEXT, "".join(f"{reason}\n" for reason in reasons).encode()

    def _status(self) -> _Answer:
        return 200, "application/json", json.dumps(self._report()).encode()


class _Handler(BaseHTTPRequestHandler):
    timeout = _IDLE_TIMEOUT
    server: "_Server"

    def do_GET(self) -> None:
        answer = self.server.answers.get(self.path.partition("?")[0])
        try:
            status, kind, content = (404, _TEXT, b"no such page\n") if answer is None else answer()
        except Exception as error:  # whatever it is, it costs nobody an award
            log.error("Cannot answer a request for metrics", error=error)
            status, kind, content = 500, _TEXT, b"an error, which is logged\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815

    def version_string(self) -> str:
        return "fedbadges"

    def log_message(self, *_: object) -> None:
        """Log nothing, as anybody who can connect decides what it would be."""


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A server that has few connections, none for long."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 4 * _MOST_CONNECTIONS

    def __init__(self, address: Any, answers: Mapping[str, Callable[[], _Answer]]) -> None:
        self.answers = answers
        self._lock = threading.Lock()
        #: When each connection began, the oldest first, and all that have a thread.
        self._since: dict[Any, float] = {}
        self._served: set[Any] = set()
        super().__init__(address, _Handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        with self._lock:
            if len(self._served) >= _MOST_THREADS:
                return False
            if len(self._since) >= _MOST_CONNECTIONS:
                self._end(next(iter(self._since)))
            self._since[request] = time.monotonic()
            self._served.add(request)
        return True

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._since.pop(request, None)
            self._served.discard(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        before = time.monotonic() - _TIMEOUT
        with self._lock:
            for request in [each for each, since in self._since.items() if since < before]:
                self._end(request)

    def _end(self, request: Any) -> None:
        """Let the thread of a connection end, which waits for its client."""
        del self._since[request]
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do nothing: the client is gone, or was too slow."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _UnixServer(_Server):
    address_family = socket.AF_UNIX
    allow_reuse_address = False

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("", 0)


def _listen(address: Address, answers: Mapping[str, Callable[[], _Answer]]) -> _Server:
    if not isinstance(address, Path):
        return (_Server6 if ":" in address[0] else _Server)(address, answers)
    _remove_left(address)
    return _UnixServer(os.fspath(address), answers)


def _remove_left(path: Path) -> None:
    """Remove the socket of a process that ended without doing so; raise OSError if one uses it."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            return
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(os.fspath(path))
            except ConnectionRefusedError:
                path.unlink()


def _shown(address: Address) -> str:
    return str(address) if isinstance(address, Path) else ":".join(map(str, address))
