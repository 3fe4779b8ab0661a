"""The messages that the window holds, with indexes over them."""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Sequence

from fedbadges.history.window.reader import RecentMessage
from fedbadges.rules.filters import FilledFilter


class RecentRows:
    """Messages by row number, id, topic and user; for one thread at a time."""

    def __init__(self, rows: Iterable[RecentMessage] = ()) -> None:
        self._by_number: dict[int, RecentMessage] = {}
        self._by_msg_id: dict[str | None, list[RecentMessage]] = defaultdict(list)
        self._by_topic: dict[str, list[RecentMessage]] = defaultdict(list)
        self._by_user: dict[str, list[RecentMessage]] = defaultdict(list)
        for row in rows:
            self.add(row)

    def __len__(self) -> int:
        return len(self._by_number)

    def __contains__(self, number: int) -> bool:
        return number in self._by_number

    def has_msg_id(self, msg_id: str | None) -> bool:
        """Return True if there is a message with this id."""
        return msg_id in self._by_msg_id

    def with_msg_id(self, msg_id: str | None) -> Sequence[RecentMessage]:
        """Return the messages with this id."""
        return self._by_msg_id.get(msg_id, ())

    def add(self, row: RecentMessage) -> None:
        """Add a message, unless there is one with its row number."""
        if row.id in self._by_number:
            return
        self._by_number[row.id] = row
        self._by_msg_id[row.msg_id].append(row)
        self._by_topic[row.topic].append(row)
        for name in row.users:
            self._by_user[name].append(row)

    def sent_after(self, floor: datetime.datetime) -> "RecentRows":
        """Return those that were sent after a time, naive UTC."""
        return RecentRows(row for row in self._by_number.values() if row.timestamp > floor)

    def candidates(self, filled: FilledFilter) -> Iterable[RecentMessage]:
        """Return as few messages as an index allows, each once, with all that a filter selects."""
        lists = dict(filled.lists)
        found = [
            [index[value] for value in lists[key] if value in index]
            for key, index in (("users", self._by_user), ("topics", self._by_topic))
            if key in lists
        ]
        if not found:
            return self._by_number.values()
        fewest = min(found, key=lambda parts: sum(map(len, parts)))
        if len(fewest) == 1:
            return fewest[0]
        return {row.id: row for part in fewest for row in part}.values()
