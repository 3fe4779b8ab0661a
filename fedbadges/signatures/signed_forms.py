"""What fedmsg signs of a message, and how a stored message may have been signed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import fedmsg.encoding

#: Fields that signing adds, and that are not signed themselves.
_CREDENTIALS = ("signature", "certificate")


def canonical_text(message: Mapping[str, Any]) -> bytes:
    """Return what fedmsg signs of a message; equal messages have equal texts."""
    signed = {key: value for key, value in message.items() if key not in _CREDENTIALS}
    return bytes(fedmsg.encoding.dumps(signed).encode("utf-8"))


def stored_forms(
    body: Mapping[str, Any], credentials: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the forms in which a stored message may have been sent, the likeliest first.

    datanommer keeps all that fedmsg signs, but not how it was written: it has the timestamp as a
    date, adds headers to some messages, and a plugin may have named the user.
    """
    seconds = body["timestamp"]
    timestamps = [int(seconds), seconds] if seconds == int(seconds) else [seconds]
    # For each of these fields: which one is left out, or None.
    choices: list[tuple[str | None, str | None]] = []
    if "username" in body:
        choices.append((None, "username"))
    if "headers" in body:
        choices.append(("headers", None))
    for timestamp, *left_out in itertools.product(timestamps, *choices):
        kept = {key: value for key, value in body.items() if key not in left_out}
        yield {**kept, "timestamp": timestamp, **credentials}
