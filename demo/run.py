"""Shows a real fedmsg-hub that awards badges, and checks that these are the right ones.

    make demo

It exits with 0 if exactly the badges that scenario.py expects were awarded, and with 1 otherwise.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import processes
import report
import show
import zmq
from scenario import OPTED_OUT, STORY


class ZeroMQ:
    """Hears what the hub publishes."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.subscribe("")
        for address in addresses:
            self._socket.connect(address)

    def receive(self, timeout: float) -> Iterator[dict[str, Any]]:
        if self._socket.poll(int(timeout * 1000)):
            _, data = self._socket.recv_multipart()
            yield json.loads(data)

    def close(self) -> None:
        self._context.destroy(linger=0)


def demo(home: Path) -> int:
    # Slow to load, and Ctrl-C must work from the beginning.
    import badges

    tahrir, datanommer = f"sqlite:///{home}/tahrir.db", f"sqlite:///{home}/datanommer.db"
    publisher_address, *daemon_addresses = processes.free_addresses(5)
    (metrics,) = processes.free_http_addresses(1)
    processes.write_settings(
        home,
        publisher_address,
        daemon_addresses,
        metrics,
        tahrir=tahrir,
        datanommer=datanommer,
    )
    badges.add_opted_out(tahrir, OPTED_OUT, show.EMAIL_DOMAIN)

    log_path = home / "hub.log"
    try:
        with log_path.open("wb") as log:
            sent = run(home, publisher_address, daemon_addresses, metrics, log)
    except show.Failed as error:
        report.failure(str(error), [log_path])
        return 1
    return show.conclude(tahrir, sent, [log_path])


def run(
    home: Path, publisher_address: str, daemon_addresses: list[str], metrics: str, log: IO[bytes]
) -> show.Sent:
    """Run the hub on the whole scenario; return all messages that were sent."""
    with contextlib.ExitStack() as stack:
        hub = processes.start_hub(home, log)
        stack.callback(processes.stop, hub, processes.STOPPING_HUB)
        publisher = processes.start_publisher(publisher_address, show.PAUSE, log)
        stack.callback(processes.stop, publisher)
        report.metrics([metrics])
        report.begun(
            f"fedmsg-hub runs as process {hub.pid}, on fresh SQLite databases.",
            f"Process {publisher.pid} publishes {len(STORY)} messages on {publisher_address}",
            "as soon as the hub has subscribed.",
        )
        bus = ZeroMQ(daemon_addresses)
        stack.callback(bus.close)
        shown = show.Show({"fedmsg-hub": hub}, publisher, bus)
        show.follow(shown)
        return shown.sent


if __name__ == "__main__":
    sys.exit(show.run(demo))
