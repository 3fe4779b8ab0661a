"""Publishes the messages of the demo by fedora-messaging, from a process of its own.

    publish_to_broker.py URL SECONDS

waits until both consumers listen, sends a message every so many SECONDS, and prints each as a line
of JSON.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import fedora_messaging.message
import rabbitmq
from deployment import CONSUMERS, EXCHANGE, QUEUE
from fedbadges_demo_schema import LogV1
from scenario import STORY, Message


def main(url: str, pause: float) -> None:
    with rabbitmq.channel(url) as channel:
        while channel.queue_declare(QUEUE, passive=True).method.consumer_count < CONSUMERS:
            time.sleep(0.1)
        for number, message in enumerate(STORY, 1):
            made = as_sent(message)
            # What has no topic prefix of its own is sent as it is.
            channel.basic_publish(EXCHANGE, made.topic, made._encoded_body, made._properties)
            print(json.dumps({"number": number, **as_shown(made)}), flush=True)
            time.sleep(pause)


def as_sent(message: Message) -> fedora_messaging.message.Message:
    """Return a message as fedora-messaging makes it.

    Most have no schema, so that a plugin names whom they concern, as on fedmsg.
    """
    if message.topic.endswith(".logger.log"):
        return LogV1(topic=message.topic, body={**message.msg, "user": message.username})
    return fedora_messaging.message.Message(topic=message.topic, body=message.msg)


def as_shown(message: fedora_messaging.message.Message) -> dict[str, Any]:
    return {"topic": message.topic, "msg": message.body, "msg_id": message.id}


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
