"""The messages that the window holds, with indexes over them."""

import datetime
from bisect import bisect_right, insort_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter

from fedbadges.history.window.reader import RecentMessage
from fedbadges.messages import Message, Position
from fedbadges.rules.filters import FilledFilter

_sent = attrgetter("timestamp")


class RecentRows:
    """Messages by row number, id, topic and user, in order of time; for one thread at a time."""

    def __init__(self, rows: Iterable[RecentMessage] = ()) -> None:
        self._numbers: set[int] = set()
        self._all: list[RecentMessage] = []
        # Hardly any id is there twice.
        self._by_msg_id: dict[str | None, RecentMessage] = {}
        self._repeated: dict[str | None, list[RecentMessage]] = {}
        self._by_topic: dict[str, list[RecentMessage]] = defaultdict(list)
        self._by_user: dict[str, list[RecentMessage]] = defaultdict(list)
        for row in sorted(rows, key=_sent):
            self.add(row)

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def has_msg_id(self, msg_id: str | None) -> bool:
        """Return True if there is a message with this id."""
        return msg_id in self._by_msg_id

    def with_msg_id(self, msg_id: str | None) -> Sequence[RecentMessage]:
        """Return the messages with this id."""
        if msg_id in self._repeated:
            return self._repeated[msg_id]
        return (self._by_msg_id[msg_id],) if msg_id in self._by_msg_id else ()

    def positions(self, messages: Iterable[Message]) -> dict[str | None, list[Position]]:
        """Return the positions of those of the messages that are here, by their ids."""
        return {
            each.msg_id: [(row.timestamp, row.id) for row in self.with_msg_id(each.msg_id)]
            for each in messages
            if self.has_msg_id(each.msg_id)
        }

    def add(self, row: RecentMessage) -> None:
        """Add a message, unless there is one with its row number."""
        if row.id in self._numbers:
            return
        self._numbers.add(row.id)
        first = self._by_msg_id.setdefault(row.msg_id, row)
        if first is not row:
            self._repeated.setdefault(row.msg_id, [first]).append(row)
        _insert(self._all, row)
        _insert(self._by_topic[row.topic], row)
        for name in row.users:
            _insert(self._by_user[name], row)

    def with_older(self, older: Iterable[RecentMessage]) -> "RecentRows":
        """Return these and others, of which most were sent earlier."""
        return RecentRows([*older, *self._all])

    def drop_until(self, floor: datetime.datetime) -> None:
        """Drop those that were sent until a time, naive UTC."""
        dropped = self._all[: _end(self._all, floor)]
        self._numbers.difference_update(row.id for row in dropped)
        for msg_id in {row.msg_id for row in dropped}:
            left = [row for row in self.with_msg_id(msg_id) if row.timestamp > floor]
            if left:
                self._by_msg_id[msg_id], self._repeated[msg_id] = left[0], left
            else:
                del self._by_msg_id[msg_id]
                self._repeated.pop(msg_id, None)
        for rows in (self._all, *self._by_topic.values(), *self._by_user.values()):
            del rows[: _end(rows, floor)]
        for index in (self._by_topic, self._by_user):
            for value in [value for value, rows in index.items() if not rows]:
                del index[value]

    def latest_people(self, most: int) -> set[str]:
        """Return whom the newest messages concern, about so many people at most."""
        found: set[str] = set()
        for row in reversed(self._all):
            if len(found) >= most:
                break
            found.update(row.users)
        return found

    def time_before_newest(self, number: int) -> datetime.datetime:
        """Return a time, naive UTC, after which at most so many were sent, of more than those."""
        return self._all[-number - 1].timestamp

    def candidates(self, filled: FilledFilter, after: datetime.datetime) -> Iterable[RecentMessage]:
        """Return as few messages as an index allows, each once, sent after a time, naive UTC.

        All that a filter selects are among them.
        """
        lists = dict(filled.lists)
        found = [
            [index[value] for value in lists[key] if value in index]
            for key, index in (("users", self._by_user), ("topics", self._by_topic))
            if key in lists
        ]
        if not found:
            return self._all[_end(self._all, after) :]
        fewest = min(found, key=lambda parts: sum(map(len, parts)))
        if len(fewest) == 1:
            return fewest[0][_end(fewest[0], after) :]
        return {row.id: row for part in fewest for row in part[_end(part, after) :]}.values()


def _insert(rows: list[RecentMessage], row: RecentMessage) -> None:
    if rows and rows[-1].timestamp > row.timestamp:
        insort_right(rows, row, key=_sent)
    else:
        rows.append(row)


def _end(rows: list[RecentMessage], until: datetime.datetime) -> int:
    """Return how many of the rows, which are in order, were sent until a time."""
    return bisect_right(rows, until, key=_sent)
