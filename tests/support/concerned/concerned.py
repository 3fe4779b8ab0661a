"""A plugin of ``fedmsg.meta`` for messages that say whom they concern, in a key of their own.

Processes that have this folder on their path find it by its entry point.
"""

from typing import Any

from fedmsg.meta.base import BaseProcessor

KEY = "concerns"


class Concerned(BaseProcessor):
    """Names those whom a message lists; the first is who did it."""

    __name__ = __obj__ = "concerned"
    __description__ = "messages of tests"
    __link__ = __docs__ = "https://example.org"

    def handle_msg(self, msg: dict[str, Any], **config: Any) -> str | None:
        return "" if KEY in msg else None

    def usernames(self, msg: dict[str, Any], **config: Any) -> set[str]:
        return set(msg[KEY])

    def agent(self, msg: dict[str, Any], **config: Any) -> str | None:
        return next(iter(msg[KEY]), None)
