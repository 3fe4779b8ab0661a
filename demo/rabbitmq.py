"""A RabbitMQ of one's own: on free ports of the loopback, without a service manager.

The demo, the tests and the benchmark use it. Nothing is left of it when it was closed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

#: What the packages of Debian and Fedora have beside the wrapper in /usr/sbin, which becomes
#: another user and knows other directories.
_SERVERS = (
    Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
    *sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server")),
)

_CONFIG = """\
disk_free_limit.absolute = 1MB
stomp.listeners.tcp.1 = 127.0.0.1:{stomp}
log.console = true
log.file = false
"""

#: How much the server may say of its end.
_TAIL = 20


class BrokerFailed(Exception):
    """The server or one of its tools failed; the text has what it said."""


def missing_package() -> str | None:
    """Return what to do if no RabbitMQ is installed."""
    if _server() is not None and shutil.which("epmd") is not None:
        return None
    return (
        "RabbitMQ is missing: apt install --no-install-recommends rabbitmq-server (Debian) "
        "or dnf install rabbitmq-server (Fedora)"
    )


def _server() -> Path | None:
    return next((path for path in _SERVERS if path.exists()), None)


class RabbitMQ:
    """A server in a directory of its own; ``start`` starts it, and may do so again.

    ``ports`` are four free ones: of AMQP, of STOMP, and two with which Erlang finds its nodes.
    """

    def __init__(self, ports: Sequence[int], patience: float = 60.0) -> None:
        server = _server()
        if server is None:
            raise BrokerFailed(missing_package())
        self._server = server
        self._patience = patience
        self._directory = Path(tempfile.mkdtemp(prefix="fedbadges-rabbitmq-"))
        self._output = self._directory / "output"
        self.port, self.stomp_port, distribution, epmd = ports
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"
        config = self._directory / "rabbitmq.conf"
        config.write_text(_CONFIG.format(stomp=self.stomp_port), encoding="utf-8")
        (self._directory / "enabled_plugins").write_text("[rabbitmq_stomp].", encoding="utf-8")
        self._environment = {
            "PATH": os.environ["PATH"],
            # Its cookie is there.
            "HOME": str(self._directory),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(self._directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(self._directory / "mnesia"),
            "RABBITMQ_NODENAME": f"fedbadges{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "-kernel inet_dist_use_interface {127,0,0,1} +S 2 +sbwt none +sbwtdcpu none"
            ),
        }
        # Or else the server starts one in the background, which would outlive it. Neither is to
        # hear of Ctrl-C.
        self._epmd = subprocess.Popen(
            ["epmd", "-port", str(epmd)], env=self._environment, start_new_session=True
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, wait: Callable[[float], object] = time.sleep) -> None:
        """Start, and return when it answers; ``wait`` is called between two looks."""
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [self._server],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = time.monotonic() + self._patience
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                text = self._output.read_text(encoding="utf-8", errors="replace")
                raise BrokerFailed("\n".join(text.splitlines()[-_TAIL:]))
            wait(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 60.0) -> None:
        """Stop it, and whatever it has started; SIGKILL is as if it crashed."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait(timeout)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def control(self, *arguments: str) -> str:
        """Run ``rabbitmqctl``, which must succeed; return what it printed."""
        command = [self._server.with_name("rabbitmqctl"), "-n", f"fedbadges{self.port}@localhost"]
        done = subprocess.run(
            [*command, *arguments], env=self._environment, capture_output=True, text=True
        )
        if done.returncode:
            raise BrokerFailed(done.stdout + done.stderr)
        return done.stdout

    def close(self) -> None:
        """End everything, and delete the directory."""
        self.stop(signal.SIGKILL)
        self._epmd.kill()
        self._epmd.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    @contextlib.contextmanager
    def channel(self, virtual_host: str = "/") -> Iterator[Any]:
        """Yield a channel that waits for confirmations."""
        with channel(self.url, virtual_host) as made:
            yield made

    def _answers(self) -> bool:
        import pika.exceptions

        try:
            # pika logs a dozen lines for each failure.
            socket.create_connection(("127.0.0.1", self.port)).close()
            with self.channel():
                return True
        except (pika.exceptions.AMQPError, OSError):
            return False


@contextlib.contextmanager
def channel(url: str, virtual_host: str = "/") -> Iterator[Any]:
    """Yield a channel to any broker that waits for confirmations."""
    # Slow to load, and missing where the broker is only looked for.
    import pika

    parameters = pika.URLParameters(url)
    parameters.virtual_host = virtual_host
    parameters.heartbeat = 0
    with contextlib.closing(pika.BlockingConnection(parameters)) as connection:
        made = connection.channel()
        made.confirm_delivery()
        yield made
