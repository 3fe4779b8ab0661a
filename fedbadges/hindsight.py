"""The past messages as they were when a message of the past was handled."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fedbadges.chronicle import Entry
from fedbadges.databases import asking, engine, reader, reading_all
from fedbadges.evaluation import Test, evaluate, passing
from fedbadges.messages import Message
from fedbadges.once import Throttle
from fedbadges.query import UnreadMessage
from fedbadges.questions import Numbers, prepare
from fedbadges.rules.expressions import Expression
from fedbadges.rules.filters import FilledFilter
from fedbadges.settings import Settings

_NAME = "datanommer"


class Hindsight:
    """Answers as the history did when the latest message that it has seen was stored.

    It takes the place of ``history.History`` behind criteria; each method raises Unavailable.
    """

    def __init__(self, settings: Settings) -> None:
        self._engine = engine(settings.history_url)
        self._reader = reader(settings.history_url, settings.prepare_statements)
        self._numbers = Numbers()
        self._stumbles = Throttle()
        self._until = (datetime.min, 0)

    def see(self, entry: Entry) -> None:
        """Take up the next message."""
        self._until = entry.position

    def count(self, filled: FilledFilter, enough: int | None = None) -> int:
        """Count the messages up to now that a filter gives, all of them."""
        with asking(_NAME), self._reader.connect() as connection:
            asked = prepare(connection, self._numbers, filled, until=self._until)
            return 0 if asked is None else asked.count(connection, self._until[0])[1]

    def count_where(
        self,
        filled: FilledFilter,
        test: Test,
        about: tuple[Any, ...],
        enough: int | None = None,
        shared: dict[Any, Any] | None = None,
    ) -> int:
        """Count those of them that pass a test."""
        passes = passing(test, about, self._stumbles)
        with asking(_NAME), reading_all(self._engine) as connection:
            asked = prepare(connection, self._numbers, filled, until=self._until)
            if asked is None:
                return 0
            rows = asked.messages(connection)
            return sum(passes(UnreadMessage(row, connection)) for row in rows)

    def compute(self, expression: Expression, filled: FilledFilter, message: Message) -> Any:
        """Evaluate an expression over the messages up to now; raises what that raises."""
        return evaluate(self._engine, self._numbers, expression, filled, message, until=self._until)
