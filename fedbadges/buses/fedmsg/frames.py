"""What arrives by ZeroMQ and is no message: ignored with one line, before moksha raises for it.

moksha expects two parts in UTF-8. It raises for anything else, and Twisted logs each as a traceback
of a dozen lines, which whoever can send to the bus could fill the disk with.
"""

from functools import partial
from typing import Any

from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: How large a topic and a body may be together. What is larger can be caught up from datanommer.
MAX_BYTES = 16 * 1024 * 1024

_ignored = Throttle()


class _NoMessage(Exception):
    """Frames are no message; the text says why, without anything of them."""


def guard(hub: Any) -> None:
    """Let a hub hear nothing by ZeroMQ but topics and bodies that are text."""
    for extension in getattr(hub, "extensions", ()):
        # Only that of ZeroMQ has them: its connections, which all consumers share.
        for connection in getattr(extension, "subscriber_factories", {}).values():
            connection.messageReceived = partial(_receive, connection)


def ignore(reason: str, **fields: Any) -> None:
    """Log that something was ignored, for each reason once in a while."""
    if _ignored.allows(reason):
        log.warning("Ignored what is no message", reason=reason, **fields)


def _receive(connection: Any, frames: list[bytes]) -> None:
    try:
        topic, body = _decode(frames)
    except _NoMessage as error:
        ignore(str(error), parts=len(frames), bytes=sum(map(len, frames)))
    else:
        connection.gotMessage(body, topic)


def _decode(frames: list[bytes]) -> tuple[str, str]:
    # txZMQ itself publishes so.
    parts = frames[0].split(b"\0", 1) if len(frames) == 1 else frames
    if len(parts) != 2:
        raise _NoMessage("it has no topic and body")
    topic, body = parts
    if len(topic) + len(body) > MAX_BYTES:
        raise _NoMessage(f"it has more than {MAX_BYTES} bytes")
    try:
        return topic.decode("utf-8"), body.decode("utf-8")
    except UnicodeDecodeError:
        raise _NoMessage("it is not UTF-8") from None
