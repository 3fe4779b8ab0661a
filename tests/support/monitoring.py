"""A monitoring socket as a hub has it, with reports that do not change."""

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq


def tally(
    seen: int = 0,
    triggered: int = 0,
    candidates: int = 0,
    held: int = 0,
    criteria_held: int = 0,
    awarded: int = 0,
) -> dict[str, Any]:
    """Return what a daemon says of one rule."""
    return {
        "triggers": triggered,
        "awards": awarded,
        "funnel": {
            "seen": seen,
            "triggered": triggered,
            "candidates": candidates,
            "held": held,
            "criteria_held": criteria_held,
            "awarded": awarded,
            "stops": [],
        },
        "warning": None,
    }


#: What a daemon that is well says of itself.
REPORT: dict[str, Any] = {
    "version": "1.1.0",
    "since": 1764000000.0,
    "at": 1764002040.0,
    "state": "running",
    "waiting_for": None,
    "databases": {"tahrir": None, "datanommer": None},
    "handled": 18231,
    "outcomes": {
        "handled": 18231,
        "dead letter": 0,
        "released": 0,
        "requeued": 0,
        "left for restart": 0,
    },
    "lag": 4.0,
    "in_hand": 1,
    "waiting_room": 1,
    "backlog": 0,
    "overflown": False,
    "set_aside": 0,
    "catch_up": {
        "whole": True,
        "until": 1764002036.0,
        "running": False,
        "done": 0,
        "count": 0,
        "seconds_left": None,
        "trouble": None,
    },
    "warm_up": {
        "kept": True,
        "warm": True,
        "running": False,
        "done": 0,
        "count": 0,
        "seconds_left": None,
        "waiting": False,
        "given_up": [],
        "trouble": None,
    },
    "cached": {"counts": 3, "folds": 1},
    "bus": {"trouble": None, "unsent": 0},
    "outbox": {"kept": True, "waiting": 0, "since": None, "trouble": None},
    "ranks": {"people": 0, "waiting": False, "trouble": None},
    "progress": {"pending": 0, "written": 0, "dropped": 0, "trouble": None},
    "signatures": {"checked": True, "trouble": None},
    "awarded": 2,
    "revocations": {"count": 3, "for_good": 1},
    "last_award": {
        "badge": "gardener-i",
        "user": "alice",
        "msg_id": "2025-5f3c1e9a",
        "at": 1764001200.0,
    },
    "rules": {
        "in_force": 146,
        "loaded_at": 1764000001.0,
        "broken": 0,
        "mistakes": [],
        "tallies": {
            "gardener-i": tally(18_202, 37, 2, 35, 2, 2),
            "gardener-ii": tally(18_202, 37, 37),
            "speaker": tally(),
            "wiki-guide": tally(5, 5, 4, 1),
        },
    },
}


def hub_report(report: object) -> bytes:
    """Return what a hub with the badges consumer publishes."""
    consumer = {"name": "FedoraBadgesConsumer", "module": "fedbadges.consumers"}
    other = {"name": "DummyConsumer", "module": "fedmsg.consumers.dummy"}
    consumers = [other, consumer | {"fedbadges": report}]
    return json.dumps({"consumers": consumers, "producers": []}).encode()


@contextlib.contextmanager
def monitored(directory: Path, text: bytes, name: str = "s") -> Iterator[str]:
    """Publish the same again and again, more often than a hub does; gives the address."""
    endpoint = f"ipc://{directory}/{name}"
    stopping = threading.Event()
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.bind(endpoint)

        def publish() -> None:
            while not stopping.wait(0.05):
                socket.send(text)

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield endpoint
        finally:
            stopping.set()
            thread.join()
