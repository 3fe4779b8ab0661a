"""The text of a message that a signature is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import fedmsg.encoding

#: What is added by signing, and is itself not signed.
_CREDENTIALS = ("signature", "certificate")


def signed_text(message: Mapping[str, Any]) -> bytes:
    """Give what fedmsg signs of a message: the same for everybody who has its values."""
    signed = {key: value for key, value in message.items() if key not in _CREDENTIALS}
    return bytes(fedmsg.encoding.dumps(signed).encode("utf-8"))
