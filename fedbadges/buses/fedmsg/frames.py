"""What arrives and is no message: ignored with one line, before moksha raises for it.

By ZeroMQ moksha expects two parts in UTF-8. It raises for anything else, and Twisted logs each as a
traceback of a dozen lines, which whoever can send to the bus could fill the disk with.
"""

from functools import partial
from typing import Any

from fedbadges.util.logs import get_logger
from fedbadges.util.throttle import Throttle

log = get_logger(__name__)

#: How large a topic and a body may be together. What is larger can be caught up from datanommer.
MAX_BYTES = 16 * 1024 * 1024

#: How many values the JSON of a message may have, brackets and commas in its texts counted as well:
#: an empty list takes three characters, and Python needs 72 bytes for it, and long for many.
_MAX_VALUES = 250_000

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


def has_too_many_values(text: str, topic: str) -> bool:
    """Return True if parsing the JSON of a message could take all memory; then log that."""
    if len(text) <= _MAX_VALUES or sum(map(text.count, "[{,")) <= _MAX_VALUES:
        return False
    ignore(f"it has more than {_MAX_VALUES} values", topic=topic)
    return True


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
