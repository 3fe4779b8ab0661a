"""Asking a daemon's HTTP server, by TCP or a Unix socket."""

import http.client
import shutil
import socket
from pathlib import Path
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from support.bus import free_ports

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed"
)


class Answer(NamedTuple):
    status: int
    text: str


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


def free_address() -> str:
    return f"127.0.0.1:{free_ports(1)[0]}"


def ask(address: str | Path, path: str, method: str = "GET") -> Answer:
    text = str(address)
    if text.startswith("/"):
        connection: http.client.HTTPConnection = _UnixConnection(text)
    else:
        connection = http.client.HTTPConnection(text, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode())
    finally:
        connection.close()


def status_of(address: str | Path, path: str) -> int | None:
    """Return the status of an answer, or None if nobody listens."""
    try:
        return ask(address, path).status
    except OSError:
        return None


def metrics(address: str | Path) -> dict[str, float]:
    """Return each sample by its name and labels, as Prometheus writes them."""
    found = {}
    for family in text_string_to_metric_families(ask(address, "/metrics").text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found
