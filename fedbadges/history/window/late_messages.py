"""The messages that were late for a base, so that it stays usable."""

import uuid
from collections.abc import Iterable

from fedbadges.history.horizon import Base
from fedbadges.history.matching import Matcher
from fedbadges.history.window.reader import RecentMessage

#: How many late messages are held at most.
_MOST = 2000

#: How many of them at most are saved for another process or connection.
_MOST_SAVED = 500


class LateMessages:
    """All messages that were late for any base of one lineage; for one thread at a time.

    Of another lineage they know nothing.
    """

    def __init__(self, lineage: str = "", messages: Iterable[RecentMessage] = ()) -> None:
        self.lineage = lineage or uuid.uuid4().hex
        self._messages = list(messages)

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def are_too_many(self) -> bool:
        """Return True if they are not worth their memory."""
        return len(self._messages) > _MOST

    def add(self, message: RecentMessage) -> None:
        """Add a message."""
        self._messages.append(message)

    def saved(self) -> tuple[RecentMessage, ...] | None:
        """Return what another process needs of them; None if that is too much."""
        return None if len(self._messages) > _MOST_SAVED else tuple(self._messages)

    def select(self, matcher: Matcher, base: Base) -> list[RecentMessage] | None:
        """Return those that match and belong in a base; None if it is of another lineage."""
        if base.horizon.lineage != self.lineage:
            return None
        return [
            row
            for row in self._messages
            if row.timestamp <= base.until
            if not base.horizon.has(row.id) and matcher.matches(row)
        ]
