"""Small HTTP servers on loopback, which speak the protocol of a service."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = {}


class Server:
    """Answers GET requests as ``answer`` says, which is given the path and the query.

    With ``tls``, which has the server's certificate, it speaks https.
    """

    def __init__(
        self,
        answer: Callable[[str, dict[str, str]], Answer],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._answer = answer
        self._tls = tls
        self._released = threading.Event()
        self.asked: list[str] = []
        self.instead: Answer | None = None
        """Where it is set, the answer to everything."""
        self.hangs = False
        """Where it is set, no question is answered."""
        self._listen(0)

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    def stop(self) -> None:
        """Stop: from now on, connections are refused."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def restart(self) -> None:
        """Listen again where it did before it was stopped."""
        self._listen(self._port)

    def _listen(self, port: int) -> None:
        self._released.clear()
        server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        server.daemon_threads = True
        if self._tls is not None:
            server.socket = self._tls.wrap_socket(server.socket, server_side=True)
        self._server, self._port = server, server.server_port
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if server.hangs:
                    server._released.wait()
                    return
                status, body, kind, headers = server._say(self.path)
                self.send_response(status)
                lines = {"Content-Type": kind, "Content-Length": str(len(body)), **headers}
                for name, value in lines.items():
                    self.send_header(name, value)
                self.end_headers()
                # Whoever does not need the body may leave before it.
                with contextlib.suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    def _say(self, path: str) -> Answer:
        if self.instead is not None:
            return self.instead
        parts = urlsplit(path)
        return self._answer(parts.path, dict(parse_qsl(parts.query)))


class Dripping:
    """A server that answers each request with endless pieces, one after the other, to the end."""

    def __init__(
        self, begin: bytes, piece: bytes, pause: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self._begin, self._piece, self._pause, self._tls = begin, piece, pause, tls
        self._stopping = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.open = 0
        """How many connections are open."""
        self.sent = 0
        """How many pieces were sent."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        port = self._listening.getsockname()[1]
        return f"http{'s' if self._tls else ''}://127.0.0.1:{port}"

    def stop(self) -> None:
        self._stopping.set()
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=[connection], daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        self.open += 1
        try:
            with contextlib.suppress(OSError):
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                connection.recv(65_536)
                connection.sendall(self._begin)
                while not self._stopping.wait(self._pause):
                    connection.sendall(self._piece)
                    self.sent += 1
        finally:
            self.open -= 1
            connection.close()


@contextlib.contextmanager
def serving(answer: Callable[[str, dict[str, str]], Answer]) -> Iterator[Server]:
    """Run a server that answers so."""
    server = Server(answer)
    try:
        yield server
    finally:
        server.stop()
