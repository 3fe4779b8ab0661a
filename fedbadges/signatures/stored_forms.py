"""Messages as datanommer has them: in which form each may have been signed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any


def forms(body: Mapping[str, Any], proof: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Give the forms that a stored message may have been sent in, the likeliest first.

    datanommer keeps all that fedmsg signs, but not how it was written: seconds are a moment there,
    headers may have come beside the message, and the user may be one that a plugin named.
    """
    seconds = body["timestamp"]
    moments = [int(seconds), seconds] if seconds == int(seconds) else [seconds]
    for moment, *left_out in itertools.product(moments, *_choices(body)):
        kept = {key: value for key, value in body.items() if key not in left_out}
        yield {**kept, "timestamp": moment, **proof}


def _choices(body: Mapping[str, Any]) -> Iterator[tuple[str | None, str | None]]:
    """Give what each key that is there may be: left out or, with None, kept."""
    if "username" in body:
        yield None, "username"
    if "headers" in body:
        yield "headers", None
