"""Processes, ports and settings: the demo's surroundings."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent

#: Below the ports that Linux gives to outgoing connections. Of those, one could connect to itself
#: while the hub tries to reach an address that nobody has bound yet.
PORTS = range(20000, 32000)

#: How to stop a process: with which signals, and how many seconds to wait after each.
STOPPING = ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0))
#: The hub takes SIGINT for a request to finish, and SIGTERM for the end.
STOPPING_HUB = ((signal.SIGINT, 2.0), *STOPPING)
#: fedora-messaging waits for what the daemon is doing.
STOPPING_CONSUMER = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))

# fedmsg merges dictionaries. The first file, which it reads after all others, empties this one, so
# that the demo never listens to the bus that a machine's own /etc/fedmsg.d may describe.
NO_ENDPOINTS = 'config = {"endpoints": None}\n'


def free_ports(count: int) -> list[int]:
    """Find ports on this machine that nothing listens on."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in random.sample(PORTS, len(PORTS)):
            if len(found) == count:
                break
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                # All interfaces: fedmsg binds a sender to all of them.
                probe.bind(("", port))
                found.append(port)
        return found


def free_addresses(count: int) -> list[str]:
    """Find addresses of ZeroMQ on this machine that nothing listens on."""
    return [f"tcp://127.0.0.1:{port}" for port in free_ports(count)]


def free_http_addresses(count: int) -> list[str]:
    """Find hosts with ports on this machine that nothing listens on."""
    return [f"127.0.0.1:{port}" for port in free_ports(count)]


def write_settings(
    home: Path,
    publisher: str,
    daemon: Sequence[str],
    metrics: str,
    *,
    tahrir: str,
    datanommer: str,
) -> None:
    """Write settings that override the repository's fedmsg.d/."""
    folder = home / "etc" / "fedmsg.d"
    folder.mkdir(parents=True)
    host = socket.gethostname().split(".", 1)[0]
    config = {
        "endpoints": {f"fedbadges.{host}": list(daemon), f"demo.{host}": [publisher]},
        "badges_global": {"database_uri": tahrir},
        "datanommer.sqlalchemy.url": datanommer,
        "badges.metrics.address": metrics,
        # A clone may lie where everybody can write, such as on a drive of Windows. Whoever can
        # write the rules there can write this file as well.
        "badges.insecure_rules": True,
    }
    (folder / "zz-demo-1.py").write_text(NO_ENDPOINTS, encoding="utf-8")
    (folder / "zz-demo-2.py").write_text(f"config = {config!r}\n", encoding="utf-8")


def start_hub(home: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the real fedmsg-hub, with the clone as its working directory."""
    # VIRTUAL_ENV is where fedmsg looks for settings last; HOME may have others, not ours.
    return _start_daemon("fedmsg-hub", log=log, VIRTUAL_ENV=str(home), HOME=str(home))


def start_consumer(settings: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start ``fedora-messaging consume`` with a configuration file."""
    return _start_daemon("fedora-messaging", "--conf", str(settings), "consume", log=log)


def _start_daemon(
    command: str, *arguments: str, log: IO[bytes], **environment: str
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(Path(sys.executable).with_name(command)), *arguments],
        cwd=ROOT,
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        # Ctrl-C is for the demo, which then stops the daemon itself.
        start_new_session=True,
    )


def start_publisher(
    address: str, pause: float, log: IO[bytes], script: str = "publish.py"
) -> subprocess.Popen[bytes]:
    """Start the process that sends the messages."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "demo" / script), address, str(pause)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], how: Iterable[tuple[int, float]] = STOPPING) -> None:
    """Stop a process and its children; kill them if they do not end."""
    for number, seconds in how:
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
