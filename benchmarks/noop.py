"""An empty consumer, to measure the hub itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedmsg.consumers import FedmsgConsumer


class Noop(FedmsgConsumer):
    """Creates a file when the last message of a round arrives."""

    topic = "*"
    config_key = "benchmark.noop"

    def __init__(self, hub: Any) -> None:
        super().__init__(hub)
        self._directory = Path(hub.config["benchmark.directory"])

    def consume(self, message: dict[str, Any]) -> None:
        body = message["body"]
        if body["topic"].endswith(".benchmark.award"):
            (self._directory / body["msg_id"]).touch()
