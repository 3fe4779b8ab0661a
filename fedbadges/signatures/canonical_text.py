"""The canonical text of a message, which is what fedmsg signs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fedmsg.encoding

#: Fields that signing adds, and that are not signed themselves.
_CREDENTIALS = ("signature", "certificate")


def canonical_text(message: Mapping[str, Any]) -> bytes:
    """Return what fedmsg signs of a message; equal messages have equal texts."""
    signed = {key: value for key, value in message.items() if key not in _CREDENTIALS}
    return bytes(fedmsg.encoding.dumps(signed).encode("utf-8"))
