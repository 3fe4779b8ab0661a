"""Small HTTP servers on loopback, which speak the protocol of a service."""

import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    kind: str = "application/json"


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
                status, body, kind = server._say(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        return Handler

    def _say(self, path: str) -> Answer:
        if self.instead is not None:
            return self.instead
        parts = urlsplit(path)
        return self._answer(parts.path, dict(parse_qsl(parts.query)))
