"""Metrics of the statements that a database is sent."""

import functools
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event

from fedbadges.util.instruments import QUERIES

#: By the first word of a statement. Those that are prepared are all questions.
_KINDS = {
    "SELECT": "select",
    "EXECUTE": "select",
    "INSERT": "insert",
    "UPDATE": "update",
    "DELETE": "delete",
}

#: The key of Connection.info for when the current statement was sent.
_BEGAN = "fedbadges_began"


def measure_queries(made: Engine, database: str) -> None:
    """Measure each statement to a database, by its name and the kind of statement."""
    measure = _measure(database)
    # An engine belongs to the process, which may ask for this more than once.
    if not event.contains(made, "before_cursor_execute", _begin):
        event.listen(made, "before_cursor_execute", _begin)
        event.listen(made, "after_cursor_execute", measure)


def _begin(connection: Any, *_: Any) -> None:
    connection.info[_BEGAN] = time.perf_counter()


@functools.cache
def _measure(database: str) -> Callable[..., None]:
    kinds = {kind: QUERIES.labels(database, kind) for kind in (*_KINDS.values(), "other")}

    def measure(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        kind = _KINDS.get(statement.lstrip()[:10].partition(" ")[0].partition("\n")[0].upper())
        kinds[kind or "other"].observe(time.perf_counter() - connection.info[_BEGAN])

    return measure
