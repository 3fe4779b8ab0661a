"""Links from an award to the message that it was given for."""

from __future__ import annotations

from urllib.parse import quote

from fedbadges.config.settings import Settings
from fedbadges.messages import Message

#: tahrir's column for the link of an award holds this many characters.
MAX_LINK = 256


def link_to(message: Message, settings: Settings) -> str | None:
    """Link to a message in datagrepper, where it has an id and tahrir can hold the link."""
    if message.msg_id is None:
        return None
    link = (
        f"{settings.datagrepper_url}/id"
        f"?id={quote(message.msg_id, safe='')}&is_raw=true&size=extra-large"
    )
    return link if len(link) <= MAX_LINK else None
