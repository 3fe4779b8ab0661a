"""What a filter means, evaluated in memory; ``sql`` has the same in SQL.

The window over recent messages and the replay both use it. A test compares it with the SQL, for
generated filters and messages, on every kind of database.
"""

from collections.abc import Callable, Collection
from typing import Any

from fedbadges.rules.filters import FilledFilter

#: The keys of which a message has one value at most, and those of which it has any number.
SINGLE_VALUED = ("topics", "categories", "agents")
MULTI_VALUED = ("users", "packages")

#: How to read the values of a key; None stands for NULL.
_READERS: dict[str, Callable[[Any], Collection[str] | None]] = {
    "topics": lambda message: (message.topic,),
    "categories": lambda message: (message.category,),
    "agents": lambda message: None if message.agent is None else (message.agent,),
    "users": lambda message: message.users,
    "packages": lambda message: message.packages,
}


#: Those of which the values are the same for all messages of a topic and a category.
_OF_HEADERS = ("topics", "categories")


def reader_of(key: str) -> Callable[[Any], Collection[str] | None]:
    """Return what reads the values that a message has for a key of filters, such as ``users``."""
    return _READERS[key]


class Matcher:
    """Decides which messages a filled filter selects.

    A message has the attributes of ``past_messages.PastMessage``, its ``agent`` and, where the
    filter cannot do without its content and ``reads_content`` is True, that as ``text``.
    """

    def __init__(self, filled: FilledFilter) -> None:
        lists = dict(filled.lists)
        self._msg_id = filled.msg_id
        self._contains = lists.pop("contains", None)
        self._between = None
        if filled.start is not None and filled.end is not None:
            self._between = filled.start, filled.end
        self._conditions = [
            (kind := key.removeprefix("not_"), _READERS[kind], kind != key, frozenset(values))
            for key, values in lists.items()
        ]
        self._of_headers = [each for each in self._conditions if each[0] in _OF_HEADERS]
        self._rest = [each for each in self._conditions if each[0] not in _OF_HEADERS]
        self.reads_content = self._contains is not None
        #: Whether it reads what is neither a header nor a name.
        self.reads_more = self.reads_content or self._msg_id is not None
        self._has_rest = bool(self._rest or self._between or self._contains or self._msg_id)

    @property
    def keys(self) -> frozenset[str]:
        """Return the keys whose values it reads of a message, such as ``users``."""
        return frozenset(kind for kind, *_ in self._conditions)

    def matches(self, message: Any) -> bool:
        """Return True if the filter selects this message."""
        return self.may_match(message.topic, message.category) and self.matches_rest(message)

    def matches_rest(self, message: Any) -> bool:
        """Return the same of a message whose topic and category may match."""
        if not self._has_rest:
            return True
        if self._msg_id is not None and message.msg_id != self._msg_id:
            return False
        if self._between is not None:
            start, end = self._between
            sent = message.timestamp
            if sent is None or not start <= sent <= end:
                return False
        for _, read, negated, wanted in self._rest:
            values = read(message)
            # As in SQL, NULL satisfies neither a condition nor its negation.
            if values is None or wanted.isdisjoint(values) is not negated:
                return False
        return self._contains is None or any(text in message.text for text in self._contains)

    def may_match(self, topic: str, category: str) -> bool:
        """Return True if the filter can select any message of this topic and category."""
        for key, _, negated, wanted in self._of_headers:
            value = topic if key == "topics" else category
            if value is None or (value in wanted) is negated:
                return False
        return True
