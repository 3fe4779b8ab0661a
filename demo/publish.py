"""Publishes the messages of the demo from a process of its own, as other services would.

    publish.py ADDRESS SECONDS

binds ADDRESS, waits until somebody has subscribed to all of it, sends a message every so many
SECONDS, and prints each as a line of JSON.
"""

from __future__ import annotations

import datetime
import json
import sys
import time
import uuid
from typing import Any

import fedmsg.encoding
import zmq
from scenario import STORY, Message


def main(address: str, pause: float) -> None:
    context = zmq.Context()
    # Unlike PUB, which fedmsg.publish uses, XPUB shows who subscribes to what, so that nothing is
    # sent to nobody. To the subscriber there is no difference.
    socket = context.socket(zmq.XPUB)
    socket.set_hwm(0)
    socket.bind(address)
    await_subscriptions(socket, {message.topic for message in STORY})
    for number, message in enumerate(STORY, 1):
        body = as_sent(message, number)
        socket.send_multipart([message.topic.encode(), fedmsg.encoding.dumps(body).encode()])
        print(json.dumps({"number": number, **body}), flush=True)
        time.sleep(pause)
    socket.close()
    context.term()


def await_subscriptions(socket: zmq.Socket[bytes], topics: set[str]) -> None:
    subscribed: set[str] = set()
    while not all(topic.startswith(tuple(subscribed)) for topic in topics):
        event = socket.recv()
        if event[:1] == b"\x01":
            subscribed.add(event[1:].decode())


def as_sent(message: Message, number: int) -> dict[str, Any]:
    """Wrap a message as fedmsg.publish does."""
    return {
        "topic": message.topic,
        "msg": message.msg,
        "msg_id": f"{datetime.datetime.now().year}-{uuid.uuid4()}",
        "timestamp": int(time.time()),
        "i": number,
        "username": message.username,
    }


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
